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
    private func connect(_ network: PeerNetwork) throws -> ServerConnection {
        network.settle(quiet: .milliseconds(50), atMost: .seconds(10))
        let listed = try #require(network.nodes.first)
        return try network.connect(
            to: Peer(id: .key(listed.card.id), routes: listed.routes.compactMap(\.place)), ClientLimits(connect: 5, answer: 5, step: 5))
    }

    @Test("a worker that learns of it ends the head's sessions, and lets it in no more", arguments: [false, true])
    func workerLearns(byVisit: Bool) async throws {
        let token = NetworkToken.make()
        let place = try PeerMachine(token, .worker)
        let (worker, task) = try place.runWorker()
        try place.node.start()
        let head = try PeerMachine(token, .head, peers: [place.port])
        try head.node.start()
        let connection = try await blocking { [network = head.node.network] in try connect(network) }
        try await eventually("a session") { worker.status.sessions == 1 }
        if byVisit {
            // Somebody else's machine, whose list says so, meets the worker.
            let third = try PeerMachine(token, .head, peers: [place.port])
            try third.revoke(head.node.id)
            try third.node.start()
            try await eventually("it is told") { place.node.revocations.contains(head.node.id) }
        } else {
            try place.revoke(head.node.id)
        }
        try await eventually("the session ends") { worker.status.sessions == 0 && connection.peerHasLeft }
        _ = try await blocking { [network = head.node.network] in
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
        let place = try PeerMachine(token, .worker)
        let (worker, task) = try place.runWorker()
        try place.node.start()
        let head = try PeerMachine(token, .head, peers: [place.port])
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
        let place = try PeerMachine(token, .tunnel, receiver: server)
        place.node.network.onRevoked { server.end($0) }
        try place.node.start()
        let head = try PeerMachine(token, .head, peers: [place.port])
        try head.node.start()
        try await blocking { [network = head.node.network] in
            network.settle(quiet: .milliseconds(50), atMost: .seconds(10))
            let listed = try #require(network.nodes.first)
            #expect(listed.card.role == .tunnel)
            let stream = try network.open(listed.card.id, listed.routes.compactMap(\.place), within: 5)
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
