internal import Base
internal import RPCProto

/// What a browser knows, and what it decides: which instance to look at, how long, which to forget. Replies go in, and ``advance(at:)`` gives
/// what is to be done. It does no input or output itself, and whatever goes in, it stays small.
///
/// An instance whose name is none of ours is nothing. Another is resolved, which brings its TXT record. If it is not of ours that is all; it is looked at again when there
/// is nothing better to do. One of ours has its addresses looked up, and all three lookups stay open, since an open one tells of changes.
/// When more want to be looked up than may be at a time, those that have answered make room, and have their turn again later.
package struct ServiceTable {
    /// A lookup of an instance.
    package enum Lookup: Int, CaseIterable, Sendable {
        case resolve, ipv4, ipv6
    }

    /// One lookup that is open, by a number of its own.
    package struct Operation: Hashable, Sendable {
        package var number: UInt64
        package var key: ServiceKey
        package var lookup: Lookup
        /// Whose addresses are looked up; "" with ``Lookup/resolve``.
        package var hostName: String
    }

    package enum Event: Hashable, Sendable {
        /// All that is there is going to be told (again).
        case browsing
        case sighted(ServiceKey)
        case unsighted(ServiceKey)
        /// - Parameter text: as in ``ServiceReply``.
        case resolved(UInt64, hostName: String, port: Int, text: [UInt8]?)
        case address(UInt64, [UInt8], isThere: Bool)
        /// The lookup is over.
        case failed(UInt64)
        /// Nothing is known any more.
        case lost
    }

    package enum Effect: Hashable, Sendable {
        case open(Operation)
        case close(UInt64)
        case tell(ServiceChange)
        /// Something was passed over: browse again, so that it is told again.
        case browseAgain
    }

    package struct Limits: Sendable {
        /// Instances that are looked at.
        package var instances = 512
        /// Addresses of an instance.
        package var addresses = 16
        /// Lookups that are open.
        package var operations = 64
        /// Lookups that wait before ``ServiceTable/isCrowded``.
        package var waiting = 256

        package init() {}
    }

    /// Nanoseconds.
    enum Times {
        static let second: UInt64 = 1_000_000_000
        /// A lookup is left open for so long, at least, when others wait: after its answer (more may follow), and without one.
        static let afterAnswer = second / 10
        static let withoutAnswer = 2 * second
        /// The latter when very many wait.
        static let inCrowd = second / 4
        /// When an answer is complete, so that what was known before it and is not in it is no more.
        static let settling = second
        /// From one look to the next at an instance of another network; at one of ours, when it had to make room.
        static let ofOthers = 60 * second
        static let ofOurs = 30 * second
        /// The former, first; four times as long each time.
        static let afterRefusal = second / 2
        /// After a failure; twice as long each time.
        static let failure = 5 * second
        /// An instance that was told is kept so long before another may have its place.
        static let keeping = 10 * second
        /// Between one browsing and the next.
        static let browsing = 30 * second
        /// After a browsing, what was not told again is gone.
        static let confirming = 10 * second
    }

    private enum Progress: Hashable {
        /// Nothing to look up.
        case idle
        case resting(until: UInt64)
        case waiting
        case open(number: UInt64, since: UInt64, answered: UInt64?)
    }

    private struct State {
        var progress = Progress.idle
        var failures = 0
        /// Addresses, and how often each was told (by IPv4 and by IPv6): those of this lookup, and of the one before until this has settled.
        var found: [[UInt8]: Int] = [:]
        var kept: Set<[UInt8]> = []
    }

    private struct Answer: Hashable {
        var hostName: String
        var port: Int
        var text: [String: String]
    }

    private struct Instance {
        /// Told so often (by IPv4 and by IPv6) and not taken back.
        var sightings = 1
        var states = [State](repeating: State(), count: Lookup.allCases.count)
        /// How often in a row its words were not those of one of ours.
        var refusals = 0
        /// Its own words, if it is of this network.
        var answer: Answer?
        var told: ServiceRecord?
        var toldAt: UInt64 = 0
    }

    private struct Ticket: Hashable {
        var key: ServiceKey
        var lookup: Lookup
    }

    private let filter: ServiceFilter
    private let limits: Limits
    private let interfaceName: @Sendable (UInt32) -> String
    private var random: SystemRandomNumberGenerator = SystemRandomNumberGenerator()

    private var instances: [ServiceKey: Instance] = [:]
    private var open: [UInt64: Ticket] = [:]
    /// Those of known instances of ours, and the others; they take turns.
    private var urgent: [Ticket] = []
    private var ordinary: [Ticket] = []
    private var isUrgentTurn = true
    private var lastNumber: UInt64 = 0
    private var changed: Set<ServiceKey> = []
    private var closing: [UInt64] = []
    private var gone: Set<ServiceKey> = []
    /// When the next of what rests or settles is due.
    private var nextScan = UInt64.max
    private var passedOver = false
    private var browsed: UInt64 = 0
    /// When what has not been told again since the browsing began is gone; nil if there is nothing to be told again.
    private var confirming: UInt64?

    /// - Parameters:
    ///   - filter: which instances are ours.
    ///   - interfaceName: of an interface's index.
    package init(_ filter: ServiceFilter, limits: Limits = Limits(), interfaceName: @escaping @Sendable (UInt32) -> String) {
        self.filter = filter
        self.limits = limits
        self.interfaceName = interfaceName
    }

    // MARK: What is known

    package var instanceCount: Int { instances.count }
    package var openCount: Int { open.count }
    package var waitingCount: Int { urgent.count + ordinary.count }
    /// So many wait that no more should be read of what is there; it stays where it is meanwhile.
    package var isCrowded: Bool { ordinary.count >= limits.waiting }

    // MARK: Events

    package mutating func apply(_ event: Event, at now: UInt64) {
        switch event {
        case .browsing:
            browsed = now
            passedOver = false
            confirming = now &+ Times.confirming
            for key in instances.keys { instances[key]?.sightings = 0 }
            scan(at: now &+ Times.confirming)
        case .sighted(let key): sight(key, now)
        case .unsighted(let key):
            guard let sightings = instances[key]?.sightings else { return }
            if sightings > 1 { instances[key]?.sightings = sightings - 1 } else { forget(key) }
        case .resolved(let number, let hostName, let port, let text): resolved(number, hostName, port, text, now)
        case .address(let number, let bytes, let isThere): address(number, bytes, isThere, now)
        case .failed(let number): failed(number, now)
        case .lost:
            for key in Array(instances.keys) { forget(key) }
            confirming = nil
        }
    }

    private mutating func sight(_ key: ServiceKey, _ now: UInt64) {
        guard (1...ServiceKey.nameLimit).contains(key.name.utf8.count), (1...ServiceKey.hostNameLimit).contains(key.domain.utf8.count)
        else { return }
        guard filter.takesName(key.name) else { return }
        if let sightings = instances[key]?.sightings {
            // By IPv4 and by IPv6, and by whatever else there may be one day.
            instances[key]?.sightings = min(sightings + 1, 8)
            return
        }
        if instances.count >= limits.instances, !makeRoom(now) {
            passedOver = true
            scan(at: browsed &+ Times.browsing)
            return
        }
        instances[key] = Instance()
        wait(Ticket(key: key, lookup: .resolve))
    }

    /// Forgets an instance that matters less than one that nothing is known of: of another network; else one that has been told for long
    /// enough to be tried, since among so many most lie.
    private mutating func makeRoom(_ now: UInt64) -> Bool {
        var best: (key: ServiceKey, due: UInt64)?
        var old: [ServiceKey] = []
        for (key, instance) in instances {
            if instance.told != nil {
                if now >= instance.toldAt &+ Times.keeping { old.append(key) }
            } else if case .resting(let due) = instance.states[Lookup.resolve.rawValue].progress, due < best?.due ?? .max {
                best = (key, due)
            }
        }
        guard let victim = best?.key ?? old.randomElement(using: &random) else { return false }
        // It is there all the same.
        passedOver = true
        scan(at: browsed &+ Times.browsing)
        forget(victim)
        return true
    }

    private mutating func resolved(_ number: UInt64, _ hostName: String, _ port: Int, _ text: [UInt8]?, _ now: UInt64) {
        guard let ticket = open[number], ticket.lookup == .resolve else { return }
        var answer: Answer?
        if let text, let entries = try? ServiceText.parse(text), (1...65535).contains(port),
            (1...ServiceKey.hostNameLimit).contains(hostName.utf8.count), filter.takes(ticket.key.name, entries, port)
        {
            answer = Answer(hostName: hostName, port: port, text: entries)
        }
        note(number, ticket, now)
        change(ticket.key, to: answer)
        guard answer == nil else {
            instances[ticket.key]?.refusals = 0
            return
        }
        close(number)
        // Of one that began anew, port and words may come one after the other, and do not go together for a moment.
        let refusals = instances[ticket.key]?.refusals ?? 0
        instances[ticket.key]?.refusals = min(refusals + 1, 4)
        rest(ticket, until: now &+ min(Times.ofOthers, Times.afterRefusal << UInt64(2 * refusals)))
    }

    /// An instance's own words are these now.
    private mutating func change(_ key: ServiceKey, to answer: Answer?) {
        guard let old = instances[key], old.answer != answer else { return }
        instances[key]?.answer = answer
        changed.insert(key)
        guard old.answer?.hostName != answer?.hostName else { return }
        // Another host's addresses are none of its own.
        for lookup in [Lookup.ipv4, .ipv6] {
            stop(Ticket(key: key, lookup: lookup))
            instances[key]?.states[lookup.rawValue] = State()
            if answer != nil { wait(Ticket(key: key, lookup: lookup)) }
        }
    }

    private mutating func address(_ number: UInt64, _ bytes: [UInt8], _ isThere: Bool, _ now: UInt64) {
        guard let ticket = open[number], bytes.count == (ticket.lookup == .ipv4 ? 4 : ticket.lookup == .ipv6 ? 16 : 0),
            var state = instances[ticket.key]?.states[ticket.lookup.rawValue]
        else { return }
        let count = state.found[bytes] ?? 0
        if isThere {
            guard count > 0 || state.found.count < limits.addresses else { return }
            state.found[bytes] = min(count + 1, 8)
        } else if count > 1 {
            state.found[bytes] = count - 1
        } else {
            state.found[bytes] = nil
            state.kept.remove(bytes)
        }
        instances[ticket.key]?.states[ticket.lookup.rawValue] = state
        changed.insert(ticket.key)
        note(number, ticket, now)
    }

    /// A lookup has answered.
    private mutating func note(_ number: UInt64, _ ticket: Ticket, _ now: UInt64) {
        instances[ticket.key]?.states[ticket.lookup.rawValue].failures = 0
        guard case .open(number, let since, nil) = instances[ticket.key]?.states[ticket.lookup.rawValue].progress else { return }
        instances[ticket.key]?.states[ticket.lookup.rawValue].progress = .open(number: number, since: since, answered: now)
        scan(at: now &+ Times.settling)
    }

    private mutating func failed(_ number: UInt64, _ now: UInt64) {
        guard let ticket = open[number] else { return }
        close(number)
        retry(ticket, now)
    }

    private mutating func retry(_ ticket: Ticket, _ now: UInt64) {
        let failures = instances[ticket.key]?.states[ticket.lookup.rawValue].failures ?? 0
        instances[ticket.key]?.states[ticket.lookup.rawValue].failures = min(failures + 1, 4)
        // What was known once is believed for a while only.
        if failures >= 2 { settle(ticket.key, ticket.lookup) }
        rest(ticket, until: now &+ Times.failure << UInt64(failures))
    }

    // MARK: Places

    private mutating func rest(_ ticket: Ticket, until due: UInt64) {
        instances[ticket.key]?.states[ticket.lookup.rawValue].progress = .resting(until: due)
        scan(at: due)
    }

    private mutating func scan(at moment: UInt64) { nextScan = min(nextScan, moment) }

    private mutating func wait(_ ticket: Ticket) {
        guard let instance = instances[ticket.key] else { return }
        instances[ticket.key]?.states[ticket.lookup.rawValue].progress = .waiting
        if instance.answer != nil { urgent.append(ticket) } else { ordinary.append(ticket) }
    }

    /// The lookup waits no more, and is open no more.
    private mutating func stop(_ ticket: Ticket) {
        switch instances[ticket.key]?.states[ticket.lookup.rawValue].progress {
        case .waiting:
            urgent.removeAll { $0 == ticket }
            ordinary.removeAll { $0 == ticket }
        case .open(let number, _, _): close(number)
        case .idle, .resting, nil: break
        }
    }

    private mutating func close(_ number: UInt64) {
        guard open.removeValue(forKey: number) != nil else { return }
        closing.append(number)
    }

    private mutating func forget(_ key: ServiceKey) {
        for lookup in Lookup.allCases { stop(Ticket(key: key, lookup: lookup)) }
        if instances.removeValue(forKey: key)?.told != nil { gone.insert(key) }
        changed.remove(key)
    }
}

