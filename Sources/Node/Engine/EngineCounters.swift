internal import Synchronization

/// How busy an engine is, written by its thread and read by anyone, and who may still get in.
package final class EngineCounters: Sendable {
    private struct State {
        /// Its `queued` are the requests that the thread has in its queue.
        var status: EngineStatus
        /// Requests let in that the thread has not seen yet. Kept apart, so that a report of the thread's, which knows
        /// nothing of them, does not give their places away.
        var arriving = 0
    }

    private let state: Mutex<State>

    package init(slotCount: Int) {
        state = Mutex(State(status: EngineStatus(phase: .ready, slotsBusy: 0, slotCount: slotCount, queued: 0)))
    }

    package var current: EngineStatus {
        state.withLock { state in
            var status = state.status
            status.queued += state.arriving
            return status
        }
    }

    // MARK: The engine's thread

    /// - Parameter arrived: how many of the requests let in have reached the thread since its last report.
    package func set(slotsBusy: Int, waiting: Int, arrived: Int) {
        state.withLock {
            $0.status.slotsBusy = slotsBusy
            $0.status.queued = waiting
            $0.arriving -= arrived
        }
    }

    package func set(phase: EngineStatus.Phase, reason: String? = nil) {
        state.withLock {
            $0.status.phase = phase
            $0.status.reason = reason
        }
    }

    // MARK: Those who send requests

    /// Lets a request in that is about to be sent, if it finds a free slot or a place among the `limit` that may wait.
    package func reserve(limit: Int) -> Bool {
        state.withLock {
            let (status, arriving) = ($0.status, $0.arriving)
            if status.slotsBusy + status.queued + arriving >= status.slotCount + limit { return false }
            $0.arriving += 1
            return true
        }
    }

    /// Gives back the place of a request that could not be sent after all.
    package func release() { state.withLock { $0.arriving -= 1 } }
}
