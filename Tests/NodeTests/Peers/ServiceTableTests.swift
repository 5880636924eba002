import NodePeers
import RPCProto
import Testing

/// What a browser decides: nothing true stays unknown, nothing false stays told, and all of it stays small.
@Suite struct ServiceTableTests {
    private static let second: UInt64 = 1_000_000_000

    @Test("one of our network is told when it has an address, and again when its words, its port or its addresses change")
    func lifeOfOne() {
        var network = NetworkUnderTest()
        let key = network.announce("a", .init(port: 1, addresses: [[10, 0, 0, 1]]))
        network.run(seconds: 1)
        #expect(network.told[key]?.port == 1 && network.told[key]?.endpoints.map(\.description) == ["10.0.0.1:1"])
        network.change(key) { $0.port = 2 }
        network.run(seconds: 1)
        #expect(network.told[key]?.endpoints.map(\.description) == ["10.0.0.1:2"])
        network.change(key) { $0.text["dev"] = "gpu" }
        network.run(seconds: 1)
        #expect(network.told[key]?.text["dev"] == "gpu")
        network.change(key) { $0.addresses = [[10, 0, 0, 2], [0xfe, 0x80] + [UInt8](repeating: 0, count: 13) + [1]] }
        network.run(seconds: 1)
        #expect(network.told[key]?.endpoints.map(\.description) == ["10.0.0.2:2", "[fe80::1%eth2]:2"])
        network.withdraw(key)
        network.run(seconds: 1)
        #expect(network.told.isEmpty)
    }

    @Test("of another network only the TXT record is asked for, and an instance that comes over to ours is found")
    func anotherNetwork() {
        var network = NetworkUnderTest()
        let key = network.announce("a", .init(tag: "other", addresses: [[10, 0, 0, 1]]))
        network.run(seconds: 5)
        #expect(network.told.isEmpty && network.table.openCount == 0 && network.openedCount <= 6)
        network.change(key) { $0.text["net"] = NetworkUnderTest.tag }
        network.run(seconds: 90)
        #expect(network.told[key] != nil)
        network.change(key) { $0.text["net"] = "other" }
        network.run(seconds: 5)
        #expect(network.told.isEmpty)
    }

    @Test("one that began anew, whose port and words come one after the other, is told soon")
    func beganAnew() {
        var network = NetworkUnderTest()
        let key = network.announce("a", .init(tag: "of the port before", addresses: [[10, 0, 0, 1]]))
        network.run(seconds: 1)
        #expect(network.told.isEmpty)
        network.change(key) { $0.text["net"] = NetworkUnderTest.tag }
        network.run(seconds: 2)
        #expect(network.told[key] != nil)
    }

    @Test("an instance that is told by IPv4 and by IPv6 is gone when both have taken it back")
    func twoSightings() {
        var network = NetworkUnderTest()
        let key = network.announce("a", .init(addresses: [[10, 0, 0, 1]]))
        network.feed(.sighted(key))
        network.run(seconds: 1)
        network.feed(.unsighted(key))
        network.run(seconds: 1)
        #expect(network.told[key] != nil)
        network.feed(.unsighted(key))
        network.run(seconds: 1)
        #expect(network.told.isEmpty)
    }

    @Test("when the daemon goes all is gone, and what it tells when it is back is found")
    func daemonLost() {
        var network = NetworkUnderTest()
        for index in 0..<50 { network.announce("\(index)", .init(addresses: [[10, 0, 0, UInt8(index)]])) }
        network.run(seconds: 20)
        #expect(network.told.count == 50)
        network.lose()
        #expect(network.told.isEmpty && network.table.openCount == 0 && network.table.instanceCount == 0)
        network.browse()
        network.run(seconds: 20)
        #expect(network.told.count == 50)
    }

    @Test("with more to look up than may be open at a time, all have their turn, and changes of each arrive")
    func manyOfOurs() {
        var network = NetworkUnderTest()
        let keys = (0..<300).map { network.announce("\($0)", .init(addresses: [[10, 0, UInt8($0 >> 8), UInt8($0 & 255)]])) }
        network.run(seconds: 30)
        #expect(network.told.count == 300)
        for key in keys { network.change(key) { $0.port = 9 } }
        network.run(seconds: 60)
        #expect(network.told.values.allSatisfy { $0.port == 9 })
    }

