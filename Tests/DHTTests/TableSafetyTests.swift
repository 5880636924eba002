import DHT
import Testing

/// What strangers cannot do to a node of the table, and what they cannot make it do to others.
@Suite struct TableSafetyTests {
    private static func address(_ host: [UInt8], _ port: Int = 6881) -> NodeAddress { NodeAddress(host: host, port: port)! }
    private static let friend = address([9, 9, 9, 9])

    private static func questions(_ node: inout TableNode) -> [(message: TableMessage, to: NodeAddress)] {
        node.takeEffects().compactMap { effect in
            guard case .send(let bytes, let to) = effect, case .message(let message) = TableMessage.read(bytes) else { return nil }
            return (message, to)
        }
    }

    @Test("an answer counts only from whom was asked, and to what was asked")
    func spoofing() throws {
        var random = Draws(1)
        var node = TableNode(seed: 1)
        node.begin(at: [TableSafetyTests.friend], now: .zero)
        let question = try #require(TableSafetyTests.questions(&node).first)
        var reply = TableMessage.Reply(number: NodeNumber(for: [9, 9, 9, 9], &random))
        reply.contacts = [.init(number: NodeNumber(for: [8, 8, 8, 8], &random), address: TableSafetyTests.address([8, 8, 8, 8]))]
        let answer = TableMessage(transaction: question.message.transaction, .reply(reply))
        // Somebody else who guessed the transaction, another port of the same host, and the right one with a wrong transaction.
        node.receive(answer.encoded, from: TableSafetyTests.address([7, 7, 7, 7]), at: .zero)
        node.receive(answer.encoded, from: TableSafetyTests.address([9, 9, 9, 9], 6882), at: .zero)
        node.receive(TableMessage(transaction: [1, 2, 3, 4], .reply(reply)).encoded, from: TableSafetyTests.friend, at: .zero)
        #expect(TableSafetyTests.questions(&node).isEmpty && node.nodeCount == 0)
        node.receive(answer.encoded, from: TableSafetyTests.friend, at: .zero)
        #expect(TableSafetyTests.questions(&node).map(\.to) == [TableSafetyTests.address([8, 8, 8, 8])] && node.nodeCount == 1)
        // The same answer once more is none.
        node.receive(answer.encoded, from: TableSafetyTests.friend, at: .zero)
        #expect(TableSafetyTests.questions(&node).isEmpty)
    }

    @Test("nothing is put under a key with a token that was made up, is another address's, or is old")
    func tokens() throws {
        var random = Draws(2)
        var node = TableNode(seed: 2)
        let (key, number) = (NodeNumber(random: &random), NodeNumber(for: [9, 9, 9, 9], &random))
        func ask(_ query: TableMessage.Query, from address: NodeAddress, at now: Duration) -> TableMessage.Content? {
            node.receive(TableMessage(transaction: [1], .query(query, from: number, isReadOnly: true)).encoded, from: address, at: now)
            return TableSafetyTests.questions(&node).first { $0.to == address }?.message.content
        }
        guard case .reply(let reply)? = ask(.getPeers(key: key), from: TableSafetyTests.friend, at: .zero) else {
            Issue.record("there is no answer")
            return
        }
        let token = try #require(reply.token)
        func put(_ token: [UInt8], from address: NodeAddress, at now: Duration) -> Bool {
            if case .reply? = ask(.announcePeer(key: key, port: 7, token: token), from: address, at: now) { return true }
            return false
        }
        #expect(!put([1, 2, 3], from: TableSafetyTests.friend, at: .seconds(1)))
        #expect(!put(token, from: TableSafetyTests.address([9, 9, 9, 8]), at: .seconds(1)))
        #expect(node.storedPeerCount == 0)
        #expect(put(token, from: TableSafetyTests.friend, at: .seconds(1)))
        #expect(node.storedPeerCount == 1)
        node.tick(at: .seconds(301))
        #expect(put(token, from: TableSafetyTests.friend, at: .seconds(302)))
        node.tick(at: .seconds(602))
        node.tick(at: .seconds(903))
        #expect(!put(token, from: TableSafetyTests.friend, at: .seconds(904)))
    }

