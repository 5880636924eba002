import Base
import Foundation
import Logging
import NodePeers
import RPCProto

// What do tunnels cost a program that knows nothing of them? Bytes per second and round trips through both ends of one (three TCP
// connections over the loopback, encryption between), beside plain TCP, all in one process.
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
    for (name, port) in [("plain TCP", server.port), ("tunnelled", port), ("plain TCP", server.port), ("tunnelled", port)] {
        let rate = try TestClient(port: port).sink(Int(gibibytes * 1_073_741_824))
        let back = try TestClient(port: port).source(Int(gibibytes * 1_073_741_824))
        let small = try TestClient(port: port).roundTrip(64, rounds)
        let large = try TestClient(port: port).roundTrip(16384, rounds / 2)
        print(
            "\(name): \(format(rate / 1e9)) GB/s there, \(format(back / 1e9)) GB/s back; "
                + "a round trip of 64 bytes \(format(small * 1e6)) µs, of 16 KiB \(format(large * 1e6)) µs")
    }
} catch {
    print("\(error)")
    exit(1)
}

func format(_ value: Double) -> String { String(format: "%.2f", value) }
