internal import Synchronization

/// Counts requests under way, turns away those that are too many or too late, and tells when the last one is through.
final class RequestGate: Sendable {
    private struct State {
        var count = 0
        var isClosed = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
    }

    /// A request's stay: it ends when the last reference to the pass is gone, which covers bodies that are streamed and
    /// bodies that nobody ever asked for.
    final class Pass: Sendable {
        private let gate: RequestGate

        fileprivate init(_ gate: RequestGate) {
            self.gate = gate
        }

        deinit {
            gate.leave()
        }
    }

    var count: Int { state.withLock { $0.count } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// - Throws: 503 when the gate is closed or too many are inside.
    func enter() throws(APIError) -> Pass {
        let refusal: APIError? = state.withLock { state in
            if state.isClosed { return .stopping }
            if state.count >= limit {
                return APIError(
                    .serviceUnavailable, .unavailable, "The server has \(state.count) requests under way already. Try again later.",
                    code: "overloaded", headers: [.retryAfter: "2"])
            }
            state.count += 1
            return nil
        }
        if let refusal { throw refusal }
        return Pass(self)
    }

    private func leave() {
        let waiters = state.withLock { state in
            state.count -= 1
            guard state.count == 0 else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Lets nobody in from now on.
    func close() {
        state.withLock { $0.isClosed = true }
    }

    /// Waits until nobody is inside, for `time` at most.
    ///
    /// - Returns: whether all have left.
    func emptied(within time: Duration) async -> Bool {
        let timer = Task {
            try? await Task.sleep(for: time)
            self.releaseWaiters()
        }
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.count == 0 { return true }
                state.waiters.append(continuation)
                return false
            }
            if isEmpty { continuation.resume() }
        }
        timer.cancel()
        return count == 0
    }

    private func releaseWaiters() {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
