package import Tensor

/// What is known of the workers that a head may use, and who uses them: a value without threads, clocks or sockets. Events go in
/// by methods, ``Effect``s come out, so that every order of events can be tested.
///
/// Each worker has one entry, which at any moment is with at most one who connects to it: a stock server serves a single
/// connection, so two who tried at once would take each other's answers. Connections (*links*) are numbered by whoever makes them. A link
/// is held for as long as the worker has users, and is closed with the last.
package struct Membership {
    /// Time since some moment in the past.
    package typealias Time = Duration
    /// One who uses workers, a model's keeper; never the same number twice.
    package typealias User = Int
    /// A connection.
    package typealias Link = Int

    package enum Presence: Hashable, Sendable {
        /// It cannot be used, because.
        case absent(String)
        /// Somebody connects to it; what it was before.
        case connecting(attempt: Int, wasIdle: Bool)
        /// It answers, and nobody uses it; no connection is held, since a stock server has only one to give.
        case idle
        case held(Link)
    }

    package struct Entry: Sendable {
        package let id: NodeID
        package fileprivate(set) var presence = Presence.absent("it has not been reached yet")
        /// It is being stopped: it keeps what it has for a while, and should get nothing more.
        package fileprivate(set) var isLeaving = false
        /// It was emptied by command.
        package fileprivate(set) var isDrained = false
        /// Whether it is still in the list of workers: one that is not goes when nobody uses it.
        package fileprivate(set) var isListed = true
        /// Those who have, or are about to have, something on it.
        package fileprivate(set) var users: Set<User> = []
        /// What its devices said last; empty before it was ever there.
        package fileprivate(set) var memory: [DeviceMemory] = []
        /// Whether it has been looked for at all.
        package fileprivate(set) var isKnown = false
        package fileprivate(set) var penalty = Duration.zero
        /// When it may be looked at next.
        package fileprivate(set) var nextLook: Time
        /// Why it was absent before somebody began to connect.
        fileprivate var lastReason = "it has not been reached yet"
        fileprivate var since = Time.zero
        /// When it was last said to be at another place.
        fileprivate var moved: Time?
        fileprivate var isBeingAsked = false
        /// Whether it was lost with its connection, and not for what it did.
        fileprivate var isLostByConnection = false
        /// When it last said what memory it has.
        fileprivate var heard = Time.zero
        /// Whether a model has been in its places on it since it came.
        fileprivate var isProven = false
        fileprivate var claims = MemoryClaims()
        fileprivate var idleMemory = IdleMemory()
        /// Its place in the list.
        fileprivate let order: Int

        fileprivate init(_ id: NodeID, order: Int, nextLook: Time) {
            self.id = id
            self.order = order
            self.nextLook = nextLook
        }

        /// Whether layers may be put on it.
        package var isWelcome: Bool { !isLeaving && !isDrained && isListed }

        /// Whether it is known to be there, as far as is known without asking.
        package var isThere: Bool {
            switch presence {
            case .absent, .connecting(_, wasIdle: false): false
            case .idle, .held, .connecting: true
            }
        }

        package var isConnecting: Bool {
            if case .connecting = presence { return true }
            return false
        }

        package var link: Link? {
            if case .held(let link) = presence { return link }
            return nil
        }
    }

    /// What is to be done outside.
    package enum Effect: Hashable, Sendable {
        case close(Link)
        case tell(NodeEvent.Kind, NodeID, String)
        /// Something changed by which better or other places may be found.
        case changed
    }

    /// A look at a worker that is to be taken now; each ends with the method that its comment names.
    package enum Look: Hashable, Sendable {
        /// ``connected(_:attempt:link:_:at:)`` or ``failed(_:attempt:_:at:)``.
        case connect(NodeID, attempt: Int)
        /// ``answered(_:link:_:at:)`` or ``lost(_:link:_:at:)``.
        case ask(NodeID, Link)
    }

    /// A worker that may be used, and how to come to it.
    package enum Candidate: Hashable, Sendable {
        case held(NodeID, Link)
        /// To be connected to by who asked.
        case connect(NodeID, attempt: Int)
        /// Somebody connects already: wait until it is held or not.
        case wait(NodeID)
    }

    /// Why a worker that was held is so no more.
    package enum Loss: Hashable, Sendable {
        /// The connection broke, or nothing came over it.
        case connection(String)
        /// It could not do what was asked of it, and is given up for a while.
        case unusable(String)
        /// It ended the connection over something that it will not be asked for again.
        case overAsked(String)

        var reason: String {
            switch self {
            case .connection(let reason), .unusable(let reason), .overAsked(let reason): reason
            }
        }
    }

    /// By id, in the order of the list.
    package private(set) var order: [NodeID] = []
    private var table: [NodeID: Entry] = [:]
    package private(set) var isStopped = false
    private var users: Set<User> = []
    /// Of this machine's memory.
    private var localClaims = MemoryClaims()
    private var userCount = 0
    private var attemptCount = 0
    private var listCount = 0

    /// Between two looks at a worker that is there, and at one that is not.
    package static let period = Duration.seconds(1)
    /// One that is busy with a step each time that it is looked at is asked all the same after this.
    package static let unheardTime = Duration.seconds(2)
    /// Between two looks at one that is there and has nothing.
    package static let idlePeriod = Duration.seconds(10)
    /// One that is lost is tried again after this, where nothing speaks against it.
    package static let returnTime = Duration.milliseconds(500)
    /// A worker that stayed for less than this is let back in later each time.
    package static let flappingTime = Duration.seconds(10)
    package static let longestPenalty = Duration.seconds(60)
    /// For so long a device that had less than it said counts with less.
    package static let doubtTime = Duration.seconds(600)

    package init() {}

    package var entries: [Entry] { order.compactMap { table[$0] } }

    package subscript(id: NodeID) -> Entry? { table[id] }

    // MARK: The list

    /// A worker is in the list, maybe again.
    package mutating func list(_ id: NodeID, at now: Time) -> [Effect] {
        if isStopped { return [] }
        guard table[id] == nil else {
            if table[id]?.isListed == true { return [] }
            table[id]?.isListed = true
            return [.changed]
        }
        listCount += 1
        order.append(id)
        table[id] = Entry(id, order: listCount, nextLook: now)
        return []
    }

    /// A worker in the list is at another place, too. That its connections break then says nothing of what it is good for.
    package mutating func moved(_ id: NodeID, at now: Time) {
        guard var entry = table[id] else { return }
        entry.moved = now
        if case .absent = entry.presence, entry.isLostByConnection {
            entry.penalty = .zero
            entry.nextLook = min(entry.nextLook, now)
        }
        table[id] = entry
    }

    /// A worker is in the list no more: it is emptied, and forgotten when nobody uses it.
    package mutating func unlist(_ id: NodeID) -> [Effect] {
        guard let entry = table[id], entry.isListed else { return [] }
        table[id]?.isListed = false
        let isUsed = !entry.users.isEmpty
        let effects = forgetUnlisted(id)
        return effects + [.tell(.leaving, id, isUsed ? "is listed no more, and is emptied" : "is listed no more"), .changed]
    }

    private mutating func forgetUnlisted(_ id: NodeID) -> [Effect] {
        // While somebody connects the entry stays: listed again meanwhile, the worker would be connected to twice.
        guard table[id]?.isListed == false, table[id]?.users.isEmpty == true, table[id]?.isConnecting == false else { return [] }
        let link = table[id]?.link
        table[id] = nil
        order.removeAll { $0 == id }
        if let link { return [.close(link)] }
        return []
    }

    // MARK: Looking

    /// A look that is due, if there is one; it is under way from here on.
    package mutating func nextDueLook(at now: Time) -> Look? {
        if isStopped { return nil }
        var due: Entry?
        for entry in table.values where isLookedAt(entry) && entry.nextLook <= now {
            if let other = due, (other.nextLook, other.order) <= (entry.nextLook, entry.order) { continue }
            due = entry
        }
        guard let due else { return nil }
        guard let link = due.link else { return .connect(due.id, attempt: beginAttempt(due.id)) }
        table[due.id]?.isBeingAsked = true
        return .ask(due.id, link)
    }

    /// Whether the next look at it only waits for its time.
    private func isLookedAt(_ entry: Entry) -> Bool {
        switch entry.presence {
        case .absent, .idle: true
        case .held: !entry.isBeingAsked
        case .connecting: false
        }
    }

    /// When the next look is due; nil if none is before something else happens.
    package var nextLook: Time? {
        if isStopped { return nil }
        var next: Time?
        for entry in table.values where isLookedAt(entry) { next = min(next ?? entry.nextLook, entry.nextLook) }
        return next
    }

    private mutating func beginAttempt(_ id: NodeID) -> Int {
        attemptCount += 1
        var wasIdle = false
        switch table[id]?.presence {
        case .absent(let reason): table[id]?.lastReason = reason
        case .idle: wasIdle = true
        default: break
        }
        table[id]?.presence = .connecting(attempt: attemptCount, wasIdle: wasIdle)
        return attemptCount
    }

    /// An attempt to connect came through.
    package mutating func connected(_ id: NodeID, attempt: Int, link: Link, _ memory: [DeviceMemory], at now: Time) -> [Effect] {
        guard var entry = table[id], case .connecting(attempt, let wasIdle) = entry.presence, !isStopped else { return [.close(link)] }
        let isLeaving = Membership.saysLeaving(memory, before: entry.memory)
        let message = wasIdle && isLeaving == entry.isLeaving ? nil : isLeaving ? "is about to stop" : "is there"
        if !wasIdle {
            entry.since = now
            entry.isProven = false
        }
        entry.isKnown = true
        entry.heard = now
        entry.isLeaving = isLeaving
        entry.isBeingAsked = false
        entry.note(memory)
        let isBelievedAgain = entry.claims.forgetDoubts(before: now - Membership.doubtTime)
        // Another head may have left it.
        let hasRoomAgain = entry.idleMemory.note(entry.memory, isFirst: !wasIdle)
        let isWanted = !entry.users.isEmpty
        entry.presence = isWanted ? .held(link) : .idle
        entry.nextLook = now + (isWanted || isLeaving ? Membership.period : Membership.idlePeriod)
        table[id] = entry
        var effects: [Effect] = isWanted ? [] : [.close(link)]
        if !entry.isListed, !isWanted { return effects + forgetUnlisted(id) }
        if let message { effects += [.tell(isLeaving ? .leaving : .joined, id, message)] }
        if message != nil || isBelievedAgain || hasRoomAgain { effects += [.changed] }
        return effects
    }

    /// An attempt to connect came to nothing.
    package mutating func failed(_ id: NodeID, attempt: Int, _ reason: String, at now: Time) -> [Effect] {
        guard var entry = table[id], case .connecting(attempt, let wasIdle) = entry.presence else { return [] }
        let isNews = wasIdle || !entry.isKnown
        entry.isKnown = true
        // One that comes and goes makes others look for places each time, also while nobody uses it.
        if wasIdle { entry.penalty = now - entry.since < Membership.idlePeriod * 2 ? entry.nextPenalty : .zero }
        entry.presence = .absent(reason)
        entry.isLeaving = false
        entry.users = []
        entry.claims = MemoryClaims()
        entry.nextLook = now + max(Membership.period, entry.penalty)
        table[id] = entry
        let effects: [Effect] = isNews && entry.isListed ? [.tell(.lost, id, reason), .changed] : []
        return effects + forgetUnlisted(id)
    }

    /// A worker that was asked said what memory it has.
    package mutating func answered(_ id: NodeID, link: Link, _ memory: [DeviceMemory], at now: Time) -> [Effect] {
        guard var entry = table[id], entry.link == link else { return [] }
        let isLeaving = Membership.saysLeaving(memory, before: entry.memory)
        let isNews = isLeaving != entry.isLeaving
        entry.heard = now
        entry.isLeaving = isLeaving
        entry.isBeingAsked = false
        entry.nextLook = now + Membership.period
        entry.note(memory)
        // What took the rest of a device's memory may have gone since.
        let isBelievedAgain = entry.claims.forgetDoubts(before: now - Membership.doubtTime)
        table[id] = entry
        if !isNews { return isBelievedAgain ? [.changed] : [] }
        return [.tell(isLeaving ? .leaving : .joined, id, isLeaving ? "is about to stop, and is emptied" : "stays after all"), .changed]
    }

    /// A worker is busy with a step, which would have to be waited for: it is looked at again soon.
    ///
    /// - Returns: false if it has said nothing for so long that it is to be asked all the same: it may be about to stop.
    package mutating func wasBusy(_ id: NodeID, link: Link, at now: Time) -> Bool {
        guard let entry = table[id], entry.link == link else { return true }
        if now - entry.heard > Membership.unheardTime { return false }
        table[id]?.isBeingAsked = false
        table[id]?.nextLook = now + Membership.period / 4
        return true
    }

    /// A worker that was held is lost, or given up.
    package mutating func lost(_ id: NodeID, link: Link, _ loss: Loss, at now: Time) -> [Effect] {
        // It may be back already, over another connection.
        guard var entry = table[id], entry.link == link else { return [] }
        // One that comes and goes, or cannot do what it is wanted for, is of no use: each loss costs the others a placement. A
        // connection that broke after a good time says nothing of that kind.
        let isGood = entry.isProven && now - entry.since >= Membership.flappingTime
        let hasMoved = entry.moved.map { $0 >= entry.since } ?? false
        let stayed =
            switch loss {
            case .connection: isGood || hasMoved
            case .unusable: false
            case .overAsked: true
            }
        entry.isLostByConnection = if case .connection = loss { true } else { false }
        entry.penalty = stayed ? .zero : entry.nextPenalty
        entry.presence = .absent(loss.reason)
        entry.isLeaving = false
        entry.users = []
        entry.claims = MemoryClaims()
        entry.nextLook = now + max(Membership.returnTime, entry.penalty)
        table[id] = entry
        let effects: [Effect] = [.close(link)]
        if isStopped { return effects }
        var rest = ""
        if entry.penalty > .zero {
            let why = if case .unusable = loss { "" } else { "it had just come, so " }
            rest = " (\(why)it is not tried for \(Int(entry.penalty / .seconds(1))) s)"
        }
        return effects + [.tell(.lost, id, loss.reason + rest), .changed] + forgetUnlisted(id)
    }

    /// Ours says so when it is told to stop: no memory where there was some.
    private static func saysLeaving(_ memory: [DeviceMemory], before: [DeviceMemory]) -> Bool {
        memory.allSatisfy { $0.total == 0 && $0.free == 0 } && before.contains { $0.total > 0 }
    }

    // MARK: Using

    /// A new user.
    package mutating func join() -> User {
        userCount += 1
        users.insert(userCount)
        return userCount
    }

    /// A user is gone: nothing is held for it any more.
    package mutating func leave(_ user: User, at now: Time) -> [Effect] {
        users.remove(user)
        return settle(user, on: [], at: now)
    }

    /// The workers that may be used now; the user counts as one of theirs until ``settle(_:on:at:)`` says which it has something on.
    ///
    /// - Parameter includesIdle: those too to which no connection is held: finding out whether one is still there can take seconds.
    package mutating func gather(for user: User, includesIdle: Bool) -> [Candidate] {
        if isStopped || !users.contains(user) { return [] }
        var candidates: [Candidate] = []
        for id in order {
            guard let entry = table[id], entry.isWelcome else { continue }
            switch entry.presence {
            case .absent, .connecting(_, wasIdle: false): continue
            case .held(let link): candidates.append(.held(id, link))
            case .connecting where includesIdle || !entry.users.isEmpty: candidates.append(.wait(id))
            case .idle where includesIdle: candidates.append(.connect(id, attempt: beginAttempt(id)))
            case .connecting, .idle: continue
            }
            table[id]?.users.insert(user)
        }
        return candidates
    }

    /// Notes where a user has something now, and lets go of workers that nobody uses.
    ///
    /// - Parameter isInPlace: whether it has also run there, so that the workers have shown that they are of use.
    package mutating func settle(_ user: User, on ids: Set<NodeID>, isInPlace: Bool = false, at now: Time) -> [Effect] {
        var effects: [Effect] = []
        if isInPlace || !users.contains(user) { localClaims.forget(user) }
        for id in order {
            guard var entry = table[id] else { continue }
            if ids.contains(id), entry.link != nil, users.contains(user) {
                entry.users.insert(user)
                if isInPlace {
                    entry.isProven = true
                    entry.claims.forget(user)
                }
            } else {
                entry.users.remove(user)
                entry.claims.forget(user)
            }
            if entry.users.isEmpty, let link = entry.link {
                entry.presence = .idle
                entry.nextLook = now + (entry.isLeaving ? Membership.period : Membership.idlePeriod)
                effects.append(.close(link))
            }
            table[id] = entry
            effects += forgetUnlisted(id)
        }
        return effects
    }

    /// The links that only this user has.
    package func linksOnlyOf(_ user: User) -> [Link] {
        var links: [Link] = []
        for entry in entries where entry.users == [user] {
            if let link = entry.link { links.append(link) }
        }
        return links
    }

    /// Empties a worker, or lets it be used again.
    package mutating func setDrained(_ id: NodeID, _ isDrained: Bool) -> [Effect] {
        guard let entry = table[id], entry.isDrained != isDrained else { return [] }
        table[id]?.isDrained = isDrained
        let message = isDrained ? "is emptied: it gets nothing more until it is resumed" : "may be used again"
        return [.tell(isDrained ? .draining : .resumed, id, message), .changed]
    }

    /// Ends everything.
    package mutating func stop() -> [Effect] {
        isStopped = true
        var effects: [Effect] = []
        for id in order {
            if let link = table[id]?.link { effects.append(.close(link)) }
            // Nobody waits any more for who connects.
            table[id]?.presence = .absent("nothing is used any more")
            table[id]?.users = []
        }
        return effects
    }

    // MARK: Memory

    /// Notes what a user is about to take of devices' memory, in the place of what it noted before.
    package mutating func reserve(_ bytes: [DeviceID: Int], for user: User) {
        var own: [Int: Int] = [:]
        var others: [NodeID: [Int: Int]] = [:]
        for (id, count) in bytes {
            switch id {
            case .local(let number): own[number] = count
            case .remote(let node, let number): others[node, default: [:]][number] = count
            }
        }
        localClaims.reserve(own, for: user)
        for id in order { table[id]?.claims.reserve(others[id] ?? [:], for: user) }
    }

    /// Notes that a device had no room for so many bytes, whatever it says is free.
    ///
    /// - Parameter own: bytes that the user has there.
    package mutating func doubt(_ id: NodeID, device: Int, needed: Int, own: Int, at now: Time) {
        guard let memory = table[id]?.memory, memory.indices.contains(device) else { return }
        table[id]?.claims.doubt(device, needed: needed, own: own, said: memory[device].free, at: now)
    }

    /// Notes that a user has taken some of what it had noted, which the worker counts itself from here on.
    package mutating func take(_ bytes: Int, of id: NodeID, device: Int, for user: User) {
        table[id]?.claims.take(bytes, device: device, for: user)
    }

    /// The worker's devices that had less than they said, not long ago.
    package func doubts(of id: NodeID) -> [Int: MemoryDoubt] { table[id]?.claims.doubts ?? [:] }

    /// Bytes that users are about to take of a worker.
    package func reservedByteCount(of id: NodeID) -> Int { table[id]?.claims.reservedByteCount ?? 0 }

    /// What a user may count on, of what a worker's devices said.
    package func available(_ memory: [DeviceMemory], of id: NodeID, for user: User) -> [DeviceMemory] {
        table[id]?.claims.available(of: memory, for: user) ?? memory
    }

    /// The same of what this machine's devices say.
    package func available(_ memory: [DeviceMemory], for user: User) -> [DeviceMemory] { localClaims.available(of: memory, for: user) }
}

extension Membership.Entry {
    /// The penalty of one that disappoints once more.
    fileprivate var nextPenalty: Duration { min(Membership.longestPenalty, max(.seconds(1), penalty * 2)) }

    fileprivate mutating func note(_ said: [DeviceMemory]) {
        // One that is about to stop says nothing of the memory that it has.
        if said.contains(where: { $0.total != 0 || $0.free != 0 }) || memory.isEmpty { memory = said }
    }
}
