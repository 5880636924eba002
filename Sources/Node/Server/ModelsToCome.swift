internal import NodeCluster
internal import NodeEngine
internal import Synchronization

/// The models of a server that listens already while they are being loaded.
final class ModelsToCome: ModelDirectory {
    private enum State {
        case loading
        case loaded(any ModelDirectory)
        case stopped
    }

    private let state = Mutex(State.loading)
    let events: EventFeed

    /// - Parameter events: those of the models, too.
    init(events: EventFeed) { self.events = events }

    private static let reason = "the model is being loaded"

    /// - Returns: false if nobody wants them any more: then they are the caller's to shut down.
    func arrive(_ models: any ModelDirectory) -> Bool {
        state.withLock { state in
            guard case .loading = state else { return false }
            state = .loaded(models)
            return true
        }
    }

    private var loaded: (any ModelDirectory)? {
        state.withLock { state in
            if case .loaded(let models) = state { models } else { nil }
        }
    }

    private var isStopped: Bool {
        state.withLock { state in
            if case .stopped = state { true } else { false }
        }
    }

    var models: [ModelListing] { loaded?.models ?? [] }
    var nodes: [NodeStatus] { loaded?.nodes ?? [] }

    var status: EngineStatus {
        if let loaded { return loaded.status }
        return EngineStatus(
            phase: isStopped ? .stopped : .unavailable, slotsBusy: 0, slotCount: 0, queued: 0, reason: isStopped ? nil : ModelsToCome.reason
        )
    }

    func lease(_ name: String?) async throws(EngineError) -> ModelLease {
        if let loaded { return try await loaded.lease(name) }
        throw isStopped ? .stopped : .unavailable(ModelsToCome.reason)
    }

    func setDrained(_ address: String, _ isDrained: Bool) -> Bool { loaded?.setDrained(address, isDrained) ?? false }

    func shutdown() async {
        let loaded = state.withLock { state -> (any ModelDirectory)? in
            switch state {
            case .loaded(let models): return models
            case .loading, .stopped:
                state = .stopped
                return nil
            }
        }
        await loaded?.shutdown()
    }
}