// MARK: Deciding

extension ServiceTable {
    /// When there may be something to do though nothing happens; nil if nothing can be.
    package func nextMoment(at now: UInt64) -> UInt64? {
        let soon = waitingCount > 0 ? now &+ Times.second / 20 : UInt64.max
        let moment = min(soon, nextScan)
        return moment == .max ? nil : moment
    }

    /// What is to be done now, in this order.
    package mutating func advance(at now: UInt64) -> [Effect] {
        var effects: [Effect] = []
        if now >= nextScan { look(at: now, &effects) }
        turn(at: now)
        effects += closing.map { .close($0) }
        closing = []
        // What is closed has to be so before others are opened.
        while open.count < limits.operations, let operation = begin(at: now) { effects.append(.open(operation)) }
        effects += gone.map { .tell(.gone($0)) }
        gone = []
        for key in changed { tell(key, now, &effects) }
        changed = []
        return effects
    }

    /// What has rested long enough waits, what has settled counts, what was not confirmed is gone.
    private mutating func look(at now: UInt64, _ effects: inout [Effect]) {
        nextScan = .max
        if let moment = confirming {
            // While not all is read, more of it may come.
            let due = isCrowded ? now &+ Times.confirming : moment
            confirming = now >= due ? nil : due
            if now >= due {
                for key in instances.filter({ $0.value.sightings == 0 }).keys { forget(key) }
            } else {
                scan(at: min(due, now &+ Times.second))
            }
        }
        for (key, instance) in instances {
            for lookup in Lookup.allCases {
                switch instance.states[lookup.rawValue].progress {
                case .resting(let due):
                    if now >= due { wait(Ticket(key: key, lookup: lookup)) } else { scan(at: due) }
                case .open(_, let since, let answered) where !instance.states[lookup.rawValue].kept.isEmpty:
                    let due = answered.map { $0 &+ Times.settling } ?? since &+ Times.confirming
                    if now >= due { settle(key, lookup) } else { scan(at: due) }
                case .idle, .waiting, .open: break
                }
            }
        }
        if passedOver {
            if now >= browsed &+ Times.browsing, !isCrowded {
                passedOver = false
                effects.append(.browseAgain)
            } else {
                scan(at: max(browsed &+ Times.browsing, now &+ Times.second))
            }
        }
    }