    @Test("whoever asks a thousand times a second is answered as often as may be, and others as before")
    func limits() {
        var random = Draws(3)
        var node = TableNode(seed: 3)
        let number = NodeNumber(for: [9, 9, 9, 9], &random)
        var answers: [NodeAddress: Int] = [:]
        let question = TableMessage(transaction: [1], .query(.ping, from: number, isReadOnly: true)).encoded
        for step in 0..<10_000 {
            let now = Duration.milliseconds(step)
            node.receive(question, from: TableSafetyTests.friend, at: now)
            if step % 100 == 0 { node.receive(question, from: TableSafetyTests.address([5, 5, 5, 5]), at: now) }
            for (_, to) in TableSafetyTests.questions(&node) { answers[to, default: 0] += 1 }
        }
        let allowed = Int(AnswerLimits.hostBurst + 10 * AnswerLimits.hostRate) + 1
        #expect((answers[TableSafetyTests.friend] ?? 0) <= allowed && answers[TableSafetyTests.address([5, 5, 5, 5])] == 100)
    }

    @Test("a flood under a key takes its own places: one host four, one neighbourhood sixteen; and the store has an end")
    func flood() {
        var random = Draws(4)
        var store = PeerStore()
        let (own, key) = (NodeNumber(random: &random), NodeNumber(random: &random))
        let true_ = TableSafetyTests.address([9, 9, 9, 9], 7000)
        store.put(true_, under: key, own: own, at: .zero)
        for port in 1...5000 { store.put(TableSafetyTests.address([8, 8, 8, 8], port), under: key, own: own, at: .seconds(1)) }
        #expect(store.peerCount == 1 + PeerStore.portsPerHost)
        for host in 0...255 {
            for port in 1...8 { store.put(TableSafetyTests.address([7, 7, 7, UInt8(host)], port), under: key, own: own, at: .seconds(2)) }
        }
        #expect(store.peerCount == 1 + PeerStore.portsPerHost + PeerStore.peersPerNeighbourhood)
        #expect(store.peers(under: key, atMost: 1000, at: .seconds(3), &random).contains(true_))
        // From everywhere: the key is full, and no fuller.
        for place in 0..<3000 {
            store.put(TableSafetyTests.address([20, UInt8(place >> 8), UInt8(place & 255), 1]), under: key, own: own, at: .seconds(4))
        }
        #expect(store.peers(under: key, atMost: 1000, at: .seconds(5), &random).count == PeerStore.peersPerKey)
        for _ in 0..<30_000 {
            store.put(TableSafetyTests.friend, under: NodeNumber(random: &random), own: own, at: .seconds(6))
        }
        #expect(store.keyCount <= PeerStore.keyLimit && store.peerCount <= PeerStore.peerLimit)
        store.expire(at: .seconds(6) + PeerStore.memory)
        #expect(store.peerCount == 0)
    }

    @Test("one that is asked and tells of nodes that are not there costs a search some questions, and hides nothing")
    func liar() {
        var network = SimulatedNetwork(seed: 7)
        for _ in 0..<30 {
            network.add()
            network.run(.milliseconds(300))
        }
        network.run(.seconds(30))
        var random = Draws(8)
        let (key, holder) = (network.number(), network.someone())
        network.with(holder) { $0.announce(key, port: 7000, at: $1) }
        network.run(.seconds(15))
        // It answers every question with eight that are as near to what is looked for as can be, each at an address of its own.
        let liar = network.freshAddress()
        network.liar = liar
        network.lie = { target in
            (0..<8).map { _ in
                let host: [UInt8] = [60, UInt8.random(in: 0...255, using: &random), UInt8.random(in: 0...255, using: &random), 1]
                return TableMessage.Contact(
                    number: target.neighbour(commonBits: 150, &random), address: NodeAddress(host: host, port: 1)!)
            }
        }
        let asker = network.someone()
        network.with(asker) { $0.begin(at: [liar], now: $1) }
        let before = network.datagramCount
        let found = network.look(key, by: asker)
        #expect(found.contains(NodeAddress(host: holder.host, port: 7000)!) || asker == holder)
        #expect(network.datagramCount - before < 1000)
    }

    @Test("the routing table: who stays, who makes room, whose number is wrong, and how many of one neighbourhood")
    func table() {
        var random = Draws(5)
        let own = NodeNumber(random: &random)
        var table = RoutingTable(own: own, sharesNeighbourhoods: true)
        func contact(_ bits: Int, _ host: UInt8) -> TableMessage.Contact {
            .init(number: own.neighbour(commonBits: bits, &random), address: TableSafetyTests.address([10, 0, 0, host]))
        }
        let first = (0..<8).map { contact(0, UInt8($0)) }
        for entry in first { table.answered(entry, at: .zero) }
        let late = contact(0, 100)
        table.answered(late, at: .seconds(1))
        #expect(table.count == 8 && !table.nearest(to: late.number, 8).contains(late))
        // One that does not answer twice makes room for the one that waits.
        for _ in 0..<RoutingTable.failureLimit { table.failed(first[3].address, at: .seconds(2)) }
        #expect(table.nearest(to: late.number, 8).contains(late) && !table.contains(first[3]))
        // Nobody takes the number of one that is there.
        table.answered(.init(number: first[0].number, address: TableSafetyTests.address([10, 0, 0, 200])), at: .seconds(3))
        #expect(table.contains(first[0]) && table.count == 8)
        // In the open: numbers follow from addresses, and a neighbourhood has a few places.
        var open = RoutingTable(own: own)
        open.answered(.init(number: NodeNumber(random: &random), address: TableSafetyTests.address([8, 8, 8, 8])), at: .zero)
        #expect(open.count == 0)
        for host in 1...50 {
            let host: [UInt8] = [8, 8, 8, UInt8(host)]
            open.answered(.init(number: NodeNumber(for: host, &random), address: TableSafetyTests.address(host)), at: .zero)
        }
        #expect(open.count == RoutingTable.neighbourLimit)
    }

