import Base
import Foundation
import Logging
import Node
import NodePeers
import NodeWorker
import RPCProto
import Synchronization
import Testing

/// Only nodes of the same network come in, and what they do there is what they would do over TCP.
@Suite(.timeLimit(.minutes(2)), .serialized) struct TunnelTests {
    static let material = Array("a token's secrets".utf8)

    /// One end, with a key of its own.
    struct Side {
        let node: NodeKey
        let credentials: TunnelCredentials

        init(_ material: [UInt8] = TunnelTests.material, networkID: String = "", node: NodeKey = NodeKey()) throws {
            self.node = node
            credentials = try TunnelCredentials(NetworkKeys(material: material, networkID: networkID), node)
        }

        func card(_ role: NodeCard.Role) -> NodeCard { NodeCard(id: node.id, name: "test", role: role) }

        func client(isRevoked: @escaping @Sendable (String) -> Bool = { _ in false }) -> TunnelClient {
            let card = card(.head)
            return TunnelClient(credentials, ownCard: { card }, isRevoked: isRevoked)
        }

        func door(_ log: KeptLog, refusal: @escaping @Sendable (NodeCard, TunnelGreeting.Purpose) -> String? = { _, _ in nil }) throws
            -> TunnelDoor
        {
            let card = card(.worker)
            let house = TunnelDoor.House(ownCard: { card }, refusal: refusal)
            let door = try TunnelDoor(host: "127.0.0.1", port: 0, credentials, house, RefusalLog(log.logger()))
            try door.start()
            return door
        }
    }

    /// A worker without a port, behind a door.
    final class TunnelledWorker: Sendable {
        let worker: Worker
        let door: TunnelDoor
        private let task: Task<Void, any Error>

        init(_ door: TunnelDoor, memory: Int = 256 << 20, threads: Int = 1) throws {
            var options = WorkerOptions()
            options.hosts = []
            options.threads = threads
            options.limits.memory = memory
            options.graceSeconds = 0
            let worker = try Worker(options, doors: [door], logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
            self.worker = worker
            self.door = door
            task = Task { try await worker.run() }
        }

        func stop() async {
            task.cancel()
            _ = await task.result
        }
    }

    struct Opener: StreamOpener {
        let client: TunnelClient
        let id: String
        let route: Endpoint

        func open(within seconds: Double) throws(StreamError) -> OpenedStream {
            do throws(TunnelError) {
                return try client.open(route, .rpc, expecting: id, within: seconds).stream
            } catch {
                throw StreamError(.failed, "\(error)")
            }
        }
    }

    private func failure(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test("a head uses a worker over a tunnel, with signs of life, and knows it by its key")
    func works() async throws {
        let (near, far) = (try Side(), try Side())
        let behind = try TunnelledWorker(try far.door(KeptLog()))
        let route = Endpoint(host: "127.0.0.1", port: behind.door.port)
        let opener = Opener(client: near.client(), id: far.node.id, route: route)
        try await blocking {
            let connection = try ServerConnection.connect(to: route, through: opener)
            #expect(try connection.devices[0].memory().total > 0)
            let lines = LifeLines()
            lines.watch(connection) { Issue.record("it was given up") }
            for _ in 0..<600 where connection.lifeLineRoundTrip == nil { Thread.sleep(forTimeInterval: 0.02) }
            #expect(connection.lifeLineRoundTrip != nil)
            #expect(!connection.peerHasLeft)
            // Contents come back as they went.
            let device = connection.devices[0]
            let buffer = try device.allocate(byteCount: 8 << 20)
            var bytes = [UInt8](repeating: 0, count: 8 << 20)
            for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 31 >> 3) }
            try bytes.withUnsafeBytes { try device.write($0, to: buffer, at: 0) }
            var back = [UInt8](repeating: 0, count: bytes.count)
            try back.withUnsafeMutableBytes { try device.read(buffer, at: 0, into: $0) }
            #expect(back == bytes)
            connection.close()
        }
        await behind.stop()
    }

    @Test("strangers are turned away with the reason, before the worker learns of them")
    func refusals() async throws {
        let log = KeptLog()
        let far = try Side()
        let revoked = try Side()
        let door = try far.door(log) { card, _ in card.id == revoked.node.id ? "it is revoked" : nil }
        let behind = try TunnelledWorker(door)
        let route = Endpoint(host: "127.0.0.1", port: door.port)
        try await blocking {
            let otherToken = try Side(Array("other".utf8)).client()
            #expect(failure { _ = try otherToken.open(route, .rpc, expecting: nil, within: 5) } != "")
            let otherNetwork = try Side(networkID: "b").client()
            #expect(failure { _ = try otherNetwork.open(route, .rpc, expecting: nil, within: 5) } != "")
            #expect(failure { _ = try revoked.client().open(route, .rpc, expecting: nil, within: 5) }.contains("it is revoked"))
            let wrongID = failure { _ = try Side().client().open(route, .rpc, expecting: NodeKey().id, within: 5) }
            #expect(wrongID.contains("another node"))
            let distrusting = try Side().client(isRevoked: { $0 == far.node.id })
            #expect(failure { _ = try distrusting.open(route, .rpc, expecting: nil, within: 5) }.contains("revoked"))
            // Plain RPC and HTTP.
            for text in ["\u{e}\u{18}\0\0\0\0\0\0\0\u{8}", "GET / HTTP/1.1\r\n\r\n"] {
                let raw = try RawConnection(port: door.port)
                raw.send(text)
                #expect(raw.receive() == "")
            }
            let tunnel = try Side().client().open(route, .look, expecting: far.node.id, within: 5)
            #expect(tunnel.card.id == far.node.id)
        }
        try await eventually("lines") { log.lines.count >= 4 }
        #expect(log.lines.contains { $0.contains("none of this network") })
        #expect(log.lines.contains { $0.contains("it is revoked") })
        #expect(log.lines.contains { $0.contains("does not speak TLS") })
        #expect(behind.worker.status.connectionsAccepted == 0)
        await behind.stop()
    }
}
