import Base
import Foundation
import NodeCluster
import NodePeers
import NodeWorker
import RPCProto
import Tensor
import Testing

/// A worker to which nobody can connect, as behind a router: heads know no address of it.
@Suite(.timeLimit(.minutes(2)), .serialized) struct CallTests {
    /// Connects, and has the worker say something of itself.
    private func use(_ network: PeerNetwork, _ id: String) async throws -> ServerConnection {
        try await blocking {
            let connection = try network.connect(to: Peer(id: .key(id), routes: []), ClientLimits(connect: 5, answer: 5, step: 5))
            let device = try #require(connection.devices.first)
            #expect(try device.memory().total == 64 << 20)
            return connection
        }
    }

    /// One way, whatever others there are.
    private struct Way: StreamOpener {
        let network: PeerNetwork
        let route: Route
        let id: String

        func open(within seconds: Double) throws(StreamError) -> OpenedStream {
            do throws(TunnelError) {
                return try network.open(along: route, .rpc, expecting: id, within: seconds).stream
            } catch {
                throw StreamError(.failed, "\(error)")
            }
        }
    }

    @Test("is reached by way of a node that joins others, which sees no more than bytes of TLS; and is lost with it")
    func relayed() async throws {
        let token = NetworkToken.make()
        let relay = try PeerMachine(token, .head, relays: true)
        try relay.node.start()
        let place = try PeerMachine(token, .worker, peers: [relay.port])
        let (worker, task) = try place.runWorker()
        try place.node.start()
        let head = try PeerMachine(token, .head, peers: [relay.port])
        try head.node.start()
        let network = head.node.network
        let workerID = place.node.id
        try await eventually("the head knows a way") {
            network.nodes.first { $0.card.id == workerID }?.routes.contains(.called(at: relay.node.id)) ?? false
        }
        let connection = try await blocking { [id = relay.node.id] in
            let way = Way(network: network, route: .called(at: id), id: workerID)
            let connection = try ServerConnection.connect(to: Endpoint(host: "worker", port: 1), through: way)
            #expect(try connection.devices.first?.memory().total == 64 << 20)
            return connection
        }
        // What joins them has no part in it: the worker has a session with somebody who has proven to be the head.
        try await eventually("a session") { worker.status.sessions == 1 }
        let second = try await use(network, workerID)
        try await eventually("two") { worker.status.sessions == 2 }
        withExtendedLifetime(second) {}
        relay.node.stop()
        try await eventually("nobody waits any more") { relay.node.network.desk.ids.isEmpty }
        withExtendedLifetime(connection) {}
        task.cancel()
        _ = await task.result
    }

    @Test("comes to a head by itself that does not come to it")
    func called() async throws {
        let token = NetworkToken.make()
        let head = try PeerMachine(token, .head)
        try head.node.start()
        let place = try PeerMachine(token, .worker, peers: [head.port])
        let (worker, task) = try place.runWorker()
        try place.node.start()
        let network = head.node.network
        let workerID = place.node.id
        try await eventually("the worker waits at the head", within: 40) {
            network.nodes.first { $0.card.id == workerID }?.routes == [.called(at: head.node.id)]
        }
        let connection = try await use(network, workerID)
        try await eventually("a session") { worker.status.sessions == 1 }
        // Revoked, it is sent away from where it waits, and its tunnels end.
        try head.revoke(workerID)
        try await eventually("its tunnel is closed") { connection.peerHasLeft && head.node.network.desk.ids.isEmpty }
        task.cancel()
        _ = await task.result
    }

    @Test("a node that was not asked to joins nobody, and nobody comes who was not called")
    func refused() async throws {
        let token = NetworkToken.make()
        let head = try PeerMachine(token, .head)
        try head.node.start()
        let other = try PeerMachine(token, .worker, peers: [head.port])
        try other.node.start()
        let place = Endpoint(host: "127.0.0.1", port: head.port)
        try await blocking {
            let client = TunnelClient(
                other.node.network.credentials,
                ownCard: {
                    NodeCard(id: other.node.id, name: "other", role: .worker)
                })
            for (request, reason) in [
                (TunnelClient.Request(.reach, target: other.node.id), "joins nobody"),
                (TunnelClient.Request(.reach), "joins nobody"),
                (TunnelClient.Request(.meet, ticket: CallTicket()), "was not called"),
                (TunnelClient.Request(.meet), "was not called"),
            ] {
                let error = #expect(throws: TunnelError.self) {
                    _ = try client.open(place, request, expecting: head.node.id, until: MonotonicClock.moment(in: 5))
                }
                #expect(error.map { "\($0)".contains(reason) } ?? false)
            }
        }
    }

    @Test("messages between a node that waits and where it does come back as they were, and nothing else does")
    func messages() throws {
        let ticket = CallTicket()
        let all: [CallMessage] = [.question, .answer, .call(ticket), .question]
        let bytes = all.flatMap(\.encoded)
        // In pieces of every size.
        for size in 1...bytes.count {
            var rest: ArraySlice<UInt8> = []
            var found: [CallMessage] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                rest += bytes[start..<min(bytes.count, start + size)]
                while let message = try CallMessage.take(from: &rest) { found.append(message) }
            }
            #expect(found == all)
        }
        #expect(CallTicket(text: ticket.text) == ticket)
        for wrong: [UInt8] in [[9, 0, 0], [3, 1, 0, 5], [1, 255, 255], [3, 0, 0]] {
            #expect(throws: TunnelError.self) {
                var rest = wrong[...]
                _ = try CallMessage.take(from: &rest)
            }
        }
        for text in ["", "xyz", String(repeating: "G", count: 32), String(repeating: "0", count: 33)] {
            #expect(CallTicket(text: text) == nil)
        }
    }
}
