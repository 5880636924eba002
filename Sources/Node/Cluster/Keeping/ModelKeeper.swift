internal import Foundation
internal import Model
internal import RPCProto
internal import Synchronization
internal import Tensor

/// Keeps a model that is spread over machines running: finds new places for it when one is lost, uses those that come,
/// empties those that are about to go.
///
/// It does so on a thread of its own, with the engine's thread only letting go of the model and taking it up again.
final class ModelKeeper: Sendable {
    /// What the keeper has the engine do.
    struct Engine: Sendable {
        var resume: @Sendable (PassHandover) -> Void
        var suspend: @Sendable (_ reason: String) -> Void
        var turnAway: @Sendable (_ reason: String, _ endsAll: Bool) -> Void
        /// Whether requests are being worked on.
        var isBusy: @Sendable () -> Bool
    }

    private struct State {
        var roster = NodeRoster(nodes: [])
        /// Why the engine has let go of the model, when it has.
        var suspension: String?
        var isStopped = false
    }

    let name: String
    private let user: Int
    private let pool: NodePool
    private let makeRoom: @Sendable () -> Bool
    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameters:
    ///   - name: the model's.
    ///   - makeRoom: called where there is no room, from threads that may wait; returns whether there is more now.
    init(name: String, pool: NodePool, makeRoom: @escaping @Sendable () -> Bool) {
        self.name = name
        self.makeRoom = makeRoom
        user = pool.newUser()
        self.pool = pool
        pool.observe(as: user) { [weak self] in self?.wake() }
    }

    // MARK: For any thread

    /// All machines that could have something of the model, with what each has.
    var nodes: [NodeStatus] {
        let roster = state.withLock { $0.roster }
        let used = Dictionary(roster.statuses.map { ($0.address, $0) }, uniquingKeysWith: { first, _ in first })
        var nodes = pool.entries.map { entry -> NodeStatus in
            let status = entry.status
            guard status.state != .absent, var own = used[status.address], own.state != .unused else { return status }
            if status.state == .leaving || status.state == .drained { own.state = .leaving }
            own.models = [name]
            return own
        }
        if var local = used[NodeRoster.localAddress] {
            if local.state == .ready { local.models = [name] }
            nodes.append(local)
        }
        return nodes
    }

    /// To be called when the engine has let go of the model.
    func suspended(_ reason: String) {
        state.withLock { $0.suspension = reason }
        wake()
    }

    /// Returns when the thread has ended and has let go of all that is on workers.
    func stop() {
        state.withLock { $0.isStopped = true }
        wake()
        ended.wait()
        ended.signal()
        pool.forget(user)
    }

    /// Ends the connections that the model uses, for when an answer is not worth waiting for any more.
    func breakOff() { pool.breakOff(user) }

    private func wake() { wakeUp.signal() }
    private var isStopped: Bool { state.withLock { $0.isStopped } }

    // MARK: Running

