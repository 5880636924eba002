/// The nodes of a network as one of them knows them: where each is said to be, and which were really there lately. A value without
/// clocks, threads or sockets: what happens goes in by methods with its time, ``probes(at:)`` says what is to be looked for, and
/// ``listed(at:)`` who counts.
///
/// What records say are hints. A node counts once a tunnel to it has shown who it is, and for as long as one is open or was not long ago.
package struct PeerTable: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    /// Where a hint came from: a record's name, or what a user wrote.
    package enum Source: Hashable, Sendable {
        case record(String)
        case named
        /// A node says that another waits there.
        case desk(of: String, node: String)

        fileprivate var name: String {
            switch self {
            case .record(let name): name
            case .named, .desk: ""
            }
        }
    }

    /// A look for a node that is to be taken now.
    package struct Probe: Hashable, Sendable {
        package var route: Route
        fileprivate var group: Group

        /// Who is said to be there; nil where nobody said so.
        package var id: String? {
            switch group {
            case .node(let id): id
            case .named, .suggested: nil
            }
        }

        fileprivate init(route: Route, group: Group) {
            self.route = route
            self.group = group
        }
    }

    /// Looks that have their turns together.
    fileprivate enum Group: Hashable, Sendable {
        /// For one node.
        case node(String)
        /// For whoever is where a user says.
        case named
        /// For whoever is at a place of a list to which anybody can add.
        case suggested
    }

    /// A node that counts.
    package struct Listed: Hashable, Sendable {
        package var card: NodeCard
        /// Those that led there, the latest first but for such as do not lead there any more. What others say of it is not among them: it
        /// would be tried with patience when a tunnel is wanted.
        package var routes: [Route]
        /// When a tunnel was last open, or made.
        package var seen: Time
    }

    private struct Node {
        var hints = Hints()
        /// The latest to have worked for the first time is first, those that failed since are last.
        var proven: [Route] = []
        var card: NodeCard?
        var seen: Time?
        var openCount = 0

        var routes: [Route] {
            var routes = proven
            // Of each record the first, then of each the second: one that names many places leaves room to the others.
            for number in 0..<PeerTable.routesPerRecord {
                for hint in hints.values where number < hint.count && !routes.contains(hint[number]) {
                    routes.append(hint[number])
                    if routes.count >= PeerTable.routesPerNode { return routes.directFirst }
                }
            }
            return routes.directFirst
        }

        /// Whether a route of a hint's has led there.
        func isProven(_ source: Source) -> Bool { hints[source]?.contains { proven.contains($0) } ?? false }
    }

    /// What records say of a node, in the order of their names: one that has the name to itself comes before those with a number behind it,
    /// of which anybody can make some.
    private struct Hints {
        private(set) var keys: [Source] = []
        /// Of each key in its place.
        private(set) var values: [[Route]] = []

        subscript(source: Source) -> [Route]? {
            get { keys.firstIndex(of: source).map { values[$0] } }
            set {
                if let index = keys.firstIndex(of: source) {
                    keys.remove(at: index)
                    values.remove(at: index)
                }
                guard let newValue else { return }
                let index = keys.firstIndex { source.name < $0.name } ?? keys.count
                keys.insert(source, at: index)
                values.insert(newValue, at: index)
            }
        }

        var isEmpty: Bool { keys.isEmpty }
        var count: Int { keys.count }
    }

    /// Looks along one route.
    private struct Looking {
        var next: Time
        /// Of the routes of the node, from 0; of several that are due at once the first is taken first.
        var place = 0
        var failures = 0
        /// Why the last one failed.
        var reason: String?
    }

    private let ownID: String
    private var nodes: [String: Node] = [:]
    /// Routes that a user named.
    private var named: Set<Route> = []
    /// Routes that were suggested, and when last.
    private var suggested: [Route: Time] = [:]
    private var looks: [Group: [Route: Looking]] = [:]
    private var underWay: Set<Probe> = []
    /// Looks are paid for up to this moment.
    private var paid = Duration.zero - PeerTable.burst
    /// Who waits at which node.
    private var desks: [String: Set<String>] = [:]
    /// The node that each record is about.
    private var subjects: [Source: String] = [:]
    private var revoked: Set<String> = []

    /// Nodes that are remembered; no network that this is for has as many.
    package static let nodeLimit = 512
    package static let routesPerNode = 64
    /// Of one record.
    package static let routesPerRecord = 16
    /// About one node; a true one has one for each interface.
    package static let recordsPerNode = 32
    /// For so long a node counts after the last sign of it.
    package static let memory = Duration.seconds(15)
    /// Between two looks for one that is there and has no tunnel open, and at most between two for one that is not.
    package static let period = Duration.seconds(10)
    /// The former of one that joins others: who waits there is to be known soon.
    package static let relayPeriod = Duration.seconds(3)
    /// The latter of one that is reached along another route.
    package static let detour = Duration.seconds(60)
    /// After a look that failed, and twice as long after each more.
    package static let rest = Duration.milliseconds(500)
    /// Looks at a time, and those for one node along routes that have not led to it.
    package static let probeLimit = 16
    package static let probesPerNode = 4
    package static let suggestedProbes = 8
    /// Places that are kept of those suggested, and of one host's; and for how long after the last time.
    package static let suggestionLimit = 256
    package static let suggestionsPerHost = 8
    package static let suggestionMemory = Duration.seconds(40 * 60)
    /// A look costs so much time, and so much can be saved up.
    package static let pace = Duration.milliseconds(25)
    package static let burst = Duration.seconds(1)
    /// A route that led to a node is forgotten after so many looks in vain, if another does.
    private static let doubts = 3

    /// - Parameter ownID: this node's, which never counts.
    package init(ownID: String) { self.ownID = ownID }

    // MARK: Hints

    /// A user named a place where a node is.
    package mutating func name(_ route: Route, at now: Time) {
        guard named.insert(route).inserted else { return }
        looks[.named, default: [:]][route] = Looking(next: now)
    }

    /// Somebody may be at this place, says a list to which anybody can add. What led nowhere makes room for what is new.
    package mutating func suggest(_ route: Route, at now: Time) {
        if suggested[route] != nil {
            suggested[route] = now
            return
        }
        let neighbours = suggested.keys.filter { $0.place?.host == route.place?.host }
        if neighbours.count >= PeerTable.suggestionsPerHost {
            guard dropWorst(of: neighbours) else { return }
        } else if suggested.count >= PeerTable.suggestionLimit {
            guard dropWorst(of: Array(suggested.keys)) else { return }
        }
        suggested[route] = now
        looks[.suggested, default: [:]][route] = Looking(next: now)
    }

    /// Of these suggestions the one that was looked along in vain most often makes room; if none was, none does.
    private mutating func dropWorst(of routes: [Route]) -> Bool {
        let failures = routes.map { (route: $0, count: looks[.suggested]?[$0]?.failures ?? 0) }
        guard let worst = failures.max(by: { $0.count < $1.count }), worst.count > 0 else { return false }
        drop(worst.route)
        return true
    }

    private mutating func drop(_ suggestion: Route) {
        suggested[suggestion] = nil
        looks[.suggested]?[suggestion] = nil
    }

    /// A record says that a node is at these places, in the place of what it said before.
    package mutating func hint(_ source: Source, id: String, _ routes: [Route], at now: Time) {
        if let other = subjects[source], other != id { unhint(source, at: now) }
        guard id != ownID, !revoked.contains(id) else { return }
        if nodes[id] == nil, nodes.count >= PeerTable.nodeLimit, !makeRoom() { return }
        var node = nodes[id] ?? Node()
        if node.hints[source] == nil, node.hints.count >= PeerTable.recordsPerNode {
            // Somebody repeats a node's record, it seems: what leads nowhere makes room.
            guard let surplus = node.hints.keys.first(where: { !node.isProven($0) && isTried($0, of: id) }) else { return }
            node.hints[surplus] = nil
            subjects[surplus] = nil
        }
        node.hints[source] = Array(routes.prefix(PeerTable.routesPerRecord))
        subjects[source] = id
        nodes[id] = node
        refreshLooks(of: id, at: now)
    }

    /// A record is no more.
    package mutating func unhint(_ source: Source, at now: Time) {
        guard let id = subjects.removeValue(forKey: source) else { return }
        nodes[id]?.hints[source] = nil
        refreshLooks(of: id, at: now)
        forgetIfDead(id)
    }

    /// These nodes wait at another one to be called, in the place of those that did before.
    package mutating func wait(_ ids: [String], at host: String, now: Time) {
        let (before, after) = (desks[host] ?? [], Set(ids.prefix(PeerTable.nodeLimit)))
        for id in before.subtracting(after) { unhint(.desk(of: host, node: id), at: now) }
        for id in after.subtracting(before) {
            hint(.desk(of: host, node: id), id: id, host == ownID ? [.called(at: host)] : [.punched(at: host), .called(at: host)], at: now)
        }
        // Those for whom there is no room are told of again the next time.
        let taken = after.filter { subjects[.desk(of: host, node: $0)] != nil }
        desks[host] = taken.isEmpty ? nil : taken
    }

    /// Whether all that a record says was looked along in vain.
    private func isTried(_ source: Source, of id: String) -> Bool {
        nodes[id]?.hints[source]?.allSatisfy { looks[.node(id)]?[$0]?.reason != nil } ?? true
    }

    /// A node that only records tell of, and that was at none of the places they name, makes room for another: who has the token can
    /// announce as many as it likes.
    private mutating func makeRoom() -> Bool {
        let unproven = nodes.first { id, node in
            node.seen == nil && node.openCount == 0 && node.hints.keys.allSatisfy { isTried($0, of: id) }
        }
        guard let id = unproven?.key else { return false }
        forget(id)
        return true
    }

    private mutating func forget(_ id: String) {
        for source in nodes[id]?.hints.keys ?? [] {
            subjects[source] = nil
            if case .desk(let host, let node) = source { desks[host]?.remove(node) }
        }
        nodes[id] = nil
        looks[.node(id)] = nil
    }

    /// Has each of a node's routes looked along.
    private mutating func refreshLooks(of id: String, at now: Time) {
        let before = looks[.node(id)] ?? [:]
        var after: [Route: Looking] = [:]
        for (place, route) in (nodes[id]?.routes ?? []).enumerated() {
            after[route] = before[route] ?? Looking(next: now)
            after[route]?.place = place
        }
        looks[.node(id)] = after
    }

    private mutating func forgetIfDead(_ id: String) {
        guard let node = nodes[id], node.hints.isEmpty, node.seen == nil, node.openCount == 0 else { return }
        nodes[id] = nil
        looks[.node(id)] = nil
    }

    // MARK: Looks

    /// The looks that are due, under way from here on: along routes that are known to lead somewhere first, then for one node as many as
    /// for another, however much is said of one of them.
    package mutating func probes(at now: Time) -> [Probe] {
        paid = max(paid, now - PeerTable.burst)
        let free = min(PeerTable.probeLimit - underWay.count, Int((now - paid) / PeerTable.pace))
        if free <= 0 { return [] }
        var due: [(probe: Probe, turn: Int, look: Looking)] = []
        for (group, routes) in looks {
            var unproven: [(probe: Probe, look: Looking)] = []
            for (route, look) in routes where look.next <= now {
                let probe = Probe(route: route, group: group)
                if underWay.contains(probe) { continue }
                if isSure(probe) { due.append((probe, -1, look)) } else { unproven.append((probe, look)) }
            }
            if unproven.isEmpty { continue }
            // What was not tried yet is not to wait for what leads nowhere.
            unproven.sort { ($0.look.failures, $0.look.next, $0.look.place) < ($1.look.failures, $1.look.next, $1.look.place) }
            let begun = begunCount(group)
            for (number, one) in unproven.prefix(PeerTable.limit(of: group) - begun).enumerated() {
                due.append((one.probe, begun + number, one.look))
            }
        }
        let chosen = due.sorted { ($0.turn, $0.look.next) < ($1.turn, $1.look.next) }.prefix(free).map(\.probe)
        underWay.formUnion(chosen)
        paid += PeerTable.pace * chosen.count
        return chosen
    }

    /// Whether a look is along a route that a user named, or that led there before.
    private func isSure(_ probe: Probe) -> Bool {
        switch probe.group {
        case .node(let id): nodes[id]?.proven.contains(probe.route) ?? false
        case .named: true
        case .suggested: false
        }
    }

    /// Looks along other routes that are under way.
    private func begunCount(_ group: Group) -> Int {
        min(PeerTable.limit(of: group), underWay.count { $0.group == group && !isSure($0) })
    }

    private static func limit(of group: Group) -> Int {
        switch group {
        case .node, .named: probesPerNode
        case .suggested: suggestedProbes
        }
    }

    /// When ``probes(at:)``, or ``listed(at:)``, has something new if nothing else happens.
    package func nextTime(at now: Time) -> Time? {
        var next: Time?
        // While as many are under way as may be, the end of one is news enough.
        if underWay.count < PeerTable.probeLimit {
            for (group, routes) in looks {
                let isFull = begunCount(group) >= PeerTable.limit(of: group)
                for (route, look) in routes {
                    let probe = Probe(route: route, group: group)
                    if underWay.contains(probe) || isFull && !isSure(probe) { continue }
                    let due = max(look.next, paid + PeerTable.pace)
                    next = min(next ?? due, due)
                }
            }
        }
        for node in nodes.values {
            if node.openCount == 0, let seen = node.seen { next = min(next ?? .seconds(1 << 40), seen + PeerTable.memory) }
        }
        return next
    }

    /// A look found a node.
    package mutating func found(_ probe: Probe, _ card: NodeCard, at now: Time) {
        underWay.remove(probe)
        if let place = looks[probe.group]?[probe.route]?.place {
            // One that was suggested is looked for as the node that it is from now on.
            let pause = probe.group == .suggested ? PeerTable.detour : card.relays ? PeerTable.relayPeriod : PeerTable.period
            looks[probe.group]?[probe.route] = Looking(next: now + pause, place: place)
        }
        guard card.id != ownID, !revoked.contains(card.id) else { return }
        note(card, along: probe.route, at: now)
        if probe.group == .suggested { refreshLooks(of: card.id, at: now + PeerTable.period) }
    }

    /// A look found nobody, or not who was looked for.
    package mutating func missed(_ probe: Probe, _ reason: String, at now: Time) {
        underWay.remove(probe)
        guard var look = looks[probe.group]?[probe.route] else { return }
        look.reason = reason
        // The last look along another route found it.
        let isElsewhere =
            probe.id.flatMap { nodes[$0] }?.proven.contains { $0 != probe.route && looks[probe.group]?[$0]?.reason == nil } ?? false
        let longest = isElsewhere || probe.group == .suggested ? PeerTable.detour : PeerTable.period
        look.next = now + min(longest, PeerTable.rest * (1 << min(look.failures, 7)))
        look.failures += 1
        looks[probe.group]?[probe.route] = look
        if let id = probe.id { doubt(probe.route, of: id, isOver: look.failures >= PeerTable.doubts, at: now) }
    }

    /// A route that led to a node did not this time.
    private mutating func doubt(_ route: Route, of id: String, isOver: Bool, at now: Time) {
        guard var node = nodes[id], node.proven.count > 1, let index = node.proven.firstIndex(of: route) else { return }
        node.proven.remove(at: index)
        if !isOver { node.proven.append(route) }
        nodes[id] = node
        refreshLooks(of: id, at: now)
    }

    private mutating func note(_ card: NodeCard, along route: Route, at now: Time) {
        if nodes[card.id] == nil, nodes.count >= PeerTable.nodeLimit, !makeRoom() { return }
        var node = nodes[card.id] ?? Node()
        node.card = card
        node.seen = now
        if !node.proven.contains(route) { node.proven.insert(route, at: 0) }
        if node.proven.count > PeerTable.routesPerRecord { node.proven.removeLast() }
        nodes[card.id] = node
    }

    // MARK: Tunnels

    /// A tunnel to a node was made.
    package mutating func opened(_ card: NodeCard, along route: Route, at now: Time) {
        if revoked.contains(card.id) { return }
        note(card, along: route, at: now)
        nodes[card.id]?.openCount += 1
    }

    /// One was closed, by whichever side.
    package mutating func closed(_ id: String, at now: Time) {
        guard var node = nodes[id], node.openCount > 0 else { return }
        node.openCount -= 1
        node.seen = now
        nodes[id] = node
        // Why is found out soon.
        lookAgain(for: id, at: now)
    }

    private mutating func lookAgain(for id: String, at now: Time) {
        for route in (looks[.node(id)] ?? [:]).keys { looks[.node(id)]?[route]?.next = now }
    }

    /// These are to be had nothing to do with.
    ///
    /// - Returns: whether one of them was there.
    package mutating func revoke(_ ids: Set<String>) -> Bool {
        revoked = ids
        var wasThere = false
        for id in ids where nodes[id] != nil {
            wasThere = true
            for host in desks.keys { desks[host]?.remove(id) }
            forget(id)
        }
        return wasThere
    }

    // MARK: Who counts

    /// The ways to a node that are known to lead there.
    package func routes(to id: String) -> [Route] { nodes[id]?.proven.directFirst ?? [] }

    /// The nodes that count, by their ids.
    package func listed(at now: Time) -> [Listed] {
        nodes.values.compactMap { node -> Listed? in
            guard let card = node.card, let seen = node.seen, node.openCount > 0 || now - seen < PeerTable.memory else { return nil }
            return Listed(card: card, routes: node.proven.directFirst, seen: node.openCount > 0 ? now : seen)
        }.sorted { $0.card.id < $1.card.id }
    }

    /// Forgets what was seen of those that do not count any more, and suggestions that nobody repeats. Where nodes are said to be is looked
    /// along all the same.
    package mutating func expire(at now: Time) {
        for (route, time) in suggested where now - time >= PeerTable.suggestionMemory { drop(route) }
        for (id, node) in nodes {
            guard let seen = node.seen, node.openCount == 0, now - seen >= PeerTable.memory else { continue }
            nodes[id]?.seen = nil
            nodes[id]?.proven = []
            wait([], at: id, now: now)
            lookAgain(for: id, at: now)
            // It may come back to where it was.
            for route in node.proven where suggested[route] != nil { looks[.suggested]?[route] = Looking(next: now) }
            forgetIfDead(id)
        }
    }

    /// What was tried in vain, for people.
    package var misses: [(probe: Probe, reason: String)] {
        looks.flatMap { group, routes in
            routes.compactMap { route, look in look.reason.map { (probe: Probe(route: route, group: group), reason: $0) } }
        }.sorted { "\($0.probe.route)" < "\($1.probe.route)" }
    }

    /// Entries of all kinds, for those who watch its size.
    package var size: Int {
        nodes.count + looks.values.reduce(0) { $0 + $1.count } + named.count + suggested.count + desks.values.reduce(0) { $0 + $1.count }
            + subjects.count
            + nodes.values.reduce(0) { $0 + $1.hints.count + $1.proven.count }
    }
}
