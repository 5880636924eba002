internal import Synchronization

/// Lets one task through at a time, in the order in which they came. Those who wait take no thread.
package final class Turns: Sendable {
    private struct State {
        var isTaken = false
        var nextNumber = 0
        /// In order.
        var waiting: [(number: Int, continuation: CheckedContinuation<Void, any Error>)] = []
        /// Cancelled before they waited.
        var cancelled: Set<Int> = []
    }

    private let state = Mutex(State())

    package init() {}

    package var isTaken: Bool { state.withLock { $0.isTaken } }

    /// How many wait.
    package var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// Runs `work` when it is its turn.
    ///
    /// - Throws: `CancellationError` if the task is cancelled before; what `work` throws.
    package func take<Result: Sendable>(_ work: () async throws -> Result) async throws -> Result {
        try await wait()
        defer { pass() }
        return try await work()
    }

    private func wait() async throws {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        defer { state.withLock { _ = $0.cancelled.remove(number) } }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    if state.cancelled.contains(number) { return .failure(CancellationError()) }
                    if state.isTaken {
                        state.waiting.append((number, continuation))
                        return nil
                    }
                    state.isTaken = true
                    return .success(())
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Void, any Error>? in
                guard let index = state.waiting.firstIndex(where: { $0.number == number }) else {
                    state.cancelled.insert(number)
                    return nil
                }
                return state.waiting.remove(at: index).continuation
            }
            waiter?.resume(throwing: CancellationError())
        }
    }

    private func pass() {
        let next = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            if state.waiting.isEmpty {
                state.isTaken = false
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume()
    }
}
