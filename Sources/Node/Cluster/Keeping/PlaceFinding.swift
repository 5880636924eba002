internal import Foundation
internal import Model
internal import NodeEngine
internal import RPCProto
internal import Synchronization
internal import Tensor

/// The work of a keeper's thread: gathers workers, places the model on them, brings weights, sets caches aside. One thread.
final class PlaceFinding {
    private let spread: SpreadModel
    private let pool: NodePool
    private let user: PoolUser
    private let name: String
    private let firstProgress: Engines.Progress
    private var hasBegun = false

    /// Where the model is, or was last.
    private var current: PlacedModel?
    /// Where it is to be.
    private var wanted: PlacedModel?
    private var ready: LoadedPass?

    /// Why the last piece of work came to nothing, for those who waited for it.
    private(set) var lastError: (any Error)?
    private(set) var lastShortage = "there is no room for it"
    /// Whether there would be room on the workers that were there last, were nothing else on them.
    private(set) var couldFit = true

    /// A worker that was asked for too much may take this long to be there again, beginning anew if it has to.
    private static let returnTime = Duration.seconds(15)

    /// Between two lines about how far it is.
    private static let reportTime = Duration.seconds(5)

    /// - Parameter progress: told of the way to the first places.
    init(_ spread: SpreadModel, _ pool: NodePool, _ user: PoolUser, _ name: String, _ progress: @escaping Engines.Progress) {
        self.spread = spread
        self.pool = pool
        self.user = user
        self.name = name
        firstProgress = progress
    }

    func perform(_ work: Keeper.Work, _ vanity: ModelKeeper.Vanity) -> Keeper.Outcome {
        do {
            switch work {
            case .place(let includesIdle): return try place(includesIdle: includesIdle, vanity)
            case .compare: return try compare(vanity)
            case .bring: return bring(vanity)
            case .bringAhead: return bringAhead(vanity)
            case .makeReady: return try makeReady(vanity)
            case .makeRoom: return .noRoom(lastShortage)
            }
        } catch let error as BackendError where error.code == .connection {
            // Whoever was lost is known to the pool, or will be: the connection says so.
            return .lost
        } catch HeadError.noRoom(let reason) {
            lastShortage = reason
            return .noRoom(reason)
        } catch {
            lastError = error
            return .failed("\(error)")
        }
    }

    // MARK: Finding

    private func place(includesIdle: Bool, _ vanity: ModelKeeper.Vanity) throws -> Keeper.Outcome {
        current = nil
        ready = nil
        spread.forgetLost()
        let placed = try user.inTurn({ vanity.holds }) {
            let servers = user.gather(includesIdle: includesIdle)
            do {
                let placed = try spread.place(servers, available: { user.available($0) })
                reserve(placed)
                return placed
            } catch HeadError.noRoom(let reason) {
                couldFit = spread.fitsWithoutOthers(servers)
                throw HeadError.noRoom(reason)
            }
        }
        guard let placed else { return .abandoned }
        wanted = placed
        return .places
    }

    /// Notes what the placement will take beside what is there already, so that no other model counts on it.
    private func reserve(_ placed: PlacedModel) {
        var bytes: [DeviceID: Int] = [:]
        for (index, stage) in placed.placement.stages.enumerated() {
            bytes[placed.sources[stage.device]] = max(0, stage.neededByteCount - spread.keptByteCount(ofStage: index, placed))
        }
        user.reserve(bytes)
    }

    private func compare(_ vanity: ModelKeeper.Vanity) throws -> Keeper.Outcome {
        guard let current else { return .compared(.stay) }
        let welcome = Set(pool.entries.filter(\.isWelcome).map(\.id))
        let mustMove = !current.usedNodes.isSubset(of: welcome)
        do {
            let better = try user.inTurn({ vanity.holds }) { try spread(over: current) }
            guard let better else { return .abandoned }
            guard mustMove || better.isWorthMoving(from: current) else { return .compared(.stay) }
            wanted = better
            return .compared(mustMove ? .mustMove : .gain)
        } catch HeadError.noRoom(let reason) {
            return .compared(mustMove ? .cannotMove(reason) : .stay)
        }
    }

    /// The places that would be found now, what the model has itself counting as free.
    private func spread(over placed: PlacedModel) throws -> PlacedModel {
        let servers = user.gather(includesIdle: true)
        return try spread.place(servers, available: { user.available($0) }) { id in
            placed.placement.stages.reduce(0) { sum, stage in
                guard placed.sources[stage.device] == id else { return sum }
                if case .remote(let node, _) = id {
                    // Connected to anew, it has nothing any more.
                    guard let (number, _) = placed.server(of: id),
                        servers.servers.contains(where: { $0.id == node && $0.connection === placed.servers.servers[number].connection })
                    else { return sum }
                }
                return sum + stage.cacheByteCount
            }
        }
    }

    // MARK: Bringing

    private func bring(_ vanity: ModelKeeper.Vanity) -> Keeper.Outcome {
        guard var placed = wanted else { return .abandoned }
        spread.keepOnly(placed)
        // From then on the worker itself counts it as used, long before all is brought.
        let failures = spread.bring(
            &placed, isPatient: false, isInVain: { vanity.holds },
            onAllocated: { [user] id, device, bytes in user.take(bytes, of: id, device: device) }, progress())
        wanted = placed
        if let outcome = outcome(of: failures) { return outcome }
        // What is there now the workers count themselves; caches and room to compute are still to come.
        reserve(placed)
        return .brought
    }

