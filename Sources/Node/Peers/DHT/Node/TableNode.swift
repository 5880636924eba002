internal import Foundation

/// A node of the Mainline DHT (BEP 5), of one family of addresses: what it hears and asks, without sockets or clocks. Datagrams and times go
/// in, effects come out; whatever comes, what it keeps is bounded.
package struct TableNode: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    package enum Effect: Hashable, Sendable {
        case send([UInt8], to: NodeAddress)
        /// Programs are said to be at these places, under a key that is looked for.
        case found(key: NodeNumber, [NodeAddress])
        /// A search for a key is over.
        ///
        /// - Parameter answers: nodes that have answered.
        case ended(key: NodeNumber, answers: Int)
        /// Somebody is known now, after nobody was: what was looked for in vain is worth looking for again.
        case hasBegun
        /// Nobody is known, or so few that they may be cut off from the rest; places where somebody is are wanted
        /// (``TableNode/begin(at:now:)``).
        case wantsPlaces
    }

    package struct Options: Hashable, Sendable {
        package var isIPv6 = false
        /// Whether it asks only, and is no node that others should know.
        package var isReadOnly = false
        /// Whether addresses near to each other are different people's, as in a network of somebody's own.
        package var sharesNeighbourhoods = false

        package init() {}
    }

    /// What a question was asked for.
    private enum Purpose: Hashable, Sendable {
        case lookup(Int)
        /// To see whether somebody is there.
        case look
        case announce(NodeNumber)
    }

    private struct Question: Sendable {
        var address: NodeAddress
        var purpose: Purpose
        var time: Time
        var isLate = false
    }

    private struct Search: Sendable {
        var lookup: Lookup
        var goal: Goal
        /// Whether it has asked at the places to begin with.
        var hasBegunAnew = false
    }

    private enum Goal: Hashable, Sendable {
        /// Nodes near to a number, to know them.
        case nodes
        case peers
        case announcement
    }

    private var random: RandomSource
    private let options: Options
    private(set) var table: RoutingTable
    private var store = PeerStore()
    private var tokens: WriteTokens
    private var limits = AnswerLimits()
    private var votes = AddressVotes()
    private var announcements = Announcements()
    private var questions: [[UInt8]: Question] = [:]
    private var searches: [Int: Search] = [:]
    private var lastSearch = 0
    private var effects: [Effect] = []
    private var isAlone = true
    private var nextBeginning: Time = .zero
    private var beginningPause = TableNode.shortestPause
    private var nextAcquaintance: Time = .zero
    private var acquaintancePause = TableNode.shortestAcquaintancePause
    private var nextUpkeep: Time = .zero
    /// Places that were said to be good to begin with.
    private var places: [NodeAddress] = []
    /// This node's address as others see it; nil while that is not known.
    package private(set) var ownHost: [UInt8]?

    /// After so long an answer is late, and after so long it is not waited for any more.
    package static let lateTime = Duration.milliseconds(900)
    package static let answerTime = Duration.seconds(4)
    /// Questions that wait for answers, and searches, at a time.
    package static let questionLimit = 512
    package static let searchLimit = 32
    /// Of the former, those that only look whether somebody is there.
    private static let lookLimit = 16
    /// Known nodes that a search begins with, as far as it needs them.
    private static let seedCount = 64
    private static let upkeepPeriod = Duration.seconds(1)
    private static let shortestPause = Duration.seconds(3)
    private static let longestPause = Duration.seconds(120)
    /// Who knows fewer makes acquaintances again, in these times.
    private static let fewNodes = 2 * RoutingTable.size
    private static let shortestAcquaintancePause = Duration.seconds(10)
    private static let longestAcquaintancePause = Duration.seconds(600)
    /// Peers in one answer: it is to fit into a datagram that every network carries, and to be no larger than it must.
    private var answerPeers: Int { options.isIPv6 ? 28 : 40 }

    /// - Parameters:
    ///   - saved: what ``saved`` gave earlier.
    ///   - seed: the same, for the same course of things; nil for one that nobody can foresee.
    package init(_ options: Options = Options(), saved: [UInt8]? = nil, seed: UInt64? = nil) {
        self.options = options
        var random = RandomSource(seed: seed)
        let old = saved.flatMap { Bencode($0) }
        let number = old?["id"]?.bytes.flatMap { NodeNumber($0) } ?? NodeNumber(random: &random)
        table = RoutingTable(own: number, sharesNeighbourhoods: options.sharesNeighbourhoods)
        tokens = WriteTokens(&random)
        for node in (old?["nodes"]?.list ?? []).prefix(TableNode.savedLimit) {
            if let address = node.bytes.flatMap({ NodeAddress(compact: $0) }), address.isIPv6 == options.isIPv6 { places.append(address) }
        }
        self.random = random
    }

    private static let savedLimit = 100

    /// What is worth keeping for the next time.
    package var saved: [UInt8] {
        let nodes = table.entries.filter { $0.failures == 0 }.sorted { $0.seen > $1.seen }.prefix(TableNode.savedLimit)
        return Bencode.dictionary([
            Array("id".utf8): .bytes(table.own.bytes), Array("nodes".utf8): .list(nodes.map { .bytes($0.contact.address.compact) }),
        ]).encoded
    }

    package var number: NodeNumber { table.own }
    package var nodeCount: Int { table.count }
    package func goodCount(at now: Time) -> Int { table.goodCount(at: now) }
    package var storedPeerCount: Int { store.peerCount }

    /// Entries of all kinds, for those who watch its size.
    package var size: Int {
        table.count + store.peerCount + limits.hostCount + questions.count + searches.count + effects.count
    }

    /// What is to be done, once.
    package mutating func takeEffects() -> [Effect] {
        defer { effects = [] }
        return effects
    }

    // MARK: What it is asked to do

    /// Begins, or begins again, with places where nodes are said to be.
    package mutating func begin(at addresses: [NodeAddress], now: Time) {
        for address in addresses where address.isIPv6 == options.isIPv6 && !places.contains(address) { places.append(address) }
        if places.count > 2 * TableNode.savedLimit { places.removeFirst(places.count - 2 * TableNode.savedLimit) }
        if let number = searches.first(where: { $0.value.goal == .nodes && $0.value.lookup.target == table.own })?.key {
            searches[number]?.lookup.add(places: addresses.filter { $0.isIPv6 == options.isIPv6 })
            advance(number, now)
        } else if table.count == 0, !places.isEmpty {
            search(table.own, .nodes, now)
        }
    }

    /// Looks for programs under a key: ``Effect/found(key:_:)`` and ``Effect/ended(key:answers:)`` follow.
    package mutating func look(for key: NodeNumber, at now: Time) {
        if searches.values.contains(where: { $0.lookup.target == key && $0.goal != .nodes }) { return }
        search(key, .peers, now)
    }

    /// Keeps a program of this machine under a key from now on, where all others find it.
    package mutating func announce(_ key: NodeNumber, port: Int, at now: Time) {
        announcements.set(key, port: port, at: now)
        startAnnouncements(now)
    }

    /// Does so no more. What is with others stays there for a while.
    package mutating func withdraw(_ key: NodeNumber) { announcements.remove(key) }

    // MARK: Time

    /// When ``tick(at:)`` has something to do if nothing else happens.
    package var nextTime: Time {
        var next = nextUpkeep
        for question in questions.values { next = min(next, question.time + (question.isLate ? TableNode.answerTime : TableNode.lateTime)) }
        if let time = announcements.nextTime { next = min(next, time) }
        return next
    }

    /// Time has passed.
    package mutating func tick(at now: Time) {
        let due = questions.filter { now - $0.value.time >= ($0.value.isLate ? TableNode.answerTime : TableNode.lateTime) }
        for (transaction, question) in due.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            if now - question.time >= TableNode.answerTime {
                questions[transaction] = nil
                table.failed(question.address, at: now)
                if case .lookup(let number) = question.purpose {
                    searches[number]?.lookup.failed(question.address)
                    advance(number, now)
                }
            } else {
                questions[transaction]?.isLate = true
                if case .lookup(let number) = question.purpose {
                    searches[number]?.lookup.isLate(question.address)
                    advance(number, now)
                }
            }
        }
        startAnnouncements(now)
        if now >= nextUpkeep { keepUp(now) }
    }

    private mutating func keepUp(_ now: Time) {
        nextUpkeep = now + TableNode.upkeepPeriod
        tokens.refresh(at: now, &random)
        store.expire(at: now)
        if table.goodCount(at: now) == 0 {
            if now >= nextBeginning { startBeginning(now) }
            return
        }
        beginningPause = TableNode.shortestPause
        let free = TableNode.lookLimit - questions.values.count { $0.purpose == .look }
        for contact in table.doubtful(atMost: max(0, min(free, 4)), at: now) { ask(contact.address, .ping, .look, now) }
        guard !searches.values.contains(where: { $0.goal == .nodes }) else { return }
        if now >= nextAcquaintance, table.goodCount(at: now) < TableNode.fewNodes {
            // In a small network there are no more of them: it asks ever more seldom.
            acquaintancePause = min(TableNode.longestAcquaintancePause, acquaintancePause * 2)
            nextAcquaintance = now + acquaintancePause
            effects.append(.wantsPlaces)
            search(table.own, .nodes, now)
        } else if let target = table.stale(at: now, &random) {
            search(target, .nodes, now)
        }
    }

    private mutating func startBeginning(_ now: Time) {
        if searches.values.contains(where: { $0.goal == .nodes }) { return }
        isAlone = true
        nextBeginning = now + beginningPause
        beginningPause = min(TableNode.longestPause, beginningPause * 2)
        effects.append(.wantsPlaces)
        search(table.own, .nodes, now)
    }

    private mutating func startAnnouncements(_ now: Time) {
        for key in announcements.due(at: now) where !search(key, .announcement, now) {
            announcements.ended(key, holders: [], at: now, &random)
        }
    }

    // MARK: Searches

    @discardableResult
    private mutating func search(_ target: NodeNumber, _ goal: Goal, _ now: Time) -> Bool {
        guard searches.count < TableNode.searchLimit else { return false }
        lastSearch += 1
        var lookup = Lookup(target, own: table.own, wantsPeers: goal == .peers)
        // More than it takes, since some of them may be gone.
        let known = table.nearest(to: target, TableNode.seedCount)
        lookup.add(known, atMost: TableNode.seedCount)
        if goal == .peers {
            // This node may be one of the nearest itself.
            let own = lookup.take(store.peers(under: target, atMost: answerPeers, at: now, &random))
            if !own.isEmpty { effects.append(.found(key: target, own)) }
        }
        searches[lastSearch] = Search(lookup: lookup, goal: goal)
        advance(lastSearch, now)
        return true
    }

    private mutating func advance(_ number: Int, _ now: Time) {
        guard var search = searches[number] else { return }
        let target = search.lookup.target
        for address in search.lookup.next() {
            if ask(address, search.goal == .nodes ? .findNode(target: target) : .getPeers(key: target), .lookup(number), now) { continue }
            search.lookup.failed(address)
        }
        let isCutOff = search.lookup.isOver && search.lookup.answeredCount < RoutingTable.size && !search.hasBegunAnew && !places.isEmpty
        if isCutOff {
            // Those that were known are gone, most of them.
            search.hasBegunAnew = true
            search.lookup.add(places: places.shuffled(using: &random))
        }
        searches[number] = search
        if isCutOff { return advance(number, now) }
        if search.lookup.isOver { end(number, now) }
    }

    private mutating func end(_ number: Int, _ now: Time) {
        guard let search = searches.removeValue(forKey: number) else { return }
        let key = search.lookup.target
        switch search.goal {
        case .nodes:
            if isAlone, table.count > 0 {
                isAlone = false
                announcements.hurry(at: now)
                effects.append(.hasBegun)
            }
        case .peers: effects.append(.ended(key: key, answers: search.lookup.answeredCount))
        case .announcement:
            var holders: Set<NodeAddress> = []
            if let port = announcements.port(of: key) {
                for (address, token) in search.lookup.nearest {
                    guard let token else { continue }
                    if ask(address, .announcePeer(key: key, port: port, token: token), .announce(key), now) { holders.insert(address) }
                }
            }
            announcements.ended(key, holders: holders, at: now, &random)
            effects.append(.ended(key: key, answers: search.lookup.answeredCount))
        }
    }

    /// - Returns: false if too many questions wait already.
    @discardableResult
    private mutating func ask(_ address: NodeAddress, _ query: TableMessage.Query, _ purpose: Purpose, _ now: Time) -> Bool {
        guard questions.count < TableNode.questionLimit, address.isIPv6 == options.isIPv6, address.isUsable else { return false }
        var transaction: [UInt8]
        repeat { transaction = (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) } } while questions[transaction] != nil
        questions[transaction] = Question(address: address, purpose: purpose, time: now)
        send(TableMessage(transaction: transaction, .query(query, from: table.own, isReadOnly: options.isReadOnly)), to: address)
        return true
    }

    private mutating func send(_ message: TableMessage, to address: NodeAddress) { effects.append(.send(message.encoded, to: address)) }

    // MARK: What comes

    /// A datagram has come, of anybody's.
    package mutating func receive(_ bytes: [UInt8], from address: NodeAddress, at now: Time) {
        guard address.isIPv6 == options.isIPv6, address.isUsable else { return }
        switch TableMessage.read(bytes) {
        case .nothing: break
        case .wrong(let transaction, let code):
            if !options.isReadOnly, limits.take(address, at: now) {
                send(TableMessage(transaction: transaction, .error(code: code)), to: address)
            }
        case .message(let message):
            switch message.content {
            case .query(let query, let number, let isReadOnly):
                if !options.isReadOnly { answer(query, message.transaction, number, isReadOnly, address, now) }
            case .reply(let reply): take(reply, message, address, now)
            case .error: refuse(message.transaction, address, now)
            }
        }
    }

    private mutating func answer(
        _ query: TableMessage.Query, _ transaction: [UInt8], _ number: NodeNumber, _ isReadOnly: Bool, _ address: NodeAddress, _ now: Time
    ) {
        guard number != table.own, limits.take(address, at: now) else { return }
        var reply = TableMessage.Reply(number: table.own)
        switch query {
        case .ping: break
        case .findNode(let target): reply.contacts = table.nearest(to: target)
        case .getPeers(let key):
            reply.contacts = table.nearest(to: key)
            reply.peers = store.peers(under: key, atMost: answerPeers, at: now, &random)
            reply.token = tokens.token(for: address)
        case .announcePeer(let key, let port, let token):
            guard tokens.isGood(token, for: address),
                let place = NodeAddress(host: address.host, port: port ?? Int(address.port))
            else { return send(TableMessage(transaction: transaction, .error(code: TableMessage.protocolError)), to: address) }
            guard store.put(place, under: key, own: table.own, at: now) else {
                return send(TableMessage(transaction: transaction, .error(code: TableMessage.serverError)), to: address)
            }
        }
        send(TableMessage(transaction: transaction, .reply(reply), seenAddress: address), to: address)
        let contact = TableMessage.Contact(number: number, address: address)
        table.asks(contact, at: now)
        // Whoever asks may be worth knowing, once it has shown that it is there.
        if !isReadOnly, number.isRight(for: address), table.hasRoom(for: contact, at: now),
            questions.values.count(where: { $0.purpose == .look }) < TableNode.lookLimit,
            !questions.values.contains(where: { $0.address == address })
        {
            ask(address, .ping, .look, now)
        }
    }

    private mutating func take(_ reply: TableMessage.Reply, _ message: TableMessage, _ address: NodeAddress, _ now: Time) {
        // Nobody else can answer: it must come from who was asked, and name the question.
        guard let question = questions[message.transaction], question.address == address else { return }
        questions[message.transaction] = nil
        if reply.number == table.own {
            // It is this node itself.
            if case .lookup(let number) = question.purpose {
                searches[number]?.lookup.failed(address)
                advance(number, now)
            }
            return
        }
        var reply = reply
        if !address.isLocal {
            // Nobody elsewhere knows what is in a network of somebody's own, and nobody is to have this node knock there.
            reply.contacts.removeAll(where: \.address.isLocal)
            reply.peers.removeAll(where: \.isLocal)
        }
        table.answered(TableMessage.Contact(number: reply.number, address: address), at: now)
        if case .lookup(let number) = question.purpose, var search = searches[number] {
            search.lookup.answered(address, reply, isIPv6: options.isIPv6)
            let new = search.lookup.take(reply.peers.filter { $0.isIPv6 == options.isIPv6 })
            searches[number] = search
            if search.goal != .nodes, !new.isEmpty { effects.append(.found(key: search.lookup.target, new)) }
            advance(number, now)
        }
        if let seen = message.seenAddress, seen.isIPv6 == options.isIPv6, let host = votes.add(seen.host, by: address) { learn(host, now) }
    }

    private mutating func refuse(_ transaction: [UInt8], _ address: NodeAddress, _ now: Time) {
        guard let question = questions[transaction], question.address == address else { return }
        questions[transaction] = nil
        if case .lookup(let number) = question.purpose {
            searches[number]?.lookup.failed(address)
            advance(number, now)
        }
    }

    /// Others agree on where this node is: its number has to follow from that.
    private mutating func learn(_ host: [UInt8], _ now: Time) {
        guard host != ownHost, let address = NodeAddress(host: host, port: 1), address.isUsable else { return }
        ownHost = host
        guard !table.own.isRight(for: address) else { return }
        let entries = table.entries
        table = RoutingTable(own: NodeNumber(for: host, &random), sharesNeighbourhoods: options.sharesNeighbourhoods)
        for entry in entries where entry.failures == 0 { table.answered(entry.contact, at: entry.seen) }
        search(table.own, .nodes, now)
        announcements.hurry(at: now)
    }
}
