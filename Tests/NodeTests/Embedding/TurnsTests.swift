import NodeEngine
import Synchronization
import Testing

/// Requests for vectors wait for their turn without a thread each, and a wait can be given up.
@Suite(.timeLimit(.minutes(1))) struct TurnsTests {
    private final class Order: Sendable {
        private let state = Mutex<[Int]>([])
        var numbers: [Int] { state.withLock { $0 } }
        func add(_ number: Int) { state.withLock { $0.append(number) } }
    }

    @Test("One at a time, in the order of coming; who gives up waiting is passed over and ends at once")
    func order() async throws {
        let turns = Turns()
        let order = Order()
        let (gate, opening) = AsyncStream<Void>.makeStream()
        let first = Task {
            try await turns.take {
                for await _ in gate { break }
                order.add(0)
            }
        }
        var tasks: [Task<Void, any Error>] = []
        for number in 1...4 {
            while turns.waitingCount < number - 1 { await Task.yield() }
            if number == 1 { try await eventually("the first has no turn") { turns.isTaken } }
            tasks.append(Task { try await turns.take { order.add(number) } })
        }
        try await eventually("not all wait") { turns.waitingCount == 4 }
        tasks[1].cancel()
        await #expect(throws: CancellationError.self) { try await tasks[1].value }
        #expect(order.numbers == [])
        opening.yield()
        try await first.value
        for index in [0, 2, 3] { try await tasks[index].value }
        #expect(order.numbers == [0, 1, 3, 4])
        // A failure passes the turn on.
        await #expect(throws: EngineError.stopped) { try await turns.take { throw EngineError.stopped } }
        #expect(try await turns.take { 7 } == 7)
    }

    @Test("A task that is cancelled before it waits has no turn")
    func cancelledBefore() async throws {
        let turns = Turns()
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await turns.take { 1 }
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(!turns.isTaken)
    }
}
