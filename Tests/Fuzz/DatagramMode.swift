import Base
import DHT

/// What strangers send to a node of the distributed hash table, which looks and announces meanwhile: true datagrams, some to the point, with damage, and bytes of
/// chance. What the node keeps stays within its bounds, and no answer is larger than it may be.
struct DatagramMode {
    private let options: Options
    private let marker: CaseMarker
    private var ends: [String: Int] = [:]

    private static let warmUp = 200_000
    private static let growth = 64 << 20
    /// Cases of one node's life; a fault is found again by running them from the first.
    private static let life = 100_000

    init(_ options: Options, _ marker: CaseMarker) {
        self.options = options
        self.marker = marker
    }

    /// - Returns: whether all was well.
    mutating func perform() -> Bool {
        let started = Clock.now()
        var index = 0
        var fault: String?
        var residentAtStart = ProcessMemory.residentBytes()
        var life = Life(seed: options.seed, index: 0)
        while fault == nil, index < options.count, Double(Clock.now() - started) / 1e9 < options.seconds {
            if index % 1000 == 0 { marker.begin(index) }
            if index % DatagramMode.life == 0 { life = Life(seed: options.seed, index: index) }
            fault = life.perform(&ends).map { "case \(index): \($0)" }
            index += 1
            if index == DatagramMode.warmUp { residentAtStart = ProcessMemory.residentBytes() }
            if let only = options.only, index > only { break }
        }
        marker.end()
        let resident = ProcessMemory.residentBytes()
        if fault == nil, index > DatagramMode.warmUp, resident - residentAtStart > DatagramMode.growth {
            fault = "memory grew from \(residentAtStart >> 20) to \(resident >> 20) MiB"
        }
        print("\(index) datagrams, \(Report.fixed(Double(Clock.now() - started) / 1e9, 1)) s, seed \(options.seed)")
        print("  " + ends.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        print("  resident: \(residentAtStart >> 20) MiB, \(resident >> 20) MiB at the end")
        if let fault { print("FAULT  \(fault)") }
        print(fault == nil ? "ok" : "failed")
        return fault == nil
    }

    /// One node, and what it was last seen to send: answers are made of that.
    private struct Life {
        var random: Random
        var draws: Draws
        var node: TableNode
        var now = Duration.zero
        var sent: [(bytes: [UInt8], to: NodeAddress)] = []
        var keys: [NodeNumber] = []
        var tokens: [(token: [UInt8], key: NodeNumber, of: NodeAddress)] = []

        /// Bytes of an answer at most: one that is larger would make this node worth asking in another's name.
        static let largestAnswer = 1200
        /// Entries of all kinds: the store and the limits full, and a table that no network fills.
        static let largestSize = PeerStore.peerLimit + AnswerLimits.hostLimit + 160 * RoutingTable.size + TableNode.questionLimit + 100

        init(seed: UInt64, index: Int) {
            random = Random(seed: seed, index: index)
            draws = Draws(state: random.next())
            var options = TableNode.Options()
            options.isIPv6 = random.chance(40)
            options.sharesNeighbourhoods = random.chance(30)
            node = TableNode(options, seed: random.next())
            isIPv6 = options.isIPv6
            for _ in 0..<5 { keys.append(NodeNumber(random: &draws)) }
        }

        let isIPv6: Bool

        /// Numbers for what the table makes by lot.
        struct Draws: RandomNumberGenerator {
            var state: UInt64

            mutating func next() -> UInt64 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return state ^ state >> 29
            }
        }

        mutating func perform(_ ends: inout [String: Int]) -> String? {
            if random.chance(5) {
                now += .milliseconds(random.below(random.chance(1) ? 400_000 : 1000))
                node.tick(at: now)
            }
            if random.below(500) == 0 { node.look(for: random.pick(keys), at: now) }
            if random.below(5000) == 0 { node.announce(random.pick(keys), port: 7, at: now) }
            if random.below(5000) == 0 { node.withdraw(random.pick(keys)) }
            if random.below(2000) == 0 { node.begin(at: [address()], now: now) }
            var source = address()
            var bytes: [UInt8]
            let kind: String
            switch random.below(10) {
            case 0:
                kind = "chance"
                bytes = (0..<random.below(300)).map { _ in UInt8(truncatingIfNeeded: random.next() >> 32) }
            case 1...4 where !sent.isEmpty:
                kind = "answers"
                let question = random.pick(sent)
                source = random.chance(95) ? question.to : source
                var transaction: [UInt8] = [1]
                if case .message(let message) = TableMessage.read(question.bytes) { transaction = message.transaction }
                bytes = answer(transaction, source)
            default:
                kind = "queries"
                bytes = query(&source)
            }
            if random.chance(40), !bytes.isEmpty { Damage.bytes(&bytes, bytes.indices, &random) }
            ends[kind, default: 0] += 1
            node.receive(bytes, from: source, at: now)
            var answered = 0
            for effect in node.takeEffects() {
                guard case .send(let bytes, let to) = effect else { continue }
                if bytes.count > Life.largestAnswer { return "a datagram of \(bytes.count) bytes" }
                guard case .message(let message) = TableMessage.read(bytes) else { return "a datagram of ours that cannot be read" }
                switch message.content {
                case .query:
                    sent.append((bytes, to))
                    if sent.count > 500 { sent.removeFirst(250) }
                case .reply(let reply):
                    answered += 1
                    ends["answered", default: 0] += 1
                    if let token = reply.token {
                        tokens.append((token, random.pick(keys), to))
                        if tokens.count > 500 { tokens.removeFirst(250) }
                    }
                case .error:
                    answered += 1
                    ends["refused", default: 0] += 1
                }
            }
            if answered > 1 { return "\(answered) answers to a datagram" }
            return node.size > Life.largestSize ? "\(node.size) entries" : nil
        }

        private mutating func address() -> NodeAddress {
            let size = isIPv6 != random.chance(3) ? 16 : 4
            var host = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next() >> 32) }
            if random.chance(20) { host.replaceSubrange(0..<2, with: size == 4 ? [10, 1] : [0xfe, 0x80]) }
            return NodeAddress(host: host, port: random.below(random.chance(2) ? 2 : 65_536)) ?? NodeAddress(host: [9, 9, 9, 9], port: 9)!
        }

        private mutating func number(for address: NodeAddress) -> NodeNumber {
            random.chance(90) ? NodeNumber(for: address.host, &draws) : NodeNumber(random: &draws)
        }

        private mutating func answer(_ transaction: [UInt8], _ source: NodeAddress) -> [UInt8] {
            if random.chance(5) { return TableMessage(transaction: transaction, .error(code: 201)).encoded }
            var reply = TableMessage.Reply(number: number(for: source))
            for _ in 0..<random.below(18) {
                let address = address()
                reply.contacts.append(TableMessage.Contact(number: number(for: address), address: address))
            }
            reply.peers = (0..<random.below(random.chance(10) ? 120 : 5)).map { _ in address() }
            reply.token = random.chance(80) ? [1, 2, 3] : nil
            return TableMessage(transaction: transaction, .reply(reply), seenAddress: random.chance(50) ? address() : nil).encoded
        }

        private mutating func query(_ source: inout NodeAddress) -> [UInt8] {
            let query: TableMessage.Query
            switch random.below(5) {
            case 0: query = .ping
            case 1: query = .findNode(target: NodeNumber(random: &draws))
            case 2: query = .getPeers(key: random.pick(keys))
            case 3 where tokens.isEmpty: query = .getPeers(key: random.pick(keys))
            default:
                guard !tokens.isEmpty else { return TableMessage(transaction: [1], .error(code: 1)).encoded }
                let shown = random.pick(tokens)
                if random.chance(90) { source = shown.of }
                let key = random.chance(50) ? shown.key : NodeNumber(random: &draws)
                query = .announcePeer(key: key, port: random.chance(50) ? nil : 5, token: shown.token)
            }
            return TableMessage(transaction: [1, 2], .query(query, from: number(for: source), isReadOnly: random.chance(10))).encoded
        }
    }
}
