import DHT
import Testing

/// Many nodes that come and go find what each of them has put into the table.
@Suite struct TableNetworkTests {
    @Test(
        "of two hundred nodes, of which three in ten leave and as many come every minute, who looks finds who is there",
        arguments: [1, 16] as [UInt64])
    func churn(_ seed: UInt64) {
        var network = SimulatedNetwork(seed: seed)
        for _ in 0..<200 {
            network.add()
            network.run(.milliseconds(100))
        }
        network.run(.seconds(30))
        #expect(network.nodes.values.allSatisfy { $0.nodeCount >= 8 })
        // Twenty programs, each of a node that stays.
        var places: [(key: NodeNumber, node: NodeAddress, peer: NodeAddress)] = []
        for _ in 0..<20 {
            let (key, node) = (network.number(), network.add())
            network.run(.seconds(1))
            network.with(node) { $0.announce(key, port: 7000, at: $1) }
            places.append((key, node, NodeAddress(host: node.host, port: 7000)!))
        }
        network.run(.seconds(20))
        network.staying = Set(places.map(\.node))
        // Sixty a minute.
        network.turnover = .seconds(1)
        var (tries, hits) = (0, 0)
        for _ in 0..<200 {
            network.run(.seconds(2))
            let asker = network.someone()
            // Who has only just come is still making acquaintances.
            guard network.nodes[asker].map({ $0.nodeCount >= 4 }) ?? false else { continue }
            let place = places[network.below(places.count)]
            let found = network.look(place.key, by: asker)
            guard network.nodes[asker] != nil, asker != place.node else { continue }
            tries += 1
            if found.contains(place.peer) { hits += 1 }
        }
        #expect(tries > 150)
        #expect(Double(hits) >= 0.99 * Double(tries), "\(hits) of \(tries)")
    }

    @Test("one datagram of ten lost: all is found all the same")
    func losses() {
        var network = SimulatedNetwork(seed: 2)
        network.losses = 100
        for _ in 0..<40 {
            network.add()
            network.run(.milliseconds(200))
        }
        network.run(.seconds(30))
        var hits = 0
        for _ in 0..<20 {
            let (key, node) = (network.number(), network.someone())
            network.with(node) { $0.announce(key, port: 7000, at: $1) }
            network.run(.seconds(15))
            let asker = network.someone()
            if network.look(key, by: asker).contains(NodeAddress(host: node.host, port: 7000)!) || asker == node { hits += 1 }
            network.with(node) { node, _ in node.withdraw(key) }
        }
        #expect(hits >= 19)
    }

    @Test("two nodes are a table, and one that was alone finds others when it is told of them")
    func small() {
        var network = SimulatedNetwork(seed: 3)
        let (one, two) = (network.add(), network.add())
        let key = network.number()
        network.with(one) { $0.announce(key, port: 9, at: $1) }
        network.run(.seconds(20))
        #expect(network.look(key, by: two) == [NodeAddress(host: one.host, port: 9)!])
        // What is put somewhere is forgotten when nobody puts it there again.
        network.with(one) { node, _ in node.withdraw(key) }
        network.run(PeerStore.memory + .seconds(60))
        #expect(network.look(key, by: two).isEmpty)
    }

    @Test("a node that asks only is in nobody's table, and finds what others put there")
    func readOnly() {
        var network = SimulatedNetwork(seed: 4)
        for _ in 0..<10 {
            network.add()
            network.run(.milliseconds(200))
        }
        var options = TableNode.Options()
        options.isReadOnly = true
        let quiet = network.add(options)
        network.run(.seconds(60))
        #expect(network.nodes.filter { $0.key != quiet }.allSatisfy { $0.value.nodeCount <= 9 })
        let (key, one) = (network.number(), network.someone())
        network.with(one) { $0.announce(key, port: 9, at: $1) }
        network.run(.seconds(20))
        #expect(network.look(key, by: quiet).contains(NodeAddress(host: one.host, port: 9)!) || one == quiet)
    }

    @Test("a node takes a number that follows from its address, once others agree on that, and stays known")
    func ownNumber() {
        var network = SimulatedNetwork(seed: 5)
        for _ in 0..<30 {
            network.add()
            network.run(.milliseconds(300))
        }
        network.run(.seconds(120))
        let right = network.nodes.filter { $0.value.number.isRight(for: $0.key) && $0.value.ownHost == $0.key.host }
        #expect(right.count >= 28)
    }

    @Test("what was saved is enough to begin with")
    func saved() {
        var network = SimulatedNetwork(seed: 6)
        for _ in 0..<10 {
            network.add()
            network.run(.milliseconds(200))
        }
        network.run(.seconds(30))
        let one = network.someone()
        let saved = network.with(one) { node, _ in node.saved }
        var again = TableNode(saved: saved, seed: 9)
        #expect(again.number == network.nodes[one]?.number)
        again.begin(at: [], now: network.now)
        let asked = again.takeEffects().compactMap { effect -> NodeAddress? in
            if case .send(_, let to) = effect { return to }
            return nil
        }
        #expect(!asked.isEmpty && asked.allSatisfy { network.nodes[$0] != nil })
        // Whatever else is in the file, it begins.
        for wrong in [[], Array("d2:id3:abce".utf8), Array(saved.dropLast()), Array(repeating: 0xff, count: 1000)] {
            #expect(TableNode(saved: wrong, seed: 1).nodeCount == 0)
        }
    }

    @Test("a few that know nobody else ask for places all the same, ever more seldom: they may be cut off from the rest")
    func islands() {
        var network = SimulatedNetwork(seed: 7)
        let few = (0..<4).map { _ in network.add() }
        network.run(.seconds(90))
        let early = network.wishes
        #expect(few.allSatisfy { early[$0, default: 0] >= 2 })
        network.run(.seconds(1800))
        #expect(few.allSatisfy { (1...8).contains(network.wishes[$0, default: 0] - early[$0, default: 0]) })
    }

    @Test("one that knows nobody asks for places ever more seldom, and not again because it was told of some")
    func alone() {
        var node = TableNode(seed: 1)
        var asked: [Duration] = []
        for step in 0..<6000 {
            let now = Duration.milliseconds(50 * step)
            node.tick(at: now)
            var isAsking = true
            while isAsking {
                isAsking = false
                for effect in node.takeEffects() where effect == .wantsPlaces {
                    asked.append(now)
                    node.begin(at: [], now: now)
                    node.begin(at: [NodeAddress(host: [9, 9, 9, 9], port: 9)!], now: now)
                    isAsking = true
                }
                if asked.count > 1000 { break }
            }
            if asked.count > 1000 { break }
        }
        #expect((3...20).contains(asked.count))
    }
}