    private mutating func settle(_ key: ServiceKey, _ lookup: Lookup) {
        instances[key]?.states[lookup.rawValue].kept = []
        changed.insert(key)
    }

    /// Where others wait and there is no room, closes what has had its time.
    private mutating func turn(at now: UInt64) {
        let missing = waitingCount - max(0, limits.operations - open.count)
        guard missing > 0 else { return }
        let patience = waitingCount > limits.operations ? Times.inCrowd : Times.withoutAnswer
        var over: [(number: UInt64, ticket: Ticket, since: UInt64, hasAnswered: Bool)] = []
        for (number, ticket) in open {
            guard case .open(_, let since, let answered) = instances[ticket.key]?.states[ticket.lookup.rawValue].progress else { continue }
            if now >= (answered.map { $0 &+ Times.afterAnswer } ?? since &+ patience) {
                over.append((number, ticket, since, answered != nil))
            }
        }
        for (number, ticket, _, hasAnswered) in over.sorted(by: { ($0.since, $0.number) < ($1.since, $1.number) }).prefix(missing) {
            close(number)
            if hasAnswered {
                settle(ticket.key, ticket.lookup)
                rest(ticket, until: now &+ Times.ofOurs)
            } else {
                retry(ticket, now)
            }
        }
    }

    private mutating func begin(at now: UInt64) -> Operation? {
        isUrgentTurn.toggle()
        guard let ticket = isUrgentTurn ? pop(&urgent) ?? pop(&ordinary) : pop(&ordinary) ?? pop(&urgent),
            let instance = instances[ticket.key]
        else { return nil }
        lastNumber += 1
        open[lastNumber] = ticket
        var state = instance.states[ticket.lookup.rawValue]
        state.progress = .open(number: lastNumber, since: now, answered: nil)
        state.kept.formUnion(state.found.keys)
        state.found = [:]
        instances[ticket.key]?.states[ticket.lookup.rawValue] = state
        if !state.kept.isEmpty { scan(at: now &+ Times.confirming) }
        let hostName = ticket.lookup == .resolve ? "" : instance.answer?.hostName ?? ""
        return Operation(number: lastNumber, key: ticket.key, lookup: ticket.lookup, hostName: hostName)
    }