    @Test("a true record behind thousands of others is found, and the table stays within its limits")
    func flood() {
        var network = NetworkUnderTest()
        for index in 0..<5000 {
            // Half answer nothing.
            network.announce("lie \(index)", .init(tag: "other", addresses: [], isMute: index % 2 == 0))
        }
        let key = network.announce("true", .init(addresses: [[10, 0, 0, 1]]))
        for index in 0..<5000 { network.announce("more \(index)", .init(tag: "other", addresses: [])) }
        network.run(seconds: 120) { $0.told[key] != nil }
        #expect(network.told[key] != nil)
        #expect(network.mostInstances <= 512 && network.mostOpen <= 64)
    }

    @Test("among more liars of our own network than there is room for, a true record has its turn")
    func liarsOfOurs() {
        var network = NetworkUnderTest()
        for index in 0..<800 { network.announce("lie \(index)", .init(addresses: [[10, 0, UInt8(index >> 8), UInt8(index & 255)]])) }
        let key = network.announce("true", .init(addresses: [[10, 1, 0, 1]]))
        network.run(seconds: 600) { $0.told[key] != nil }
        #expect(network.told[key] != nil)
        #expect(network.mostInstances <= 512 && network.mostOpen <= 64)
    }

    @Test("names that are none of ours cost nothing, however many there are")
    func namesOfOthers() {
        var network = NetworkUnderTest(filter: ServiceFilter(tag: NetworkUnderTest.tag, prefix: "ours"))
        for index in 0..<20_000 { network.announce("lie \(index)", .init(addresses: [[10, 0, 0, 1]])) }
        let key = network.announce("ours", .init(addresses: [[10, 0, 0, 1]]))
        network.run(seconds: 1)
        #expect(network.told.keys.map(\.name) == ["ours"] && network.table.instanceCount == 1 && network.openedCount == 3)
        network.withdraw(ServiceKey(name: "lie 7", interface: 2))
        network.withdraw(key)
        network.run(seconds: 1)
        #expect(network.told.isEmpty)
    }

    @Test("records that are false by their words cost a look now and then, and no addresses")
    func falseWords() {
        let filter = ServiceFilter(
            takesName: { _ in true }, takes: { name, text, port in text["net"] == NetworkUnderTest.tag && name == "true" && port == 7 })
        var network = NetworkUnderTest(filter: filter)
        for index in 0..<300 { network.announce("lie \(index)", .init(port: 7, addresses: [[10, 0, 0, 1]])) }
        network.announce("true", .init(port: 7, addresses: [[10, 0, 0, 1]]))
        network.run(seconds: 30)
        #expect(network.told.keys.map(\.name) == ["true"] && network.openedCount <= 3 + 6 * 300)
        network.run(seconds: 60)
        #expect(network.told.keys.map(\.name) == ["true"] && network.openedCount <= 60 + 8 * 300)
    }

    @Test("addresses are bounded, and those at which nobody can be are left out")
    func addresses() {
        var network = NetworkUnderTest()
        let many = (0..<100).map { [10, 0, 0, UInt8($0)] as [UInt8] }
        let key = network.announce("a", .init(addresses: [[0, 0, 0, 0], [255, 255, 255, 255], [224, 0, 0, 1], [127, 0, 0, 1]] + many))
        network.run(seconds: 2)
        let endpoints = network.told[key]?.endpoints ?? []
        #expect((1...16).contains(endpoints.count) && endpoints.allSatisfy { $0.host.hasPrefix("10.") })
    }

    @Test("after any order of events the truth is told, and on the way nothing grows or is told twice", arguments: 0..<40)
    func randomOrders(_ seed: Int) {
        for round in 0..<50 {
            var random = Draws(UInt64(seed * 1000 + round))
            var network = NetworkUnderTest(operations: 1 + random.below(8), instances: 4 + random.below(20))
            network.isSlow = random.below(2) == 0
            for _ in 0..<(20 + random.below(150)) { network.disturb(&random) }
            // From now on it is a truthful network, which has room for all that there is.
            network.calm(&random)
            // What had to make room for others may be believed a while longer.
            network.run(seconds: 120)
            #expect(network.told == network.truth, "seed \(seed), round \(round)")
            #expect(network.faults == [], "seed \(seed), round \(round)")
        }
    }
}
