import Base
import Foundation
import Node
import Testing

/// That heads, workers and models end well whatever happens in whatever order.
@Suite(.timeLimit(.minutes(60))) struct HistoryTests {
    /// A history of faults, then a while of peace: what is wrong at its end.
    static func complaints(seed: UInt64, log: ((String) -> Void)? = nil) -> [String] {
        let world = World(seed: seed)
        world.log = log
        for head in world.heads {
            for number in head.models.indices where world.chance(2) { head.load(number) }
        }
        for _ in 0..<(4 + world.draw(20)) {
            world.run(until: world.now + .milliseconds(10 + world.draw(world.chance(3) ? 20_000 : 2000)))
            world.disturb()
        }
        world.heal()
        // Longer than the longest penalty, and than anything that was begun takes.
        world.run(until: world.now + .seconds(200))
        world.check()
        if world.complaints.isEmpty, world.chance(2) { world.live() }
        return world.complaints
    }

    /// `SWIFTLET_HISTORIES` says how many, `SWIFTLET_SEED` which is the first, `SWIFTLET_HISTORY_LOG` that all that happens is printed: see
    /// `scripts/histories`.
    @Test(
        "in any order of losses, returns, stops, failed parts, loads and unloads, every worker ends in use or given up, and nothing is left over"
    )
    func anyOrder() async throws {
        let environment = ProcessInfo.processInfo.environment
        let count = environment["SWIFTLET_HISTORIES"].flatMap { Int($0) } ?? 500
        let first = environment["SWIFTLET_SEED"].flatMap { UInt64($0) } ?? 1
        // Many are a matter of minutes, for which the threads that other tests run on are too few.
        let threads = environment["SWIFTLET_HISTORIES"] == nil ? 1 : ProcessInfo.processInfo.activeProcessorCount
        let bad = try await BlockingWork.alone(name: "histories") {
            Parallel.map(Array(0..<threads), atMost: threads) { part in
                var bad: [(UInt64, [String])] = []
                for seed in stride(from: first + UInt64(part), to: first + UInt64(count), by: threads) {
                    let complaints = HistoryTests.complaints(seed: seed)
                    if !complaints.isEmpty { bad.append((seed, complaints)) }
                }
                return bad
            }.flatMap { $0 }.sorted { $0.0 < $1.0 }
        }
        if environment["SWIFTLET_HISTORY_LOG"] != nil {
            for seed in first..<(first + UInt64(count)) { _ = HistoryTests.complaints(seed: seed) { print($0) } }
        }
        if environment["SWIFTLET_HISTORIES"] != nil {
            for (seed, complaints) in bad { print("history \(seed): \(complaints.joined(separator: "; "))") }
        }
        #expect(bad.isEmpty, "\(bad.count) of \(count) histories, the first with seed \(bad.first?.0 ?? 0): \(bad.first?.1 ?? [])")
    }
}
