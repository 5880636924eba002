import Foundation
import Node
import Synchronization
import TestSupport
import Testing

/// That fifty workers can come and go under a model's streams.
@Suite(.timeLimit(.minutes(60)), .serialized) struct SwarmTests {
    private static let workerCount = 50
    private static let streamCount = 4

    private func options(_ model: TinyModel, _ workers: [String]) -> EngineOptions {
        EngineOptions(
            modelPath: model.path, contextSize: 320, slotCount: SwarmTests.streamCount, threads: 1, batchSize: 16,
            head: HeadOptions(workers: workers, usesLocal: false, timeout: 10))
    }

    private func request(_ seed: Int) -> GenerationRequest {
        GenerationRequest(
            prompt: .tokens((0..<(3 + seed * 13 % 20)).map { Int32(($0 * 7 + seed) % TinyModel.vocabulary) }),
            sampling: SamplingSettings(temperature: seed % 2 == 0 ? 0 : 0.9, topK: 5, seed: UInt32(seed)), maxTokens: 250, ignoreEnd: true)
    }

    private func answer(_ engine: any TextEngine, _ seed: Int) async throws -> [Int32] {
        var tokens: [Int32] = []
        for try await event in try await engine.generate(request(seed)) {
            if case .token(let token) = event { tokens.append(token.id) }
        }
        return tokens
    }

    /// What happens to placements.
    private final class Witness: Sendable {
        private struct State {
            var outage: ContinuousClock.Instant?
            var outages: [Duration] = []
            var unavailable = 0
        }

        private let state = Mutex(State())

        func note(_ event: NodeEvent) {
            state.withLock { state in
                switch event.kind {
                case .recovering: state.outage = state.outage ?? .now
                case .placed:
                    if let begin = state.outage { state.outages.append(.now - begin) }
                    state.outage = nil
                case .unavailable: state.unavailable += 1
                default: break
                }
            }
        }

        /// How long the model was in no place, each time, the shortest first.
        var outages: [Duration] { state.withLock { $0.outages.sorted() } }
    }

    /// What the streams have done so far, and whether they are to go on.
    private final class Streams: Sendable {
        private let state = Mutex((isOver: false, answers: 0))

        var isOver: Bool { state.withLock { $0.isOver } }
        var answerCount: Int { state.withLock { $0.answers } }
        func end() { state.withLock { $0.isOver = true } }
        func noteAnswer() { state.withLock { $0.answers += 1 } }
    }

    private struct Figures: CustomStringConvertible {
        var threads: Int
        var descriptors: Int

        static func now() throws -> Figures {
            let files = FileManager.default
            return Figures(
                threads: try files.contentsOfDirectory(atPath: "/proc/self/task").count,
                descriptors: try files.contentsOfDirectory(atPath: "/proc/self/fd").count)
        }

        func least(_ other: Figures) -> Figures {
            Figures(threads: min(threads, other.threads), descriptors: min(descriptors, other.descriptors))
        }

        var description: String { "\(threads) threads, \(descriptors) descriptors" }
    }

    private func wait(_ seconds: Double, until condition: () async throws -> Bool) async throws -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    /// `SWIFTLET_SWARM` says for how many seconds. Then threads and descriptors are counted too, which others in the process would disturb.
    @Test(
        "fifty workers are listed, stopped, begun again and listed no more under streams that say what one machine says, and nothing grows")
    func comeAndGo() async throws {
        let asked = ProcessInfo.processInfo.environment["SWIFTLET_SWARM"].flatMap { Double($0) }
        let seconds = asked ?? 20
        let model = try TinyModel(layers: 12)
        defer { withExtendedLifetime(model) {} }
        let alone = try await Engines.text(options(model, [])) { _ in }
        var expected: [[Int32]] = []
        for seed in 0..<SwarmTests.streamCount { expected.append(try await answer(alone, seed)) }
        await alone.shutdown()

        let workers = (0..<SwarmTests.workerCount).map { _ in LocalWorker(memory: 64 << 20) }
        var addresses: [String] = []
        for worker in workers {
            try await worker.start()
            addresses.append(await worker.address)
        }
        let options = options(model, addresses)
        let list = try StaticList(addresses)
        let witness = Witness()
        let begin = ContinuousClock.now
        let pool = NodePool(list, TCPDialer(), options.head, events: EventFeed { witness.note($0) })
        let engine = try await Engines.text(options, over: pool) { _ in }
        if asked != nil { print("first places over \(workers.count) workers after \(ContinuousClock.now - begin)") }

        let streams = Streams()
        var counts: [Figures] = []
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seed in 0..<SwarmTests.streamCount {
                let right = expected[seed]
                group.addTask {
                    while !streams.isOver {
                        let found = try await answer(engine, seed)
                        #expect(found == right)
                        streams.noteAnswer()
                    }
                }
            }
            var random = SeededRandom(seed: 50)
            let end = ContinuousClock.now + .seconds(seconds)
            var round = 0
            while ContinuousClock.now < end {
                round += 1
                var listed = Set(workers.indices)
                for _ in 0..<10 where ContinuousClock.now < end {
                    // Never all: what streams do with nowhere to go is another test.
                    let one = Int.random(in: 5..<workers.count, using: &random)
                    let other = Int.random(in: 0..<workers.count, using: &random)
                    for (index, worker) in [workers[one], workers[other]].enumerated() where index == 0 || other >= 5 {
                        if await worker.isRunning { await worker.stop() } else { try await worker.start() }
                    }
                    for _ in 0..<4 { listed.formSymmetricDifference([Int.random(in: 5..<workers.count, using: &random)]) }
                    try list.replace(with: listed.sorted().map { addresses[$0] })
                    try await Task.sleep(for: .seconds(1))
                }
                // Like is counted with like: all there, all listed, and the model in its places.
                for worker in workers { try await worker.start() }
                try list.replace(with: addresses)
                if asked == nil { continue }
                // Looks at idle workers, and comparisons of places, open connections for moments.
                var least = try Figures.now()
                for _ in 0..<40 {
                    try await Task.sleep(for: .milliseconds(150))
                    least = try least.least(Figures.now())
                }
                counts.append(least)
                print("round \(round): \(counts.last.map { "\($0)" } ?? ""), \(streams.answerCount) answers")
            }
            streams.end()
            try await group.waitForAll()
        }
        let outages = witness.outages
        if asked != nil {
            print(
                "\(streams.answerCount) answers, \(outages.count) times without a place, for \(outages[outages.count / 2]) as a rule, "
                    + "\(outages.last ?? .zero) at most")
            let quarter = max(1, counts.count / 4)
            let first = counts.prefix(quarter)
            let last = counts.suffix(quarter)
            // A few threads come and go with looks at workers.
            #expect((last.map(\.threads).min() ?? 0) <= (first.map(\.threads).max() ?? 0) + 8)
            #expect((last.map(\.descriptors).min() ?? 0) <= (first.map(\.descriptors).max() ?? 0) + 8)
        }
        #expect(streams.answerCount >= SwarmTests.streamCount)
        await SingleModel(engine, pool: pool).shutdown()
        #expect(
            try await wait(20) {
                for worker in workers where await worker.sessionCount != 0 { return false }
                return true
            }, "a worker still has a session of a head that ended")
        for worker in workers { await worker.stop() }
    }
}
