import Base
import Node
import NodeCluster
import NodeEngine
import Testing

/// Workers that prove who they are have ids of 32 digits, which nobody reads: texts for people have their names.
@Suite struct NodeNameTests {
    private let id = "5f0c1a2b5f0c1a2b5f0c1a2b5f0c1a2b"

    @Test("where a model is, by name and the beginning of the id")
    func summary() {
        let devices = [NodeStatus.Device(name: "device 0", layers: 0..<9)]
        var peer = NodeStatus(address: id, version: "8.0.0", devices: devices)
        peer.name = "cellar"
        let other = NodeStatus(address: "10.0.0.7:50052", version: "8.0.0", devices: devices)
        #expect(NodeStatus.summary([peer, other]) == "cellar (5f0c1a2b) layers 0-8, 10.0.0.7:50052 layers 0-8")
    }

    @Test(
        "an event's line has the name once, however its message begins",
        arguments: ["cellar is there", "cellar (5f0c1a2b) is there", "cellar: is there", "is there"])
    func line(message: String) throws {
        let event = NodeEvent(.joined, node: id, name: "cellar", message)
        #expect(event.line == "cellar (5f0c1a2b): is there")
        #expect(event.json["node"] == .string(id) && event.json["name"] == "cellar")
    }

    @Test("an event about a worker known by its address is as it was")
    func address() {
        #expect(NodeEvent(.joined, node: "10.0.0.7:50052", "10.0.0.7:50052 is there").line == "10.0.0.7:50052: is there")
        #expect(NodeEvent(.joined, node: "10.0.0.7:50052", "10.0.0.7:50052x is there").line == "10.0.0.7:50052: 10.0.0.7:50052x is there")
    }
}
