import Base
import Foundation
import Logging
import NodeCluster
import NodePeers
import NodeWorker
import RPCProto
import Synchronization
import Tensor
import Testing

/// Who is put out is out, also of what is open already, wherever in the network somebody says so.
@Suite(.timeLimit(.minutes(2)), .serialized) struct RevocationSpreadTests {
    /// A node with a list of its own, as on a machine of its own.
    private final class Machine: Sendable {
        let folder = FileManager.default.temporaryDirectory.appending(path: "machine-\(UUID().uuidString)").path
        let node: PeerNode

        var environment: [String: String] { ["XDG_STATE_HOME": folder, "HOME": folder] }

        init(_ token: NetworkToken, _ role: NodeCard.Role, peers: [Int] = [], receiver: ExposedServer? = nil) throws {
            let settings = PeersSettings(
                token: token, host: "127.0.0.1", peers: peers.map { Endpoint(host: "127.0.0.1", port: $0) }, name: "machine",
                usesMDNS: false)
            let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
            let environment = ["XDG_STATE_HOME": folder, "HOME": folder]
            if let receiver {
                node = try PeerNode(
                    settings, role, environment: environment, receiver: { card throws(TunnelError) in try receiver.receive(card) },
                    logger: quiet)
            } else {
                node = try PeerNode(settings, role, environment: environment, logger: quiet)
            }
        }

        var port: Int { node.door?.port ?? 0 }

        /// As `swiftlet token revoke --local` does, from another process.
        func revoke(_ id: String) throws {
            try RevocationList(path: RevocationList.path(tag: node.tag, environment: environment)).add(id)
        }

        deinit {
            node.stop()
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    private func worker(_ machine: Machine) throws -> (Worker, Task<Void, any Error>) {
        var options = WorkerOptions()
        options.hosts = []
        options.threads = 1
        options.limits.memory = 64 << 20
        options.graceSeconds = 0
        let door = try #require(machine.node.door)
        let worker = try Worker(options, doors: [door], logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
        machine.node.network.onRevoked { worker.endSessions(with: $0, "its node is revoked") }
        return (worker, Task { try await worker.run() })
    }

    private func connect(_ network: PeerNetwork) throws -> ServerConnection {
        network.settle(quiet: .milliseconds(50), atMost: .seconds(10))
        let listed = try #require(network.nodes.first)
        return try network.connect(to: Peer(id: .key(listed.card.id), routes: listed.routes), ClientLimits(connect: 5, answer: 5, step: 5))
    }

    @Test("a worker that learns of it ends the head's sessions, and lets it in no more", arguments: [false, true])
    func workerLearns(byVisit: Bool) async throws {
        let token = NetworkToken.make()
        let place = try Machine(token, .worker)
        let (worker, task) = try worker(place)
        try place.node.start()
        let head = try Machine(token, .head, peers: [place.port])
        try head.node.start()
        let connection = try await blocking { [network = head.node.network] in try connect(network) }
        try await eventually("a session") { worker.status.sessions == 1 }
        if byVisit {
            // Somebody else's machine, whose list says so, meets the worker.
            let third = try Machine(token, .head, peers: [place.port])
            try third.revoke(head.node.id)
            try third.node.start()
            try await eventually("it is told") { place.node.revocations.contains(head.node.id) }
        } else {
            try place.revoke(head.node.id)
        }
        try await eventually("the session ends") { worker.status.sessions == 0 && connection.peerHasLeft }
        try await blocking { [network = head.node.network] in
            #expect(throws: (any Error).self) {
                _ = try network.connect(
                    to: Peer(id: .key(place.node.id), routes: [Endpoint(host: "127.0.0.1", port: place.port)]), ClientLimits(connect: 5))
            }
        }
        task.cancel()
        _ = await task.result
    }

    @Test("a head that learns of it closes its tunnels to the worker, and forgets it")
    func headLearns() async throws {
        let token = NetworkToken.make()
        let place = try Machine(token, .worker)
        let (worker, task) = try worker(place)
        try place.node.start()
        let head = try Machine(token, .head, peers: [place.port])
        try head.node.start()
        let connection = try await blocking { [network = head.node.network] in try connect(network) }
        try head.revoke(place.node.id)
        try await eventually("the tunnel is closed, and the worker knows") { connection.peerHasLeft && worker.status.sessions == 0 }
        try await eventually("it is listed no more") { head.node.network.nodes.isEmpty }
        task.cancel()
        _ = await task.result
    }

    @Test("a tunnel to an exposed server ends with its node's revocation")
    func exposed() async throws {
        let token = NetworkToken.make()
        let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
        let listener = try #require(try SocketListener.listen(host: "127.0.0.1", port: 0).first)
        let server = ExposedServer(Endpoint(host: "127.0.0.1", port: listener.port), logger: quiet)
        let place = try Machine(token, .tunnel, receiver: server)
        place.node.network.onRevoked { server.end($0) }
        try place.node.start()
        let head = try Machine(token, .head, peers: [place.port])
        try head.node.start()
        try await blocking { [network = head.node.network] in
            network.settle(quiet: .milliseconds(50), atMost: .seconds(10))
            let listed = try #require(network.nodes.first)
            #expect(listed.card.role == .tunnel)
            let stream = try network.open(listed.card.id, listed.routes, within: 5)
            let far = try #require(try listener.accept())
            // It is joined a moment after the head has read that it is welcome.
            for _ in 0..<1000 where server.count == 0 { SystemThread.sleep(for: .milliseconds(10)) }
            #expect(server.count == 1)
            try place.revoke(head.node.id)
            // The server's side is told as well.
            for _ in 0..<1000 where server.count > 0 || !far.peerHasLeft { SystemThread.sleep(for: .milliseconds(10)) }
            #expect(server.count == 0 && far.peerHasLeft)
            SocketDialer.close(stream.descriptor)
        }
        listener.stop()
    }
}