    private func pop(_ queue: inout [Ticket]) -> Ticket? { queue.isEmpty ? nil : queue.removeFirst() }

    /// Tells an instance if it is not what was told of it.
    private mutating func tell(_ key: ServiceKey, _ now: UInt64, _ effects: inout [Effect]) {
        guard let instance = instances[key] else { return }
        guard let answer = instance.answer else {
            guard instance.told != nil else { return }
            instances[key]?.told = nil
            effects.append(.tell(.gone(key)))
            return
        }
        let interface = interfaceName(key.interface)
        let addresses = [Lookup.ipv4, .ipv6].flatMap { lookup in
            let state = instance.states[lookup.rawValue]
            return state.kept.union(state.found.keys).sorted { $0.lexicographicallyPrecedes($1) }
        }
        let endpoints = addresses.prefix(limits.addresses).compactMap { ServiceTable.endpoint($0, interface, answer.port) }
        // Without an address it is nothing yet; one that is between two addresses has its last.
        guard !endpoints.isEmpty else { return }
        let record = ServiceRecord(
            key: key, interface: interface, hostName: answer.hostName, port: answer.port, text: answer.text, endpoints: endpoints)
        guard record != instance.told else { return }
        if instance.told == nil { instances[key]?.toldAt = now }
        instances[key]?.told = record
        effects.append(.tell(.found(record)))
    }

    /// Nil for addresses at which nobody can be: none, everybody, many; or, if others say so, this machine itself.
    private static func endpoint(_ bytes: [UInt8], _ interface: String, _ port: Int) -> Endpoint? {
        guard let address = NetworkAddress(bytes: bytes) else { return nil }
        // Of what is said on the loopback interface, others' machines say nothing.
        if isLoopback(address), !interface.hasPrefix("lo") { return nil }
        if address.bytes.count == 4 {
            guard address.bytes[0] != 0, address.bytes[0] < 224 else { return nil }
        } else {
            guard address.bytes[0] != 0xff, address.bytes.contains(where: { $0 != 0 }) else { return nil }
        }
        let isLinkLocal = address.bytes.count == 16 && address.bytes[0] == 0xfe && address.bytes[1] & 0xc0 == 0x80
        if isLinkLocal, interface.isEmpty { return nil }
        return Endpoint(host: isLinkLocal ? "\(address)%\(interface)" : "\(address)", port: port)
    }
    private static func isLoopback(_ address: NetworkAddress) -> Bool {
        address.bytes.count == 4 ? address.bytes[0] == 127 : address.bytes.dropLast().allSatisfy { $0 == 0 } && address.bytes.last == 1
    }
}
