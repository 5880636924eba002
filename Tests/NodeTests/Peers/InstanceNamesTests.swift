import NodePeers
import RPCProto
import Testing

/// What is announced is told apart from what only looks like it, before it costs anything.
@Suite struct InstanceNamesTests {
    private static let keys = NetworkKeys(material: [1, 2, 3])
    private static let others = NetworkKeys(material: [1, 2, 4])
    private static let id = "0123456789abcdef0123456789abcdef"
    private static let names = InstanceNames(keys)

    @Test("a name is the node's own for people, the start of its id, and a code that only the token makes")
    func names() {
        let name = InstanceNamesTests.names.name(of: "bench", id: InstanceNamesTests.id)
        #expect(name.hasPrefix("bench 01234567-") && name.count == "bench 01234567-89abcdef".count)
        #expect(InstanceNamesTests.names.idStart(of: name) == "01234567")
        #expect(InstanceNames(InstanceNamesTests.others).idStart(of: name) == nil)
        #expect(InstanceNames(NetworkKeys(material: [1, 2, 3], networkID: "beside")).idStart(of: name) == nil)
    }

    @Test(
        "however long a node's name is, there is room for what a daemon puts behind it",
        arguments: ["", "ü", "a b", "bench 1234", "x #2", "\u{1F600}"])
    func lengths(_ part: String) {
        for count in [1, 5, 30, 70] {
            let name = InstanceNamesTests.names.name(of: String(repeating: part, count: count), id: InstanceNamesTests.id)
            #expect(name.utf8.count <= 60)
            #expect(InstanceNamesTests.names.idStart(of: name) == "01234567")
        }
    }

    @Test("of the names that somebody makes out of a true one, only those that a daemon makes are looked at")
    func changed() {
        let name = InstanceNamesTests.names.name(of: "bench", id: InstanceNamesTests.id)
        for number in 2...9 { #expect(InstanceNamesTests.names.idStart(of: "\(name) #\(number)") == "01234567") }
        for tail in [" #1", " #10", " #", "#2", " #2 #2", " ", "0", " #x"] {
            #expect(InstanceNamesTests.names.idStart(of: name + tail) == nil, "\(tail)")
        }
        for changed in ["", " ", "Bench" + name.dropFirst(5), "x" + name, String(name.dropFirst()), String(name.dropLast())] {
            #expect(InstanceNamesTests.names.idStart(of: changed) == nil, "\(changed)")
        }
        for index in name.indices {
            var letters = Array(name)
            letters[name.distance(from: name.startIndex, to: index)] = "g"
            #expect(InstanceNamesTests.names.idStart(of: String(letters)) == nil)
        }
    }

    @Test("a node's own announcement counts; another token's, one with another port, and one under another node's name do not")
    func announcements() {
        let keys = InstanceNamesTests.keys
        let filter = ServiceFilter(keys)
        let text = Announcement(id: InstanceNamesTests.id, role: .worker, port: 7).text(keys, program: "1")
        let name = InstanceNamesTests.names.name(of: "bench", id: InstanceNamesTests.id)
        #expect(filter.takesName(name) && filter.takes(name, text, 7) && filter.takes(name + " #2", text, 7))
        #expect(!filter.takes(name, text, 8))
        #expect(
            !filter.takes(
                name, Announcement(id: InstanceNamesTests.id, role: .worker, port: 7).text(InstanceNamesTests.others, program: "1"), 7))
        var lie = text
        lie["mac"] = String(repeating: "0", count: 32)
        #expect(!filter.takes(name, lie, 7))
        let other = InstanceNamesTests.names.name(of: "bench", id: String(InstanceNamesTests.id.reversed()))
        #expect(filter.takesName(other) && !filter.takes(other, text, 7))
    }

    @Test("this machine's own addresses are known, with a scope and without")
    func ownAddresses() {
        let own = OwnAddresses(
            [NetworkAddress("10.0.0.7"), NetworkAddress("fe80::7")].reduce(into: []) { if let address = $1 { $0.insert(address) } })
        #expect(own.contains(Endpoint(host: "10.0.0.7", port: 1)) && own.contains(Endpoint(host: "fe80::7%eth0", port: 1)))
        #expect(!own.contains(Endpoint(host: "10.0.0.8", port: 1)) && !own.contains(Endpoint(host: "bench", port: 1)))
        #expect(OwnAddresses.current().contains(Endpoint(host: "127.0.0.1", port: 1)))
    }
}
