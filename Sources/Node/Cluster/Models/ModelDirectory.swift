public import NodeEngine

/// The models that a server offers: which there are, and an engine for whoever asks for one.
public protocol ModelDirectory: Sendable {
    /// All of them, loaded or not.
    var models: [ModelListing] { get }
    /// The machines that they can be on, as of now.
    var nodes: [NodeStatus] { get }
    /// How busy all of them are together, and how the one fares that fares worst.
    var status: EngineStatus { get }
    /// What happens to machines and models.
    var events: EventFeed { get }

    /// The engine of the model that a request names, loaded if need be; it stays for as long as anybody holds the lease.
    ///
    /// - Parameter name: nil where the request names none.
    /// - Throws: ``EngineError/unknownModel(_:known:)``, ``EngineError/unavailable(_:)`` where there is no room for it now,
    ///   ``EngineError/failed(_:)`` where it cannot be loaded, ``EngineError/stopped``.
    func lease(_ name: String?) async throws(EngineError) -> ModelLease

    /// Has a worker emptied, or lets it be used again.
    ///
    /// - Returns: false if there is none of that address.
    func setDrained(_ address: String, _ isDrained: Bool) -> Bool

    /// Shuts all engines down.
    func shutdown() async
}

/// What a listing says of a model.
public struct ModelListing: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
        /// It is brought into memory when a request comes.
        case unloaded
        case loading
        case loaded
        /// Something of it was lost or moves; its requests wait.
        case recovering
        /// There is no room for it at present.
        case unavailable
        /// It cannot be used.
        case failed
    }

    /// The name clients use.
    public var id: String
    /// Nil where its file could not even be read.
    public var card: ModelCard?
    public var state: State
    /// Why it is in no better state.
    public var reason: String?
    /// Where it is: `10.0.0.7:50052 layers 0-8 …`; nil where it is nowhere, or nowhere but here.
    public var places: String?
    /// How often it was loaded, and how many seconds the last time took.
    public var loadCount = 0
    public var loadSeconds: Double?

    public init(card: ModelCard, state: State, reason: String? = nil, places: String? = nil) {
        id = card.id
        self.card = card
        self.state = state
        self.reason = reason
        self.places = places
    }

    /// One whose file cannot be used.
    public init(id: String, unusable reason: String) {
        self.id = id
        state = .failed
        self.reason = reason
    }
}

/// An engine that is not unloaded while anybody holds this.
public final class ModelLease: Sendable {
    public let engine: any TextEngine
    private let onEnd: @Sendable () -> Void

    /// - Parameter onEnd: called when nobody holds the lease any more.
    public init(_ engine: any TextEngine, onEnd: @escaping @Sendable () -> Void = {}) {
        self.engine = engine
        self.onEnd = onEnd
    }

    deinit { onEnd() }
}

extension ModelListing.State {
    init(_ phase: EngineStatus.Phase) {
        switch phase {
        case .ready: self = .loaded
        case .recovering: self = .recovering
        case .unavailable: self = .unavailable
        case .stopped: self = .unloaded
        case .failed: self = .failed
        }
    }
}

/// One model that is always loaded. Requests get it whatever they call it, as with other servers of one model.
package final class SingleModel: ModelDirectory {
    private let engine: any TextEngine
    private let pool: NodePool?
    package let events: EventFeed

    package init(_ engine: any TextEngine, pool: NodePool? = nil, events: EventFeed = EventFeed()) {
        self.engine = engine
        self.pool = pool
        self.events = events
    }

    package var models: [ModelListing] {
        let status = engine.status
        var listing = ModelListing(
            card: engine.card, state: ModelListing.State(status.phase), reason: status.reason, places: NodeStatus.summary(engine.nodes))
        listing.loadCount = 1
        return [listing]
    }

    package var nodes: [NodeStatus] { engine.nodes }
    package var status: EngineStatus { engine.status }

    package func lease(_ name: String?) async throws(EngineError) -> ModelLease { ModelLease(engine) }
    package func setDrained(_ address: String, _ isDrained: Bool) -> Bool { pool?.setDrained(address, isDrained) ?? false }

    package func shutdown() async {
        await engine.shutdown()
        pool?.stop()
    }
}
