import Foundation
import Kernels
import Synchronization
import Testing

/// What the pool promises: every piece once, all done at the end, and no work when there is none.
@Suite struct ThreadPoolTests {
    private final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    private final class Tally: Sendable {
        let counts: [Counter]
        init(_ count: Int) { counts = (0..<count).map { _ in Counter() } }
    }

    private static let count: PieceFunction = { context, piece, _ in
        Unmanaged<Tally>.fromOpaque(context).takeUnretainedValue().counts[piece].value.add(1, ordering: .relaxed)
    }

    @Test(arguments: [1, 2, 3, 8])
    func computesEveryPieceOnce(threads: Int) {
        let pool = ThreadPool(threadCount: threads)
        for round in 0..<2000 {
            let pieces = round % 37
            let tally = Tally(pieces)
            pool.run(Unmanaged.passUnretained(tally).toOpaque(), pieces: pieces, ThreadPoolTests.count)
            let wrong = tally.counts.contains { $0.value.load(ordering: .relaxed) != 1 }
            #expect(!wrong, "round \(round)")
        }
    }

    /// Threads that have gone to sleep must come back for later work.
    @Test func wakesAfterSleeping() {
        let pool = ThreadPool(threadCount: 4)
        for _ in 0..<20 {
            usleep(3000)
            let tally = Tally(64)
            pool.run(Unmanaged.passUnretained(tally).toOpaque(), pieces: 64, ThreadPoolTests.count)
            #expect(tally.counts.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
        }
    }

    /// A pool without work must let the processor go: half a second of idling may cost a few milliseconds at most.
    @Test func costsNothingWhenIdle() {
        let pool = ThreadPool(threadCount: 3)
        let tally = Tally(8)
        pool.run(Unmanaged.passUnretained(tally).toOpaque(), pieces: 8, ThreadPoolTests.count)
        usleep(50_000)
        #expect(pool.sleepingThreadCount == 2)
    }

    @Test func endsItsThreads() {
        for _ in 0..<50 { _ = ThreadPool(threadCount: 4) }
    }
}