    @Test("one voice about this node's address is believed at first, and outvoted later")
    func votes() {
        var votes = AddressVotes()
        let (lie, truth): ([UInt8], [UInt8]) = ([6, 6, 6, 6], [1, 2, 3, 4])
        #expect(votes.add(lie, by: TableSafetyTests.address([20, 0, 0, 1])) == lie)
        #expect(votes.add(truth, by: TableSafetyTests.address([21, 0, 0, 1])) == nil)
        #expect(votes.add(truth, by: TableSafetyTests.address([22, 0, 0, 1])) == nil)
        #expect(votes.add(truth, by: TableSafetyTests.address([23, 0, 0, 1])) == truth)
        // Many of one neighbourhood are one voice.
        for host in 0...255 { #expect(votes.add(lie, by: TableSafetyTests.address([30, 0, 0, UInt8(host)])) == nil) }
    }

    @Test("one neighbourhood of addresses takes its share of what is kept, is told so, and leaves the rest to others")
    func shares() {
        var (store, random) = (PeerStore(), Draws(21))
        let own = NodeNumber(random: &random)
        var kept = 0
        for number in 0..<4000 {
            let place = NodeAddress(host: [60, 1, 1, UInt8(number % 250 + 1)], port: 1000 + number)!
            // Under keys near to the node, which would push out those that are far.
            if store.put(place, under: own.neighbour(commonBits: 20, &random), own: own, at: .seconds(1)) { kept += 1 }
        }
        #expect(kept == PeerStore.share && store.peerCount == PeerStore.share)
        for number in 0..<500 {
            let key = NodeNumber(random: &random)
            let place = NodeAddress(host: [61, UInt8(number / 250), UInt8(number % 250), 1], port: 7000)!
            let isKept = store.put(place, under: key, own: own, at: .seconds(2))
            let found = store.peers(under: key, atMost: 4, at: .seconds(3), &random)
            #expect(isKept && found == [place])
        }
        store.expire(at: PeerStore.memory + .seconds(10))
        #expect(store.peerCount == 0 && store.keyCount == 0)
        let isKeptAgain = store.put(NodeAddress(host: [60, 1, 1, 1], port: 1)!, under: own, own: own, at: PeerStore.memory + .seconds(11))
        #expect(isKeptAgain)
    }

    @Test("nobody has a node send anything to places in networks of somebody's own, but who is in one")
    func localPlaces() throws {
        let stranger = NodeAddress(host: [62, 1, 1, 1], port: 6881)!
        let local = NodeAddress(host: [10, 9, 0, 1], port: 53)!
        var random = Draws(22)
        for asked in [stranger, NodeAddress(host: [10, 9, 0, 2], port: 6881)!] {
            var node = TableNode(seed: 5)
            let key = NodeNumber(random: &random)
            node.begin(at: [asked], now: .zero)
            node.look(for: key, at: .zero)
            var (sent, told) = (Set<NodeAddress>(), Set<NodeAddress>())
            for step in 0..<40 {
                for effect in node.takeEffects() {
                    if case .found(_, let peers) = effect { told.formUnion(peers) }
                    guard case .send(let bytes, let to) = effect else { continue }
                    sent.insert(to)
                    guard to == asked, case .message(let message) = TableMessage.read(bytes), case .query = message.content else { continue }
                    var reply = TableMessage.Reply(number: NodeNumber(for: asked.host, &random))
                    reply.contacts = [TableMessage.Contact(number: key, address: local)]
                    reply.peers = [local]
                    reply.token = [1]
                    node.receive(TableMessage(transaction: message.transaction, .reply(reply)).encoded, from: asked, at: .milliseconds(100 * step))
                }
                node.tick(at: .milliseconds(100 * step))
            }
            #expect(sent.contains(local) == asked.isLocal)
            #expect(told.contains(local) == asked.isLocal)
        }
    }
}
