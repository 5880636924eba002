import DHT

/// The same numbers for the same seed.
struct Draws: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

/// Many nodes and the datagrams between them, in a time of its own.
struct SimulatedNetwork {
    private struct Datagram {
        var due: Duration
        var bytes: [UInt8]
        var from: NodeAddress
        var to: NodeAddress
    }

    private(set) var nodes: [NodeAddress: TableNode] = [:]
    /// Their addresses in the order of coming: the same seed makes the same course of things.
    private(set) var order: [NodeAddress] = []
    private(set) var now = Duration.zero
    private var underWay: [Datagram] = []
    private var random: Draws
    /// What the nodes told, by who told it and the key.
    private(set) var found: [NodeAddress: [NodeNumber: Set<NodeAddress>]] = [:]
    private(set) var ended: [NodeAddress: [NodeNumber: Int]] = [:]
    /// How often each asked for places where nodes are.
    private(set) var wishes: [NodeAddress: Int] = [:]
    private var nextHost = 0
    /// How often one node leaves, and another comes; and who stays.
    var turnover: Duration?
    var staying: Set<NodeAddress> = []
    private var nextTurn = Duration.zero
    /// One that answers every search with nodes of its own making.
    var liar: NodeAddress?
    var lie: (NodeNumber) -> [TableMessage.Contact] = { _ in [] }
    /// Datagrams in a thousand that are lost.
    var losses = 0
    private(set) var datagramCount = 0

    init(seed: UInt64) { random = Draws(seed) }

    /// Public addresses, each in a neighbourhood of its own.
    mutating func freshAddress() -> NodeAddress {
        nextHost += 1
        return NodeAddress(host: [50, UInt8(nextHost >> 8 & 255), UInt8(nextHost & 255), 1], port: 6881)!
    }

    /// A node more, which is told of one that is there.
    @discardableResult
    mutating func add(_ options: TableNode.Options = .init()) -> NodeAddress {
        let address = freshAddress()
        var node = TableNode(options, seed: random.next())
        if let other = order.randomElement(using: &random) {
            node.begin(at: [other], now: now)
        }
        nodes[address] = node
        order.append(address)
        perform(address)
        return address
    }

    mutating func remove(_ address: NodeAddress) {
        nodes[address] = nil
        order.removeAll { $0 == address }
    }

    /// Has a node do something.
    mutating func with<Result>(_ address: NodeAddress, _ body: (inout TableNode, Duration) -> Result) -> Result {
        let result = body(&nodes[address]!, now)
        perform(address)
        return result
    }

    /// Something comes from anywhere, which no node has sent.
    mutating func inject(_ bytes: [UInt8], from: NodeAddress, to: NodeAddress) {
        underWay.append(Datagram(due: now, bytes: bytes, from: from, to: to))
    }

    private mutating func perform(_ address: NodeAddress) {
        for effect in nodes[address]?.takeEffects() ?? [] {
            switch effect {
            case .send(let bytes, let to):
                datagramCount += 1
                if Int.random(in: 0..<1000, using: &random) < losses { break }
                let delay = Duration.milliseconds(Int.random(in: 5...120, using: &random))
                underWay.append(Datagram(due: now + delay, bytes: bytes, from: address, to: to))
            case .found(let key, let peers): found[address, default: [:]][key, default: []].formUnion(peers)
            case .ended(let key, let answers): ended[address, default: [:]][key] = answers
            case .hasBegun: break
            case .wantsPlaces:
                wishes[address, default: 0] += 1
                if let other = order.randomElement(using: &random), other != address {
                    nodes[address]?.begin(at: [other], now: now)
                }
            }
        }
    }

    /// Lets time go by, in steps of a fiftieth of a second.
    mutating func run(_ time: Duration, until isOver: (SimulatedNetwork) -> Bool = { _ in false }) {
        let end = now + time
        while now < end, !isOver(self) {
            now += .milliseconds(20)
            if let turnover, now >= nextTurn {
                nextTurn = now + turnover
                let leaver = someone()
                if !staying.contains(leaver) {
                    remove(leaver)
                    add()
                }
            }
            let due = underWay.filter { $0.due <= now }
            underWay.removeAll { $0.due <= now }
            for datagram in due where datagram.to == liar { answerFalsely(datagram) }
            for datagram in due where nodes[datagram.to] != nil {
                nodes[datagram.to]?.receive(datagram.bytes, from: datagram.from, at: now)
                perform(datagram.to)
            }
            for address in order {
                guard let next = nodes[address]?.nextTime, next <= now else { continue }
                nodes[address]?.tick(at: now)
                perform(address)
            }
        }
    }

    private mutating func answerFalsely(_ datagram: Datagram) {
        guard case .message(let message) = TableMessage.read(datagram.bytes), case .query(let query, _, _) = message.content else { return }
        var reply = TableMessage.Reply(number: NodeNumber(for: datagram.to.host, &random))
        reply.token = [1]
        switch query {
        case .findNode(let target), .getPeers(let target): reply.contacts = lie(target)
        case .ping, .announcePeer: break
        }
        inject(TableMessage(transaction: message.transaction, .reply(reply)).encoded, from: datagram.to, to: datagram.from)
    }

    /// Looks for a key, and waits for what comes of it.
    mutating func look(_ key: NodeNumber, by address: NodeAddress) -> Set<NodeAddress> {
        found[address]?[key] = nil
        ended[address]?[key] = nil
        with(address) { $0.look(for: key, at: $1) }
        run(.seconds(30)) { $0.ended[address]?[key] != nil || $0.nodes[address] == nil }
        return found[address]?[key] ?? []
    }

    mutating func number() -> NodeNumber { NodeNumber(random: &random) }
    mutating func someone() -> NodeAddress { order.randomElement(using: &random)! }
    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }
}
