internal import Base
internal import Synchronization

/// Counts requests under way, turns away those that are too many, too early or too late, and tells when the last one is through.
package final class RequestGate: Sendable {
    private struct State {
        var count = 0
        /// Whether what requests need is still being loaded.
        var isLoading: Bool
        var isClosed = false
        var waiters: [Int: Waiter] = [:]
        var nextWaiter = 0
    }

    /// Somebody who waits until nobody is inside. Whoever lets them go takes them out; one that is out before it has a continuation
    /// does not wait at all.
    private enum Waiter {
        case announced
        case waiting(CheckedContinuation<Void, Never>)
    }

    private let state: Mutex<State>
    private let limit: Int

    /// - Parameters:
    ///   - limit: requests that may be inside.
    ///   - isLoading: let nobody in before ``open()``.
    package init(limit: Int, isLoading: Bool = false) {
        self.limit = limit
        state = Mutex(State(isLoading: isLoading))
    }

    /// A request's stay: it ends when the last reference to the pass is gone, which covers bodies that are streamed and
    /// bodies that nobody ever asked for.
    package final class Pass: Sendable {
        private let gate: RequestGate

        fileprivate init(_ gate: RequestGate) {
            self.gate = gate
        }

        deinit {
            gate.leave()
        }
    }

    package var count: Int { state.withLock { $0.count } }
    var isLoading: Bool { state.withLock { $0.isLoading && !$0.isClosed } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// - Throws: 503 when the gate is not open or too many are inside.
    package func enter() throws -> Pass {
        let refusal: APIError? = state.withLock { state in
            if state.isClosed { return .stopping }
            if state.isLoading { return .loading }
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
            guard state.count == 0 else { return [Int: Waiter]() }
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { RequestGate.letGo(waiter) }
    }

    private static func letGo(_ waiter: Waiter?) {
        if case .waiting(let continuation) = waiter { continuation.resume() }
    }

    /// What requests need is there.
    package func open() {
        state.withLock { $0.isLoading = false }
    }

    /// Lets nobody in from now on.
    package func close() {
        state.withLock { $0.isClosed = true }
    }

    /// Waits until nobody is inside, for `time` at most.
    ///
    /// - Returns: whether all have left.
    package func emptied(within time: Duration) async -> Bool {
        let number: Int? = state.withLock { state in
            if state.count == 0 { return nil }
            state.nextWaiter += 1
            state.waiters[state.nextWaiter] = .announced
            return state.nextWaiter
        }
        guard let number else { return true }
        let timer = Task {
            try? await Deadlines.sleep(for: time)
            RequestGate.letGo(self.state.withLock { $0.waiters.removeValue(forKey: number) })
        }
        await withCheckedContinuation { continuation in
            let waits = state.withLock { state in
                // The last one may have left, or the time be over, before this.
                if state.waiters[number] == nil { return false }
                state.waiters[number] = .waiting(continuation)
                return true
            }
            if !waits { continuation.resume() }
        }
        timer.cancel()
        return count == 0
    }
}
