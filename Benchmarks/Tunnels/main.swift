import Base
import Foundation
import Logging
import NodePeers
import RPCProto

// What do tunnels cost? Bytes per second and round trips beside plain TCP, all in one process: of a tunnel whose ends encrypt themselves,
// as a head and a worker do, and of one that programs use which know nothing of it (three TCP connections over the loopback).
//
//     .build/release/tunnel-speed [GIBIBYTES] [ROUND TRIPS]

let gibibytes = CommandLine.arguments.count > 1 ? Double(CommandLine.arguments[1]) ?? 4 : 4
let rounds = CommandLine.arguments.count > 2 ? Int(CommandLine.arguments[2]) ?? 20_000 : 20_000

do {
    let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
    let server = try TestServer()
    let keys = NetworkKeys(material: Array("the words of a token that is for measuring only".utf8), networkID: "")
    let (near, far) = (NodeKey(), NodeKey())
    let exposed = ExposedServer(Endpoint(host: "127.0.0.1", port: server.port), logger: quiet)
    let farCard = NodeCard(id: far.id, name: "far", role: .tunnel)
    var house = TunnelDoor.House(ownCard: { farCard })
    house.receiver = { card throws(TunnelError) in try exposed.receive(card) }
    let door = try TunnelDoor(host: "127.0.0.1", port: 0, TunnelCredentials(keys, far), house, RefusalLog(quiet))
    try door.start()
    let nearCard = NodeCard(id: near.id, name: "near", role: .visitor)
    let client = TunnelClient(try TunnelCredentials(keys, near), ownCard: { nearCard })
    let ports = NetworkPorts(host: "127.0.0.1", logger: quiet) { id, routes, seconds throws(StreamError) in
        do throws(TunnelError) {
            return try client.open(routes[0], .rpc, expecting: id, within: seconds).stream
        } catch {
            throw StreamError(.failed, "\(error)")
        }
    }
    ports.show([.init(id: .key(far.id), routes: [Endpoint(host: "127.0.0.1", port: door.port)])])
    guard let port = ports.news(within: .seconds(10))?.first else { throw Failure("there is no port") }
    let worker = NodeKey()
    let workerCard = NodeCard(id: worker.id, name: "worker", role: .worker)
    let workerDoor = try TunnelDoor(
        host: "127.0.0.1", port: 0, TunnelCredentials(keys, worker), TunnelDoor.House(ownCard: { workerCard }), RefusalLog(quiet))
    try workerDoor.start()
    try SystemThread.start(name: "worker") {
        while let stream = try? workerDoor.accept() {
            _ = try? SystemThread.start(name: "serving") { try? TestServer.serve(stream) }
        }
    }
    let direct: () throws -> TestClient = {
        let route = Endpoint(host: "127.0.0.1", port: workerDoor.port)
        let opened = try client.open(route, .rpc, expecting: worker.id, within: 5).stream
        return TestClient(SocketStream(descriptor: opened.descriptor, peer: "worker", seal: opened.seal))
    }
    let ways: [(String, () throws -> TestClient)] = [
        ("plain TCP", { try TestClient(port: server.port) }), ("head and worker", direct),
        ("between programs", { try TestClient(port: port) }),
    ]
    for (name, connect) in ways + ways {
        let rate = try connect().sink(Int(gibibytes * 1_073_741_824))
        let back = try connect().source(Int(gibibytes * 1_073_741_824))
        let small = try connect().roundTrip(64, rounds)
        let large = try connect().roundTrip(16384, rounds / 2)
        print(
            "\(name): \(format(rate / 1e9)) GB/s there, \(format(back / 1e9)) GB/s back; "
                + "a round trip of 64 bytes \(format(small * 1e6)) µs, of 16 KiB \(format(large * 1e6)) µs")
    }
} catch {
    print("\(error)")
    exit(1)
}

func format(_ value: Double) -> String { String(format: "%.2f", value) }
