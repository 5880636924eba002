internal import Base
internal import Foundation
internal import Model
internal import NodeEngine
internal import RPCProto
internal import Synchronization
internal import Tensor

/// Keeps a model that is spread over machines running: finds new places for it when one is lost, uses those that come,
/// empties those that are about to go.
///
/// What is done when is decided by ``Keeper``, a value; here are its lock, the thread that does the work (see ``PlaceFinding``), and what
/// engine, pool and listeners are told.
final class ModelKeeper: PassKeeper {
    struct State {
        var keeper: Keeper
        /// Counts the events, each of which may bring the next moment nearer at which something is to be done.
        var eventCount = 0
        /// What is to be done by the thread, in order.
        var effects: [Keeper.Effect] = []
        /// Tells the work under way that it is in vain.
        var vanity = Vanity()
        var roster = NodeRoster(nodes: [])
        /// Whether the engine takes steps there, or what it had there last is still shown.
        var usesRoster = false
        var engine: EngineControl?
        var hasBegun = false
        var hasEnded = false
        /// Why there will be no places.
        var refusal: (any Error)?
    }

    /// Whether a piece of work is in vain.
    final class Vanity: Sendable {
        private let isInVain = Atomic(false)

        var holds: Bool { isInVain.load(ordering: .relaxed) }
        func set() { isInVain.store(true, ordering: .relaxed) }
    }

    let name: String
    let pool: NodePool
    private let makeRoom: (@Sendable () -> Bool)?
    private let monitor: Monitor<State>
    private let spread: Mutex<SpreadModel?>
    private let progress: Engines.Progress
    private let begin = ContinuousClock.now

    /// - Parameters:
    ///   - spread: the model's file, that nobody else uses.
    ///   - makeRoom: called where there is no room, from threads that may wait; returns whether there is more now. Without it, the model
    ///     waits for room.
    init(_ spread: sending SpreadModel, over pool: NodePool, makeRoom: (@Sendable () -> Bool)?, _ progress: @escaping Engines.Progress) {
        name = ModelCard.name(spread.options)
        self.pool = pool
        self.makeRoom = makeRoom
        self.progress = progress
        monitor = Monitor(State(keeper: Keeper(waits: makeRoom == nil)))
        self.spread = Mutex(spread)
    }

    // MARK: For any thread

    /// All machines that could have something of the model, with what each has.
    var nodes: [NodeStatus] {
        let roster = monitor.read { $0.roster }
        let used = Dictionary(roster.statuses.map { ($0.address, $0) }, uniquingKeysWith: { first, _ in first })
        var nodes = pool.statuses.map { status -> NodeStatus in
            guard status.state != .absent, var own = used[status.address], own.state != .unused else { return status }
            if status.state == .leaving || status.state == .drained { own.state = .leaving }
            own.models = [name]
            (own.name, own.route) = (status.name, status.route)
            return own
        }
        if var local = used[NodeRoster.localAddress] {
            if local.state == .ready { local.models = [name] }
            nodes.append(local)
        }
        return nodes
    }

    /// What is lost is found again.
    var loss: String? { nil }

    func suspended(_ reason: String) {
        // That something there is lost is known, and is no reason to give up the places that come next.
        monitor.change { $0.usesRoster = false }
        handle(.suspended(reason))
    }

    func letGo() { handle(.stop) }

    func stop() {
        handle(.stop)
        _ = monitor.wait(atMost: nil) { $0.hasEnded ? true : nil }
    }

    func breakOff() { user.withLock { $0?.breakOff() } }

    /// While the keeper's thread runs.
    private let user = Mutex<PoolUser?>(nil)

    func start(_ engine: EngineControl) throws {
        guard let spread = spread.withLock({ $0.take() }) else { throw EngineError.stopped }
        let user = pool.join { [weak self] in self?.workersChanged() }
        self.user.withLock { $0 = user }
        monitor.change { $0.engine = engine }
        // Handed over whole.
        nonisolated(unsafe) let work = PlaceFinding(spread, pool, user, name, progress)
        try SystemThread.start(name: "keeper") { [self] in run(work, user) }
        let refusal = monitor.wait(atMost: nil) { state -> (any Error)?? in
            if let refusal = state.refusal { return .some(refusal) }
            return state.hasBegun ? .some(nil) : state.hasEnded ? .some(EngineError.stopped) : nil
        }
        if let error = refusal ?? nil {
            stop()
            throw error
        }
    }

