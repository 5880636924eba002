import Base
import Foundation
import Logging
import NodeCluster
import NodePeers
import RPCProto
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Two programs that know nothing of a network are connected through both ends of a tunnel as they would be by TCP alone.
@Suite(.timeLimit(.minutes(2)), .serialized) struct RelayTests {
    /// A port here that leads, through a tunnel, to a port there.
    private final class Passage: Sendable {
        let listener: SocketListener
        let exposed: ExposedServer
        let door: TunnelDoor
        let ports: NetworkPorts
        let port: Int

        init(serverPort: Int? = nil) throws {
            let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
            let (near, far) = (try TunnelTests.Side(), try TunnelTests.Side())
            listener = try #require(try SocketListener.listen(host: "127.0.0.1", port: 0).first)
            let exposed = ExposedServer(Endpoint(host: "127.0.0.1", port: serverPort ?? listener.port), logger: quiet)
            self.exposed = exposed
            let card = far.card(.tunnel)
            var house = TunnelDoor.House(ownCard: { card })
            house.receiver = { card throws(TunnelError) in try exposed.receive(card) }
            door = try TunnelDoor(host: "127.0.0.1", port: 0, far.credentials, house, RefusalLog(quiet))
            try door.start()
            let client = near.client()
            ports = NetworkPorts(host: "127.0.0.1", logger: quiet) { id, routes, seconds throws(StreamError) in
                do throws(TunnelError) {
                    return try client.open(routes[0], .rpc, expecting: id, within: seconds).stream
                } catch {
                    throw StreamError(.failed, "\(error)")
                }
            }
            ports.show([Peer(id: .key(far.node.id), routes: [Endpoint(host: "127.0.0.1", port: door.port)])])
            port = try #require(ports.news(within: .seconds(10))?.first)
        }

        /// Both ends of a new connection: the program's and the server's.
        func connect() throws -> (Socket, Socket) {
            let near = Socket(try SocketDialer.connect(to: Endpoint(host: "127.0.0.1", port: port), within: 5))
            let stranger = try #require(try listener.acceptStranger())
            return (near, Socket(stranger.descriptor))
        }

        deinit {
            listener.stop()
            ports.stop()
            door.stop()
        }
    }

    /// A connected socket with calls that block, for thirty seconds at most.
    private final class Socket: Sendable {
        let descriptor: Int32

        init(_ descriptor: Int32) {
            self.descriptor = descriptor
            var time = timeval(tv_sec: 30, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        }

        deinit { close(descriptor) }

        #if canImport(Glibc)
            private static let withoutWaiting = Int32(MSG_DONTWAIT)
            private static let withoutSignal = Int32(MSG_NOSIGNAL)
        #else
            private static let withoutWaiting = MSG_DONTWAIT
            private static let withoutSignal: Int32 = 0
        #endif

        /// - Returns: how many of them went.
        @discardableResult func send(_ bytes: ArraySlice<UInt8>, waits: Bool = true) -> Int {
            var done = 0
            bytes.withUnsafeBytes { raw in
                while done < raw.count {
                    let flags = (waits ? 0 : Socket.withoutWaiting) | Socket.withoutSignal
                    let count = write(descriptor, UnsafeRawBufferPointer(rebasing: raw[done...]), flags)
                    if count <= 0 { return }
                    done += count
                }
            }
            return done
        }

        private func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ flags: Int32) -> Int {
            #if canImport(Glibc)
                Glibc.send(descriptor, bytes.baseAddress, bytes.count, flags)
            #else
                Darwin.send(descriptor, bytes.baseAddress, bytes.count, flags)
            #endif
        }

        /// Up to so many bytes; fewer only where the other side has ended, and nil where it broke.
        func receive(_ count: Int) -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: count)
            var done = 0
            while done < count {
                let got = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress.map { $0 + done }, count - done, 0) }
                if got < 0 { return nil }
                if got == 0 { break }
                done += got
            }
            return Array(bytes[..<done])
        }

        func endSending() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

        /// Has its end be a reset.
        func breakOff() {
            var value = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
        }
    }

    /// Bytes that differ wherever one is lost or doubled.
    private static func content(_ count: Int, seed: UInt64) -> [UInt8] {
        var state = seed
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            for index in 0..<count {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                buffer[index] = UInt8(truncatingIfNeeded: state >> 33)
            }
            filled = count
        }
    }

    @Test("pieces of all sizes come as they went, both ways at once, over several connections at once")
    func bothWays() async throws {
        let passage = try Passage()
        try await blocking {
            var threads: [SystemThread] = []
            var held: [Socket] = []
            for connection in 0..<4 {
                let (near, far) = try passage.connect()
                held += [near, far]
                for (index, (from, to)) in [(near, far), (far, near)].enumerated() {
                    let bytes = RelayTests.content(3_000_000 + connection * 17, seed: UInt64(connection * 2 + index))
                    threads.append(
                        try SystemThread.start(name: "sender") {
                            var generator = SystemRandomNumberGenerator()
                            var at = 0
                            while at < bytes.count {
                                let largest = [1, 100, 20_000, 300_000].randomElement(using: &generator) ?? 1
                                let end = min(bytes.count, at + Int.random(in: 1...largest, using: &generator))
                                #expect(from.send(bytes[at..<end]) == end - at)
                                at = end
                                // Bytes one by one take their time; some of them are enough.
                                if largest == 1 { at = min(bytes.count, at + from.send(bytes[at..<min(bytes.count, at + 5000)])) }
                            }
                        })
                    threads.append(
                        try SystemThread.start(name: "receiver") { #expect(to.receive(bytes.count) == bytes) })
                }
            }
            for thread in threads { thread.join() }
            #expect(passage.exposed.count == held.count / 2)
        }
        try await eventually("the tunnels end with their connections") { passage.exposed.count == 0 }
    }

    @Test("one side can have said all and still be answered")
    func halfClose() async throws {
        let passage = try Passage()
        try await blocking {
            let (near, far) = try passage.connect()
            near.send(Array("all of it".utf8)[...])
            near.endSending()
            #expect(far.receive(100) == Array("all of it".utf8))
            let answer = RelayTests.content(5_000_000, seed: 5)
            far.send(answer[...])
            far.endSending()
            #expect(near.receive(answer.count + 1) == answer)
            // The other way round.
            let (other, server) = try passage.connect()
            server.endSending()
            #expect(other.receive(1) == [])
            other.send(answer[...])
            other.endSending()
            #expect(server.receive(answer.count + 1) == answer)
        }
        try await eventually("the tunnels end when both have") { passage.exposed.count == 0 }
    }

    @Test("a connection that breaks breaks the other, so that nobody takes a part for the whole")
    func breaks() async throws {
        let passage = try Passage()
        try await blocking {
            for breaksNear in [true, false] {
                var (near, far): (Socket?, Socket?) = try passage.connect()
                near?.send([1, 2, 3])
                #expect(far?.receive(3) == [1, 2, 3])
                if breaksNear {
                    near?.breakOff()
                    near = nil
                    #expect(far?.receive(1) == nil)
                } else {
                    far?.breakOff()
                    far = nil
                    #expect(near?.receive(1) == nil)
                }
            }
        }
        try await eventually("broken tunnels end") { passage.exposed.count == 0 }
    }

    @Test("who does not read slows down who sends, for however long, and loses nothing")
    func slowReader() async throws {
        let passage = try Passage()
        // What the system itself holds, for each of three connections, at most.
        let held = 3 * (RelayTests.systemLimit("tcp_wmem") + RelayTests.systemLimit("tcp_rmem"))
        let total = (64 << 20) + held
        try await blocking {
            let (near, far) = try passage.connect()
            let piece = RelayTests.content(1 << 20, seed: 9)
            var sent = 0
            // Longer than a host may give no sign of itself: this one is well, and does not read.
            let start = ContinuousClock.now
            while ContinuousClock.now - start < .seconds(11), sent < total {
                let count = near.send(piece[(sent % piece.count)...], waits: false)
                sent += count
                if count == 0 { SystemThread.sleep(for: .milliseconds(20)) }
            }
            #expect(sent < held + (8 << 20))
            let rest = (sent..<total)
            let sender = try SystemThread.start(name: "sender") {
                var at = rest.lowerBound
                while at < rest.upperBound {
                    let count = near.send(piece[(at % piece.count)...].prefix(rest.upperBound - at))
                    if count == 0 { break }
                    at += count
                }
                near.endSending()
            }
            var received = 0
            while let bytes = far.receive(piece.count), !bytes.isEmpty {
                #expect(bytes == Array(piece[..<bytes.count]))
                received += bytes.count
            }
            #expect(received == total)
            sender.join()
        }
    }

    private static func systemLimit(_ name: String) -> Int {
        let text = (try? String(contentsOfFile: "/proc/sys/net/ipv4/\(name)", encoding: .utf8)) ?? ""
        return text.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) } ?? 8 << 20
    }

    @Test("a server that is not there is told of, and found when it is back")
    func serverIsGone() async throws {
        let place = try #require(try SocketListener.listen(host: "127.0.0.1", port: 0).first).port
        let passage = try Passage(serverPort: place)
        let client = try TunnelTests.Side().client()
        let route = Endpoint(host: "127.0.0.1", port: passage.door.port)
        try await blocking {
            do {
                _ = try client.open(route, .rpc, expecting: nil, within: 5)
                Issue.record("it was let in")
            } catch {
                #expect("\(error)".contains("its server at 127.0.0.1:\(place) cannot be reached"))
            }
            // Whoever looks is told who is here all the same.
            _ = try client.open(route, .look, expecting: nil, within: 5)
            // A program is sent away, as it is by a port where nobody listens.
            let near = Socket(try SocketDialer.connect(to: Endpoint(host: "127.0.0.1", port: passage.port), within: 5))
            #expect(near.receive(1)?.isEmpty ?? true)
            let back = try #require(try SocketListener.listen(host: "127.0.0.1", port: place).first)
            let again = Socket(try SocketDialer.connect(to: Endpoint(host: "127.0.0.1", port: passage.port), within: 5))
            let server = Socket(try #require(try back.acceptStranger()).descriptor)
            again.send([7])
            #expect(server.receive(1) == [7])
        }
    }
}