    private func bringAhead(_ vanity: ModelKeeper.Vanity) -> Keeper.Outcome {
        guard var placed = wanted else { return .abandoned }
        defer { wanted = placed }
        switch spread.bringAhead(&placed, isInVain: { vanity.holds }) {
        case .all: return .brought
        case .noRoom: return .mustWaitForRoom
        case .some(let failures): return outcome(of: failures) ?? .broughtPart
        }
    }

    /// Tells the pool of workers that could not be served.
    ///
    /// - Returns: nil if all could.
    private func outcome(of failures: [SpreadModel.Failure]) -> Keeper.Outcome? {
        var outcome: Keeper.Outcome?
        for failure in failures {
            switch failure.error.code {
            case .cancelled: outcome = outcome ?? .abandoned
            case .connection:
                pool.lose(failure.server, .connection("\(failure.error)"))
                outcome = .lost
            case .outOfMemory:
                // It is of use all the same, with less on it.
                pool.doubt(
                    failure.server, device: failure.device, needed: failure.byteCount,
                    own: spread.keptByteCount(on: failure.server.connection, failure.device))
                if outcome != .lost { outcome = .doubted("\(failure.error)") }
            default:
                pool.lose(failure.server, .unusable("\(failure.error)"))
                outcome = .lost
            }
        }
        return outcome
    }

    /// Large models take their time, in which people want to see that it passes.
    private func progress() -> Engines.Progress {
        let lastReport = Mutex(ContinuousClock.now)
        let (pool, name, isFirst, first) = (pool, name, !hasBegun, firstProgress)
        return { part in
            if isFirst { return first(part) }
            let isDue = lastReport.withLock { last in
                guard last.duration(to: .now) > PlaceFinding.reportTime else { return false }
                last = .now
                return true
            }
            if isDue { pool.events.tell(NodeEvent(.recovering, model: name, part.stage)) }
        }
    }

    // MARK: Making ready

    private func makeReady(_ vanity: ModelKeeper.Vanity) throws -> Keeper.Outcome {
        guard let placed = wanted else { return .abandoned }
        let loaded = try spread.loaded(placed) { vanity.holds }
        let firstSeat = loaded.seats.count - placed.placement.stages.count
        let last = placed.server(ofStage: placed.placement.stages.count - 1)?.server.id
        do {
            let pass = try loaded.pass(
                slotCount: spread.slotCount, contextLength: spread.contextSize,
                sendsAllLogits: last.map { pool.needsAllLogits($0) } ?? false)
            try pass.warmUp()
            ready = pass
            current = placed
            hasBegun = true
            return .ready
        } catch let error as SeatError {
            return try outcome(of: error, placed, firstSeat, vanity)
        }
    }

    /// What follows from a seat that could not do what was asked of it.
    private func outcome(
        of failure: SeatError, _ placed: PlacedModel, _ firstSeat: Int, _ vanity: ModelKeeper.Vanity
    ) throws -> Keeper.Outcome {
        guard let (server, device) = placed.server(ofStage: failure.seat - firstSeat) else { throw failure.error }
        if failure.isForCandidates, pool.noteNeedsAllLogits(server.id) {
            pool.events.tell(
                NodeEvent(
                    .recovering, node: "\(server.id)", name: server.name, model: name,
                    "cannot pick the likeliest tokens itself, so all logits are sent: \(failure.error)"))
            // It may be the only one there is, and is as good as before.
            pool.lose(server, .overAsked("\(failure.error)"))
            pool.waitUntilBack(server.id, atMost: PlaceFinding.returnTime) { vanity.holds }
            return .lost
        }
        let error = failure.error as? BackendError
        switch error?.code {
        case .outOfMemory:
            let own = spread.keptByteCount(on: server.connection, device)
            pool.doubt(
                server, device: device, needed: max(0, placed.placement.stages[failure.seat - firstSeat].neededByteCount - own), own: own)
            return .doubted("\(failure.error)")
        case .connection where !failure.isForCandidates: pool.lose(server, .connection("\(failure.error)"))
        default: pool.lose(server, .unusable("\(failure)"))
        }
        return .lost
    }

    // MARK: Settling

    /// What was made ready, to be handed on once.
    func take() -> (handover: PassHandover, roster: NodeRoster)? {
        guard let ready, let current else { return nil }
        self.ready = nil
        let roster = current.roster(firstSeat: ready.pass.stages.count - current.placement.stages.count, ready.meters)
        return (PassHandover(ready), roster)
    }

    /// Lets go of all that the places in use do not have.
    func settle() {
        guard let current else { return settleOnWeights() }
        wanted = nil
        spread.keepOnly(current)
        user.settle(on: current.usedNodes, isInPlace: true)
    }

    /// Lets go of all workers that have nothing of the model's weights.
    func settleOnWeights() {
        ready = nil
        spread.forgetLost()
        user.reserve([:])
        user.settle(on: spread.keptNodes)
    }

    /// Lets go of everything.
    func letGo() {
        ready = nil
        current = nil
        wanted = nil
        spread.forgetAll()
    }
}