    private func workersChanged() {
        // Seen while nobody asks; a step that fails says so itself.
        let loss = monitor.read { $0.usesRoster ? $0.roster.loss ?? $0.roster.closure : nil }
        handle(loss.map(Keeper.Event.lossSeen) ?? .changed)
    }

    private var now: Keeper.Time { ContinuousClock.now - begin }

    private func handle(_ event: Keeper.Event) {
        let now = now
        monitor.change { state in
            state.eventCount += 1
            for effect in state.keeper.handle(event, at: now) {
                switch effect {
                case .abandon: state.vanity.set()
                case .work:
                    state.vanity = Vanity()
                    state.effects.append(effect)
                default: state.effects.append(effect)
                }
            }
        }
    }

    // MARK: The thread

    private func run(_ finding: PlaceFinding, _ user: PoolUser) {
        handle(.started)
        while true {
            let now = now
            let (seen, patience) = monitor.read { state in
                (state.eventCount, state.keeper.nextTick(now: now).map { max(.milliseconds(1), $0 - now) })
            }
            let call = monitor.wait(atMost: patience) { state -> Call? in
                guard let engine = state.engine, !state.effects.isEmpty else { return state.eventCount == seen ? nil : .look }
                return .perform(state.effects.removeFirst(), state.vanity, engine)
            }
            switch call {
            case .perform(let effect, let vanity, let engine):
                if !perform(effect, finding, vanity, engine) { return end(finding, user) }
            case .look: continue
            case nil:
                let isBusy = monitor.read { $0.engine }?.isBusy() ?? false
                handle(.tick(isBusy: isBusy))
            }
        }
    }

    /// What wakes the thread.
    private enum Call {
        case perform(Keeper.Effect, Vanity, EngineControl)
        /// Something happened that may have changed when the next tick is due.
        case look
    }

    private func end(_ finding: PlaceFinding, _ user: PoolUser) {
        finding.letGo()
        user.leave()
        self.user.withLock { $0 = nil }
        monitor.change { state in
            state.roster = NodeRoster(nodes: [])
            // Its closures hold on to the engine's thread.
            state.engine = nil
            state.hasEnded = true
        }
    }

    /// - Returns: false when it was the last.
    private func perform(_ effect: Keeper.Effect, _ finding: PlaceFinding, _ vanity: Vanity, _ engine: EngineControl) -> Bool {
        switch effect {
        case .work(.makeRoom): handle(.done(vanity.holds ? .abandoned : makeRoom(finding)))
        case .work(let work): handle(.done(finding.perform(work, vanity)))
        case .abandon: break
        case .resume:
            guard let pass = finding.take() else { break }
            monitor.change { state in
                state.roster = pass.roster
                state.usesRoster = true
            }
            engine.resume(pass.handover)
            // One that was lost in the moment before was in no roster when that was told.
            if pass.roster.loss ?? pass.roster.closure != nil { workersChanged() }
        case .suspend(let reason): engine.suspend(reason)
        case .turnAway(let reason, let endsAll): engine.turnAway(withAbsence(reason), endsAll ? .all : .waiting)
        case .settle: finding.settle()
        case .settleOnWeights: finding.settleOnWeights()
        case .tell(.placed, let message):
            let places = NodeStatus.summary(nodes) ?? "this machine"
            tell(.placed, "is on \(places), \(message)")
        case .tell(.unavailable, let reason): tell(.unavailable, withAbsence(reason))
        case .tell(let kind, let message): tell(kind, message)
        case .begun: monitor.change { $0.hasBegun = true }
        case .refused(let reason, let isShortage):
            let error = isShortage ? HeadError.noRoom(withAbsence(reason)) : finding.lastError ?? HeadError.placement(reason)
            monitor.change { $0.refusal = error }
            return false
        case .end: return false
        }
        return true
    }

    private func tell(_ kind: NodeEvent.Kind, _ message: String) { pool.events.tell(NodeEvent(kind, model: name, message)) }

    private func withAbsence(_ reason: String) -> String { pool.absence.map { "\(reason) (\($0))" } ?? reason }

    private func makeRoom(_ finding: PlaceFinding) -> Keeper.Outcome {
        let reason = finding.lastShortage
        guard let makeRoom else { return .noRoom(reason) }
        // Nobody's model is unloaded in vain.
        guard finding.couldFit else { return .noRoom("\(reason) Nor would it fit on these workers if nothing else were on them.") }
        return makeRoom() ? .roomMade : .noRoom(reason)
    }
}
