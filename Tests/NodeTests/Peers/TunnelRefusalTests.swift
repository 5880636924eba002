import Base
import Foundation
import Logging
import NodePeers
import RPCProto
import Synchronization
import Testing

/// What has the token and is wrong all the same is refused, by whichever side notices, and the reason is told.
@Suite(.timeLimit(.minutes(2)), .serialized) struct TunnelRefusalTests {
    static let keys = NetworkKeys(material: Array("a token's secrets".utf8))

    /// A clock that shows another time for its first readings: a certificate that is signed then is shown later.
    private static func clock(off seconds: Double, readings: Int) -> @Sendable () -> Date {
        let count = Mutex(0)
        return {
            let number = count.withLock { count in
                count += 1
                return count
            }
            return Date() + (number <= readings ? seconds : 0)
        }
    }

    private struct Outcome {
        /// What the client was told or found; empty if it was let in.
        var client = ""
        var log: [String] = []
    }

    /// A client comes to a door.
    private func meet(
        client: TunnelCredentials, server: TunnelCredentials, clientCard: NodeCard? = nil, serverCard: NodeCard? = nil,
        isToldByDoor: Bool = true
    ) async throws -> Outcome {
        let log = KeptLog()
        let own = serverCard ?? NodeCard(id: server.node.id, name: "server", role: .worker)
        let house = TunnelDoor.House(ownCard: { own })
        let door = try TunnelDoor(host: "127.0.0.1", port: 0, server, house, RefusalLog(log.logger()))
        try door.start()
        defer { door.stop() }
        let card = clientCard ?? NodeCard(id: client.node.id, name: "client", role: .head)
        let route = Endpoint(host: "127.0.0.1", port: door.port)
        var outcome = Outcome()
        outcome.client = try await blocking {
            do throws(TunnelError) {
                _ = try TunnelClient(client, ownCard: { card }).open(route, .look, expecting: nil, within: 5)
                return ""
            } catch {
                return "\(error)"
            }
        }
        if isToldByDoor, !outcome.client.isEmpty { try await eventually("a line") { !log.lines.isEmpty } }
        outcome.log = log.lines
        return outcome
    }

    private func credentials(
        protocols: [String] = [TunnelCredentials.protocolName], off seconds: Double = 0, readings: Int = .max
    ) throws -> TunnelCredentials {
        try TunnelCredentials(
            TunnelRefusalTests.keys, NodeKey(), protocols: protocols, now: TunnelRefusalTests.clock(off: seconds, readings: readings))
    }

    @Test("those who are right are let in, which the others differ from in one thing each")
    func good() async throws {
        let outcome = try await meet(client: credentials(), server: credentials())
        #expect(outcome.client == "" && outcome.log == [])
    }

    @Test("a certificate that has expired, or is not good yet, is refused by either side")
    func times() async throws {
        let month = 40 * 86400.0
        // Read when the certificate is made, and again for each connection.
        let late = try await meet(client: credentials(off: -month, readings: 2), server: credentials())
        #expect(late.log.contains { $0.contains("expired on") }, "\(late)")
        let early = try await meet(client: credentials(off: month, readings: 2), server: credentials())
        #expect(early.log.contains { $0.contains("not good before") }, "\(early)")
        let lateServer = try await meet(client: credentials(), server: credentials(off: -month, readings: 2))
        #expect(lateServer.client.contains("expired on"), "\(lateServer)")
        let wrongClock = try await meet(client: credentials(off: month), server: credentials())
        #expect(wrongClock.client.contains("expired on"), "\(wrongClock)")
    }

    @Test("a node that says another id than its key's is refused by either side")
    func otherID() async throws {
        let other = NodeKey().id
        let client = try await meet(client: credentials(), server: credentials(), clientCard: NodeCard(id: other, name: "a", role: .head))
        #expect(client.client.contains("it says that it is \(other)"))
        #expect(client.log.contains { $0.contains("it says that it is \(other)") })
        let server = try await meet(
            client: credentials(), server: credentials(), serverCard: NodeCard(id: other, name: "a", role: .worker), isToldByDoor: false)
        #expect(server.client.contains("it says that it is \(other)"))
    }

    @Test("who does not name the protocol inside of TLS is refused by either side")
    func protocols() async throws {
        for none in [[], ["h2", "http/1.1"]] {
            let client = try await meet(client: credentials(protocols: none), server: credentials())
            #expect(client.client != "")
            #expect(client.log.contains { $0.contains("does not speak swiftlet/1") || $0.contains("closed the connection") }, "\(client)")
            let server = try await meet(client: credentials(), server: credentials(protocols: none))
            #expect(server.client.contains("does not speak swiftlet/1"), "\(server)")
        }
    }

    @Test("a greeting of more than 256 KiB is refused before it is read")
    func largeGreeting() async throws {
        let client = try credentials()
        let card = NodeCard(
            id: client.node.id, name: "a", role: .head, devices: [String(repeating: "x", count: TunnelGreeting.largestBody)])
        let outcome = try await meet(client: client, server: credentials(), clientCard: card)
        #expect(outcome.log.contains { $0.contains("\(TunnelGreeting.largestBody) are allowed") }, "\(outcome)")
        let head = TunnelGreeting(number: 1, card: card, revoked: []).encoded.prefix(TunnelGreeting.headByteCount)
        #expect(throws: TunnelError.self) { try TunnelGreeting.bodySize(head: Array(head)) }
    }

    @Test("the library's words for what is wrong with TLS are told without where in its source they are")
    func words() async throws {
        let log = KeptLog()
        let server = try credentials()
        let door = try TunnelDoor(
            host: "127.0.0.1", port: 0, server, TunnelDoor.House(ownCard: { NodeCard(id: server.node.id, name: "a", role: .worker) }),
            RefusalLog(log.logger()))
        try door.start()
        defer { door.stop() }
        var bytes = try credentials().clientSeal().stream.withWrapped { Array($0) }
        // A record of the handshake in which there is none.
        bytes += [22, 3, 3, 0, 4, 0xff, 0, 0, 0]
        let sent = bytes
        try await blocking {
            let raw = try RawConnection(port: door.port)
            raw.send(sent)
            _ = raw.receive()
        }
        try await eventually("a line") { !log.lines.isEmpty }
        #expect(log.lines.allSatisfy { $0.contains("TLS: ") && !$0.contains("OPENSSL") && !$0.contains("Sources") }, "\(log.lines)")
    }

    @Test("handshakes at a time on several threads do not disturb each other")
    func threads() throws {
        let nodes = try (0..<4).map { _ in try credentials() }
        let faults = Mutex<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            for round in 0..<20 {
                let (client, server) = (nodes[(thread + round) % 4], nodes[(thread * 3 + round / 4) % 4])
                do {
                    let (near, far) = (try client.clientSeal(), try server.serverSeal())
                    for _ in 0..<4 {
                        try pass(near.stream, far.stream)
                        try pass(far.stream, near.stream)
                    }
                    if near.peer != .success(server.node.id) || far.peer != .success(client.node.id) || !near.isEstablished
                        || !far.isEstablished
                    {
                        faults.withLock { $0.append("\(String(describing: near.peer)) and \(String(describing: far.peer))") }
                    }
                } catch {
                    faults.withLock { $0.append("\(error)") }
                }
            }
        }
        #expect(faults.withLock { $0 } == [])
    }

    @Test("nothing is left of a connection that is over, whether it came to something or not", arguments: [true, false])
    func released(isWhole: Bool) throws {
        let (client, server) = (try credentials(), try credentials())
        weak var near: TunnelCredentials.Verdict?
        weak var far: TunnelCredentials.Verdict?
        func meet() throws {
            let (one, other) = (try client.clientSeal(), try server.serverSeal())
            (near, far) = (one.verdict, other.verdict)
            for _ in 0..<(isWhole ? 4 : 1) {
                try pass(one.stream, other.stream)
                try pass(other.stream, one.stream)
            }
            #expect(other.isEstablished == isWhole)
        }
        try meet()
        #expect(near == nil && far == nil)
    }

    /// What one side wants to send comes to the other.
    private func pass(_ from: any StreamSeal, _ to: any StreamSeal) throws {
        var bytes = from.withWrapped { Array($0) }
        from.dropWrapped(bytes.count)
        while !bytes.isEmpty {
            let count = try to.unwrap { target in
                let count = min(target.count, bytes.count)
                target.copyBytes(from: bytes[..<count])
                return count
            }
            bytes.removeFirst(count)
        }
    }
}