    /// Starts the thread.
    ///
    /// - Parameter work: with the places that ``findFirstPlaces(_:waits:_:)`` found, if it did.
    func start(_ work: Work, _ engine: Engine) {
        // Handed over whole.
        nonisolated(unsafe) let work = work
        let thread = Thread { [self] in
            run(work, engine)
            work.spread.forgetAll()
            state.withLock { $0.roster = NodeRoster(nodes: []) }
            ended.signal()
        }
        thread.name = "swiftlet keeper"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// What the keeper's thread alone has.
    final class Work {
        let spread: SpreadModel
        /// Where the model is; nil while it is nowhere.
        var placed: PlacedModel?
        /// The pool's version that the places were found by.
        var version = 0
        /// When the model was last in its places.
        var outage: ContinuousClock.Instant?
        /// What was last said of there being no places.
        var complaint: String?

        init(_ spread: SpreadModel) { self.spread = spread }
    }

    private static let period = Duration.milliseconds(250)
    /// Between two attempts to find places, where the first found none.
    private static let retryTime = Duration.seconds(2)
    /// Between two lines about how far it is.
    private static let reportTime = Duration.seconds(5)
    /// For so long requests under way wait for a place to be found.
    private static let patience = Duration.seconds(60)
    /// For so long a model is not moved for gain while requests are under way.
    private static let quietTime = Duration.seconds(3)

    private func run(_ work: Work, _ engine: Engine) {
        var nextAttempt = ContinuousClock.now
        // An engine that begins without a place has been told so.
        if work.placed == nil {
            work.outage = .now
            suspended("it has no place yet")
        }
        while true {
            _ = wakeUp.wait(timeout: .now() + ModelKeeper.period / .seconds(1))
            if isStopped { return }
            guard let reason = state.withLock({ $0.suspension }) else {
                look(work, engine)
                continue
            }
            if work.placed != nil {
                work.placed = nil
                work.outage = .now
                pool.events.tell(NodeEvent(.recovering, model: name, reason))
                nextAttempt = .now
            }
            if ContinuousClock.now < nextAttempt, pool.version == work.version { continue }
            recover(work, engine)
            nextAttempt = .now + ModelKeeper.retryTime
        }
    }

    /// Finds places and has the engine go on; or tells it that there are none.
    private func recover(_ work: Work, _ engine: Engine) {
        let lastReport = Mutex(ContinuousClock.now)
        // Large models take their time, in which people want to see that it passes.
        let progress: Engines.Progress = { [pool, name] part in
            let isDue = lastReport.withLock { last in
                defer { if last.duration(to: .now) > ModelKeeper.reportTime { last = .now } }
                return last.duration(to: .now) > ModelKeeper.reportTime
            }
            if isDue { pool.events.tell(NodeEvent(.recovering, model: name, part.stage)) }
        }
        while !isStopped {
            do {
                let pass = try findPlaces(work, progress)
                state.withLock { $0.suspension = nil }
                engine.resume(PassHandover(pass))
                let seconds = work.outage.map { ($0.duration(to: .now) / .seconds(1)) } ?? 0
                let places = NodeStatus.summary(nodes) ?? "this machine"
                pool.events.tell(NodeEvent(.placed, model: name, "is on \(places), after \(String(format: "%.1f", seconds)) s"))
                work.outage = nil
                work.complaint = nil
                return
            } catch let error as BackendError where error.code == .connection {
                // Another one was lost meanwhile: on with the rest.
                Thread.sleep(forTimeInterval: 0.05)
            } catch HeadError.workers {
                Thread.sleep(forTimeInterval: 0.05)
            } catch HeadError.noRoom where makeRoom() {
                continue
            } catch {
                let isLong = work.outage.map { $0.duration(to: .now) > ModelKeeper.patience } ?? false
                let reason = pool.absence.map { "\(error) (\($0))" } ?? "\(error)"
                engine.turnAway(reason, isLong)
                if work.complaint != reason { pool.events.tell(NodeEvent(.unavailable, model: name, reason)) }
                work.complaint = reason
                return
            }
        }
    }

    /// Places the model on the workers that are there, brings what is missing, and makes it ready to take steps.
    ///
    /// - Throws: ``HeadError/noRoom(_:)`` where it fits nowhere; `BackendError` and ``HeadError/workers(_:)`` for a worker that was
    ///   lost, or could not do what was asked, which the pool knows then.
    func findPlaces(_ work: Work, _ progress: @escaping Engines.Progress = { _ in }) throws -> LoadedPass {
        // One model at a time: two that count on the same free memory would both be wrong.
        try pool.alone { try findPlacesAlone(work, progress) }
    }

    private func findPlacesAlone(_ work: Work, _ progress: @escaping Engines.Progress) throws -> LoadedPass {
        let spread = work.spread
        work.version = pool.version
        spread.forgetLost()
        var placed: PlacedModel
        do {
            placed = try spread.place(pool.gather(for: user, includesIdle: false))
        } catch HeadError.noRoom {
            placed = try spread.place(pool.gather(for: user, includesIdle: true))
        }
        spread.keepOnly(placed)
        let failures = spread.bring(&placed, isPatient: false, progress)
        for (connection, error) in failures { pool.giveUp(connection, "\(error)") }
        if !failures.isEmpty { throw HeadError.workers(failures.map { "\($0.error)" }) }
        let loaded = try spread.loaded(placed)
        let pass = try loaded.pass(slotCount: spread.slotCount, contextLength: spread.contextSize) { [pool] connection, error in
            pool.giveUp(connection, "\(error)")
        }
        try GenerationEngine.warmUp(pass)
        work.placed = placed
        state.withLock { $0.roster = pass.roster }
        pool.settle(user, on: placed.usedEndpoints)
        // Those that nobody holds a connection to may be of use too, but are not waited for now.
        if pool.hasIdle { work.version = -1 }
        return pass
    }

    /// As ``findPlaces(_:_:)``, for as long as workers are lost meanwhile.
    ///
    /// - Parameter waits: whether it is no failure that there is no room at present.
    /// - Returns: nil where there is none.
    func findFirstPlaces(_ work: Work, waits: Bool, _ progress: @escaping Engines.Progress) throws -> LoadedPass? {
        while true {
            do {
                return try findPlaces(work, progress)
            } catch let error as BackendError where error.code == .connection {
                Thread.sleep(forTimeInterval: 0.05)
            } catch HeadError.workers {
                Thread.sleep(forTimeInterval: 0.05)
            } catch HeadError.noRoom where makeRoom() {
                continue
            } catch HeadError.noRoom(let reason) where waits {
                pool.events.tell(NodeEvent(.unavailable, model: name, reason))
                return nil
            }
        }
    }

    // MARK: Moving

    /// While the engine takes steps: is everything still there, and is there anything better?
    private func look(_ work: Work, _ engine: Engine) {
        guard let placed = work.placed else { return }
        if let loss = state.withLock({ $0.roster.loss ?? $0.roster.closure }) { return engine.suspend(loss) }
        let version = pool.version
        guard version != work.version else { return }
        work.version = version
        let welcome = Set(pool.entries.filter(\.isWelcome).map(\.endpoint))
        let mustMove = !placed.usedEndpoints.isSubset(of: welcome)
        do {
            var better = try pool.alone { try spread(work, over: placed) }
            guard mustMove || better.isWorthMoving(from: placed) else { return pool.settle(user, on: placed.usedEndpoints) }
            // Part by part: when something is lost meanwhile, that comes first.
            while let failures = pool.alone({ work.spread.bringAhead(&better) }) {
                if isStopped || state.withLock({ $0.suspension != nil }) { return }
                // No more memory than was thought is no reason to give a worker up.
                if failures.contains(where: { $0.error.code != .connection }) { break }
                for (connection, error) in failures { pool.giveUp(connection, "\(error)") }
                if !failures.isEmpty { throw HeadError.workers(failures.map { "\($0.error)" }) }
            }
            let end = ContinuousClock.now + ModelKeeper.quietTime
            while engine.isBusy(), ContinuousClock.now < end, !isStopped {
                Thread.sleep(forTimeInterval: 0.05)
                if state.withLock({ $0.suspension != nil }) { return }
            }
            engine.suspend(mustMove ? "a worker is emptied" : "layers move to where they are better off")
        } catch HeadError.noRoom(let reason) {
            pool.settle(user, on: placed.usedEndpoints)
            if mustMove {
                pool.events.tell(NodeEvent(.unavailable, model: name, "cannot leave a worker that is to be emptied: \(reason)"))
            }
        } catch {
            // Whoever was lost is known to the pool; the next look begins anew.
            work.version = -1
        }
    }

    /// The places that would be found now, what the model has itself counting as free.
    private func spread(_ work: Work, over placed: PlacedModel) throws -> PlacedModel {
        try work.spread.place(pool.gather(for: user, includesIdle: true)) { connection, device in
            placed.placement.stages.reduce(0) { sum, stage in
                guard let source = placed.sources[stage.device], source.device == device,
                    placed.servers.servers[source.server].connection === connection
                else { return sum }
                return sum + stage.cacheByteCount
            }
        }
    }
}

extension PlacedModel {
    /// The workers that have something of the model.
    var usedEndpoints: Set<Endpoint> {
        Set(placement.stages.compactMap { sources[$0.device].map { servers.servers[$0.server].connection.endpoint } })
    }

    /// Whether these places are better enough to pay for moving: more machines share the work, or the one that has most has less.
    func isWorthMoving(from other: PlacedModel) -> Bool {
        if usedEndpoints == other.usedEndpoints, placement.stages.count == other.placement.stages.count {
            // The same machines: memory that came or went elsewhere is no reason to move.
            return false
        }
        if placement.stages.count > other.placement.stages.count { return true }
        return Double(placement.largestByteCount) < 0.9 * Double(other.placement.largestByteCount)
    }
}

extension Placement {
    /// Bytes of the stage that has most.
    fileprivate var largestByteCount: Int { stages.map { $0.weightByteCount + $0.cacheByteCount }.max() ?? 0 }
}
