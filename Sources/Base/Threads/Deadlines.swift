internal import Synchronization

/// Moments at which something is to be done, unless it is called off before. What is called off is forgotten at once: a task that
/// sleeps leaves something behind until it would have woken, also if it is cancelled, which adds up where every request has a limit
/// of an hour.
package final class Deadlines: Sendable {
    /// Those of this process.
    package static let shared = Deadlines()

    /// What can be called off.
    package struct Entry: Hashable, Sendable {
        fileprivate var tick: UInt64
        fileprivate var number: UInt64
    }

    private struct State {
        /// What is to be done, by the tick in which it is due and a number of its own.
        var ticks: [UInt64: [UInt64: @Sendable () -> Void]] = [:]
        var next: UInt64 = 0
        var hasThread = false
    }

    private let state = Monitor(State())

    /// Nanoseconds that count as one moment: nothing here is about less.
    private static let tick: UInt64 = 10_000_000
    /// With nothing to wait for, the thread ends after this.
    private static let idleTime: UInt64 = 60_000_000_000

    package init() {}

    /// What is still to be done, and the ticks that are kept for it.
    package var counts: (entries: Int, ticks: Int) { state.read { ($0.ticks.values.reduce(0) { $0 + $1.count }, $0.ticks.count) } }

    /// Has something done after a while, never before it is over.
    ///
    /// - Parameter action: called on a thread that must not be kept waiting.
    /// - Throws: if the system has no thread for it.
    package func add(after time: Duration, _ action: @escaping @Sendable () -> Void) throws(ThreadError) -> Entry {
        let due = MonotonicClock.moment(in: time / .seconds(1)) / Deadlines.tick + 1
        let (entry, mustStart) = state.change { state in
            state.next += 1
            state.ticks[due, default: [:]][state.next] = action
            defer { state.hasThread = true }
            return (Entry(tick: due, number: state.next), !state.hasThread)
        }
        guard mustStart else { return entry }
        do throws(ThreadError) {
            try SystemThread.start(name: "deadlines", stackSize: 1 << 20) { [self] in run() }
        } catch {
            cancel(entry)
            // Whoever came in between counts on the thread that there is not: too soon is better than never.
            let others = state.change { state in
                state.hasThread = false
                defer { state.ticks = [:] }
                return state.ticks.values.flatMap { Array($0.values) }
            }
            for action in others { action() }
            throw error
        }
        return entry
    }

    /// Calls it off; nothing happens if it is done already.
    package func cancel(_ entry: Entry) {
        state.change { state in
            state.ticks[entry.tick]?[entry.number] = nil
            if state.ticks[entry.tick]?.isEmpty == true { state.ticks[entry.tick] = nil }
        }
    }

    private func run() {
        while true {
            let now = MonotonicClock.nanoseconds()
            let (due, next) = state.change { state in
                let over = state.ticks.keys.filter { $0 &* Deadlines.tick <= now }
                let due = over.sorted().flatMap { state.ticks.removeValue(forKey: $0).map { Array($0.values) } ?? [] }
                return (due, state.ticks.keys.min())
            }
            for action in due { action() }
            if !due.isEmpty { continue }
            let pause = next.map { $0 &* Deadlines.tick } ?? now &+ Deadlines.idleTime
            // Something earlier may come.
            let isEarlier: Bool? = state.wait(until: pause) { $0.ticks.keys.min() != next ? true : nil }
            guard next == nil, isEarlier == nil else { continue }
            let hasEnded = state.change { state in
                guard state.ticks.isEmpty else { return false }
                state.hasThread = false
                return true
            }
            if hasEnded { return }
        }
    }
}

extension Deadlines {
    /// As `Task.sleep(for:)`, but for what it leaves behind when it is cancelled: nothing.
    ///
    /// - Throws: `CancellationError` if the task is cancelled.
    package static func sleep(for time: Duration) async throws {
        let sleep = Sleep()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { sleep.begin(time, $0) }
        } onCancel: {
            sleep.cancel()
        }
    }

    /// One sleep: begun and ended by whoever comes first.
    private final class Sleep: Sendable {
        private enum State {
            case new
            case asleep(CheckedContinuation<Void, any Error>, Entry?)
            case ended
        }

        private let state = Mutex(State.new)

        func begin(_ time: Duration, _ continuation: CheckedContinuation<Void, any Error>) {
            let isAsleep = state.withLock { state in
                // Cancelled before it began.
                guard case .new = state else { return false }
                state = .asleep(continuation, nil)
                return true
            }
            guard isAsleep else { return continuation.resume(throwing: CancellationError()) }
            do throws(ThreadError) {
                let entry = try Deadlines.shared.add(after: time) { [weak self] in self?.end(nil) }
                let isOver = state.withLock { state in
                    guard case .asleep(let continuation, _) = state else { return true }
                    state = .asleep(continuation, entry)
                    return false
                }
                // Cancelled meanwhile.
                if isOver { Deadlines.shared.cancel(entry) }
            } catch {
                end(error)
            }
        }

        func cancel() { end(CancellationError()) }

        private func end(_ error: (any Error)?) {
            let ended = state.withLock { state in
                defer { state = .ended }
                return state
            }
            guard case .asleep(let continuation, let entry) = ended else { return }
            if let entry { Deadlines.shared.cancel(entry) }
            if let error { continuation.resume(throwing: error) } else { continuation.resume() }
        }
    }
}
