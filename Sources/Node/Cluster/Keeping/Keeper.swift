/// What keeps a model in its places: a value without threads, clocks, workers or an engine. Events go in by ``handle(_:at:)``,
/// ``Effect``s come out, so that every order of events can be tested.
///
/// There are two sides. The **engine** takes steps, or has let go of the model (*suspended*), and says so. **Work** is what takes long and
/// is done by the keeper's thread, one piece at a time: finding places, bringing weights, making the model ready there. Whatever
/// happens meanwhile is remembered, and makes the work give up where it is in vain.
package struct Keeper: Sendable {
    package typealias Time = Duration

    // MARK: What goes in

    package enum Event: Sendable {
        /// The keeper's thread runs; the engine has nothing yet.
        case started
        /// The workers changed in a way that placements should know of.
        case changed
        /// The engine has let go of the model, because.
        case suspended(String)
        /// While nobody asked for anything, a machine that has something of the model turned out to be gone.
        case lossSeen(String)
        /// A piece of work ended.
        case done(Outcome)
        /// Time has passed.
        case tick(isBusy: Bool)
        case stop
    }

    /// How a piece of work ended.
    package enum Outcome: Hashable, Sendable {
        /// Places were found: ``Work/place(includesIdle:)``.
        case places
        /// Places were compared with those that the model has: ``Work/compare``.
        case compared(Comparison)
        /// Everything that was to be brought is there: ``Work/bring``, ``Work/bringAhead``.
        case brought
        /// A part was brought ahead; there may be more.
        case broughtPart
        /// What is left to bring does not fit beside what is used at present.
        case mustWaitForRoom
        /// Engine and model fit: ``Work/makeReady``.
        case ready
        /// Other models were unloaded: ``Work/makeRoom``.
        case roomMade
        /// It fits nowhere at present.
        case noRoom(String)
        /// Workers were lost on the way, or given up; those who care know already.
        case lost
        /// A worker had less memory than it said; that is noted.
        case doubted(String)
        /// It cannot be done, for a reason that is no worker's.
        case failed(String)
        /// It was given up on demand.
        case abandoned
    }

    /// What places that would be found now are like, beside those that the model has.
    package enum Comparison: Hashable, Sendable {
        /// Not better.
        case stay
        /// Better: worth moving while nobody is kept waiting for long.
        case gain
        /// Something is on a worker that is to be emptied.
        case mustMove
        /// Something is on a worker that is to be emptied, and fits nowhere else.
        case cannotMove(String)
    }

    // MARK: What comes out

    package enum Work: Hashable, Sendable {
        case place(includesIdle: Bool)
        case compare
        case bring
        case bringAhead
        case makeReady
        case makeRoom
    }

    package enum Effect: Hashable, Sendable {
        /// To be done by the thread, and answered with ``Event/done(_:)``; never while another is under way.
        case work(Work)
        /// Has the work under way end soon, from any thread: it is still answered.
        case abandon
        /// Has the engine go on in the places that were made ready.
        case resume
        /// Has the engine let go of the model, which it answers with ``Event/suspended(_:)``.
        case suspend(String)
        /// Has the engine tell requests that there is no place: those without an answer yet, or all.
        case turnAway(String, endsAll: Bool)
        /// Nothing is to be held of workers but what the places in use have.
        case settle
        /// Nothing is to be held of workers but what has weights.
        case settleOnWeights
        case tell(NodeEvent.Kind, String)
        /// The model has its first places, or has none and waits for them.
        case begun
        /// It came to nothing before it began: nothing is held any more, and the thread ends.
        case refused(String, isShortage: Bool)
        /// Lets go of everything on workers, and ends the thread.
        case end
    }

    // MARK: State

    private enum Engine: Hashable {
        case running
        /// It was asked to let go.
        case suspending
        case suspended
    }

    /// What the model moves for, while the engine still runs.
    private struct Move: Hashable {
        var mustMove: Bool
        /// When requests under way are no reason to wait any more; nil while things are brought, or while there is no end to waiting.
        var deadline: Time?
    }

    private var engine = Engine.suspended
    private var work: Work?
    private var isAbandoning = false
    private var move: Move?
    /// Whether workers changed since places were last found or compared.
    private var isStale = true
    /// Whether to look for places among all workers, because those that are at hand were not enough, or nothing is in a hurry.
    private var includesIdle = true
    /// When work may begin again that came to nothing.
    private var nextAttempt = Time.zero
    /// Since when the model is in no place.
    private var outage: Time?
    /// What was last said of there being no places.
    private var complaint: String?
    private var hasBegun = false
    /// Whether nothing was found at the last attempt, so that a change of workers is worth another at once.
    private var isWaitingForRoom = false
    private var isStopping = false
    package private(set) var hasEnded = false
    /// Whether it is no failure that there is no room at first.
    private let waits: Bool

    /// Between two attempts to find places, where the first found none.
    package static let retryTime = Duration.seconds(2)
    /// Before the next attempt, where somebody was lost in the last.
    package static let pause = Duration.milliseconds(50)
    /// For so long requests wait for a place that have no answer yet, once the model had one; what comes later is turned away until there
    /// is one again.
    package static let grace = Duration.seconds(5)
    /// For so long requests under way wait for a place to be found.
    package static let patience = Duration.seconds(60)
    /// Between two attempts to empty a worker whose layers fit nowhere else.
    package static let emptyingTime = Duration.seconds(10)
    /// For so long a model is not moved for gain while requests are under way.
    package static let quietTime = Duration.seconds(3)

    /// - Parameter waits: whether, where there is no room at first, the model waits for it; else that ends the keeper.
    package init(waits: Bool) { self.waits = waits }

    /// Whether the engine takes steps in places that were found.
    package var isRunning: Bool { engine == .running }
    package var workUnderWay: Work? { work }

    /// When ``Event/tick(isBusy:)`` is wanted next; nil if nothing waits for time to pass.
    package func nextTick(now: Time) -> Time? {
        if hasEnded || work != nil { return nil }
        if engine == .suspended { return isWaitingForRoom && isStale ? now : nextAttempt }
        if engine == .running, move != nil { return now + Keeper.pause }
        if engine == .running, isStale { return nextAttempt }
        return nil
    }

    // MARK: Events

    package mutating func handle(_ event: Event, at now: Time) -> [Effect] {
        if hasEnded { return [] }
        switch event {
        case .started:
            outage = now
            return go(now)
        case .changed:
            isStale = true
            return go(now)
        case .suspended(let reason): return suspended(reason, now)
        case .lossSeen(let reason):
            // It is a change of workers too, whatever the engine does.
            isStale = true
            guard engine == .running else { return go(now) }
            engine = .suspending
            return giveUpWork() + [.suspend(reason)]
        case .done(let outcome):
            guard let ended = work else { return [] }
            work = nil
            isAbandoning = false
            return done(ended, outcome, now)
        case .tick(let isBusy): return go(now, isBusy: isBusy)
        case .stop:
            isStopping = true
            return giveUpWork() + go(now)
        }
    }

    private mutating func suspended(_ reason: String, _ now: Time) -> [Effect] {
        if engine == .suspended { return [] }
        engine = .suspended
        move = nil
        outage = now
        nextAttempt = now
        isStale = true
        // Those at hand first: finding out whether others are still there can take seconds.
        includesIdle = false
        return giveUpWork() + [.tell(.recovering, reason)] + go(now)
    }

    private mutating func giveUpWork() -> [Effect] {
        guard work != nil, !isAbandoning else { return [] }
        isAbandoning = true
        return [.abandon]
    }

    private mutating func begin(_ next: Work) -> [Effect] {
        work = next
        return [.work(next)]
    }

    /// Does what is to be done next, if nothing is under way.
    private mutating func go(_ now: Time, isBusy: Bool = true) -> [Effect] {
        if work != nil { return [] }
        if isStopping {
            hasEnded = true
            return [.end]
        }
        switch engine {
        case .suspending: return []
        case .suspended:
            guard now >= nextAttempt || (isStale && isWaitingForRoom) else { return [] }
            isStale = false
            isWaitingForRoom = false
            return begin(.place(includesIdle: includesIdle))
        case .running:
            if let move { return goOn(move, now, isBusy: isBusy) }
            guard isStale, now >= nextAttempt else { return [] }
            isStale = false
            return begin(.compare)
        }
    }

    /// Goes on with a move while the engine runs.
    private mutating func goOn(_ move: Move, _ now: Time, isBusy: Bool) -> [Effect] {
        if isStale, now >= nextAttempt {
            // What seemed best may be so no more. Nothing that was brought is lost by looking again.
            self.move = nil
            isStale = false
            return begin(.compare)
        }
        if !isBusy || move.deadline.map({ now >= $0 }) ?? false {
            self.move = nil
            engine = .suspending
            return [.suspend(move.mustMove ? "a worker is emptied" : "layers move to where they are better off")]
        }
        return []
    }

    private mutating func done(_ ended: Work, _ outcome: Outcome, _ now: Time) -> [Effect] {
        if isStopping { return go(now) }
        switch ended {
        case .place: return placed(outcome, now)
        case .bring, .makeReady: return brought(ended, outcome, now)
        case .makeRoom:
            if case .roomMade = outcome { return begin(.place(includesIdle: true)) }
            if case .noRoom(let reason) = outcome { return turnAway(reason, isShortage: true, now) }
            return again(now, after: Keeper.pause)
        case .compare, .bringAhead: return engine == .running ? compared(ended, outcome, now) : afterMove(now)
        }
    }

    // MARK: Without a place

    private mutating func placed(_ outcome: Outcome, _ now: Time) -> [Effect] {
        switch outcome {
        case .places: return begin(.bring)
        case .noRoom where !includesIdle:
            includesIdle = true
            return begin(.place(includesIdle: true))
        case .noRoom: return begin(.makeRoom)
        case .failed(let reason): return turnAway(reason, isShortage: false, now)
        default: return again(now, after: Keeper.pause)
        }
    }

    private mutating func brought(_ ended: Work, _ outcome: Outcome, _ now: Time) -> [Effect] {
        switch outcome {
        case .brought where ended == .bring: return begin(.makeReady)
        case .ready where ended == .makeReady:
            let seconds = (now - (outage ?? now)) / .seconds(1)
            engine = .running
            outage = nil
            complaint = nil
            nextAttempt = now
            // Those that nobody holds a connection to may be of use too, but were not waited for.
            if !includesIdle { isStale = true }
            includesIdle = true
            let isFirst = !hasBegun
            hasBegun = true
            return [.resume, .settle, .tell(.placed, "after \((seconds * 10).rounded() / 10) s")] + (isFirst ? [.begun] : []) + go(now)
        case .failed(let reason): return turnAway(reason, isShortage: false, now)
        case .noRoom(let reason): return turnAway(reason, isShortage: true, now)
        case .doubted(let reason):
            return [.tell(.recovering, reason)] + again(now, after: Keeper.pause)
        default: return again(now, after: Keeper.pause)
        }
    }

    /// Tries once more, with what workers are left.
    private mutating func again(_ now: Time, after pause: Duration) -> [Effect] {
        nextAttempt = now + pause
        return []
    }

    private mutating func turnAway(_ reason: String, isShortage: Bool, _ now: Time) -> [Effect] {
        if !hasBegun, !waits || !isShortage {
            hasEnded = true
            return [.refused(reason, isShortage: isShortage)]
        }
        nextAttempt = now + Keeper.retryTime
        includesIdle = true
        isWaitingForRoom = true
        var effects: [Effect] = []
        if hasBegun, let outage, now - outage < Keeper.grace {
            // A worker that moves, or is started anew, is back within seconds.
            nextAttempt = min(nextAttempt, outage + Keeper.grace)
        } else {
            effects.append(.turnAway(reason, endsAll: outage.map { now - $0 > Keeper.patience } ?? false))
        }
        effects.append(.settleOnWeights)
        if complaint != reason { effects.append(.tell(.unavailable, reason)) }
        complaint = reason
        if !hasBegun {
            hasBegun = true
            effects.append(.begun)
        }
        // Whoever came meanwhile may be of use.
        return effects + go(now)
    }

    // MARK: While the engine runs

    private mutating func compared(_ ended: Work, _ outcome: Outcome, _ now: Time) -> [Effect] {
        switch outcome {
        case .compared(.stay):
            complaint = nil
            return stay()
        case .compared(.gain): move = Move(mustMove: false)
        case .compared(.mustMove): move = Move(mustMove: true)
        case .compared(.cannotMove(let reason)):
            // Room can come about without a worker's coming or going, when another model is unloaded or another head's.
            isStale = true
            nextAttempt = now + Keeper.emptyingTime
            let isNews = complaint != reason
            complaint = reason
            return stay() + (isNews ? [.tell(.unavailable, "cannot leave a worker that is to be emptied: \(reason)")] : [])
        case .broughtPart where move != nil:
            // When workers change, the rest may be for nothing.
            if isStale { return go(now) }
        case .brought where move != nil:
            move?.deadline = now + Keeper.quietTime
            return []
        case .mustWaitForRoom where move != nil:
            // The rest is brought while the model is nowhere: for gain only when nobody is kept waiting by that.
            if move?.mustMove == true { move?.deadline = now + Keeper.quietTime }
            return []
        case .doubted(let reason):
            // No more memory than was thought is no reason to give a worker up, nor to keep requests waiting for it.
            let wasObliged = move?.mustMove ?? false
            move = nil
            isStale = true
            nextAttempt = now + (wasObliged ? Keeper.retryTime : Keeper.pause)
            return stay() + (wasObliged ? [.tell(.unavailable, "cannot leave a worker that is to be emptied yet: \(reason)")] : [])
        case .lost, .abandoned:
            // What others were brought stays there for the next comparison to decide about.
            move = nil
            isStale = true
            nextAttempt = now + Keeper.pause
            return []
        case .failed(let reason), .noRoom(let reason):
            // A worker that is to be emptied is so still.
            if move?.mustMove ?? false { isStale = true }
            move = nil
            nextAttempt = now + Keeper.retryTime
            return stay() + [.tell(.unavailable, reason)]
        default:
            move = nil
            return stay()
        }
        return begin(.bringAhead)
    }

    private func stay() -> [Effect] { [.settle] }

    /// Work for a move that a loss overtook.
    private mutating func afterMove(_ now: Time) -> [Effect] {
        move = nil
        return go(now)
    }
}
