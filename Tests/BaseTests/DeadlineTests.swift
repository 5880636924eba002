import Base
import Synchronization
import Testing

/// Limits of time, which each request has several of.
@Suite(.timeLimit(.minutes(1))) struct DeadlineTests {
    /// Each left something behind for as long as it would have lasted: a server had 100 MB of them after 100,000 requests.
    @Test func whatIsCalledOffLeavesNothingBehind() throws {
        let deadlines = Deadlines()
        var entries: [Deadlines.Entry] = []
        for number in 0..<10_000 {
            entries.append(try deadlines.add(after: .seconds(3600 + number % 100)) { Issue.record("it was called off") })
        }
        #expect(deadlines.counts.entries == 10_000)
        for entry in entries { deadlines.cancel(entry) }
        #expect(deadlines.counts.entries == 0)
        #expect(deadlines.counts.ticks == 0)
    }

    @Test func sleepsThatAreCancelledLeaveNothingBehind() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<10_000 {
                group.addTask {
                    await #expect(throws: CancellationError.self) { try await Deadlines.sleep(for: .seconds(86_400)) }
                }
            }
            group.cancelAll()
        }
        // Others may sleep meanwhile.
        #expect(Deadlines.shared.counts.entries < 5000)
    }

    @Test func eachIsDoneOnceAndInOrder() async throws {
        let deadlines = Deadlines()
        let (done, source) = AsyncStream<Int>.makeStream()
        let start = ContinuousClock.now
        for (number, milliseconds) in [(2, 120), (1, 40), (3, 200)] {
            _ = try deadlines.add(after: .milliseconds(milliseconds)) {
                source.yield(number)
                if number == 3 { source.finish() }
            }
        }
        var order: [Int] = []
        for await number in done { order.append(number) }
        #expect(order == [1, 2, 3])
        #expect(ContinuousClock.now - start >= .milliseconds(200))
        #expect(deadlines.counts.entries == 0)
        #expect(deadlines.counts.ticks == 0)
    }

    @Test func aSleepLastsAsLongAsItShould() async throws {
        let start = ContinuousClock.now
        try await Deadlines.sleep(for: .milliseconds(50))
        #expect(ContinuousClock.now - start >= .milliseconds(50))
        // Cancelled before it begins.
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await Deadlines.sleep(for: .seconds(3600))
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
