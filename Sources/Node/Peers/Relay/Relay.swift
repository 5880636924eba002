internal import Base
package import RPCProto
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Joins a TCP connection with a tunnel: what comes on one goes out on the other, in both directions, and so does an end.
///
/// One thread does all of it, and so uses the tunnel's TLS alone. A side is read only when what was read of it before has gone, so that
/// it holds no more than two pieces, however slowly somebody reads, and who sends is slowed down by TCP itself.
package struct Relay: ~Copyable {
    package enum End: Hashable, Sendable {
        /// Both sides have said that nothing more comes.
        case closed
        /// One of them was broken off, and so the other is.
        case broken(String)
    }

    private let plain: Int32
    private let wire: Int32
    private let seal: TLSSeal
    private let traffic: Traffic?

    private var hasPlainEnded = false
    private var hasWireEnded = false
    private var isWireShut = false
    private var isPlainShut = false

    /// Bytes that are read at a time.
    private static let pieceByteCount = 256 << 10
    /// Milliseconds between two looks at whether the hosts are still there.
    private static let period: Int32 = 1000

    /// Seconds after the end of what a server has to say in which a program may go on sending to it, if nothing moves.
    private static let endPatience: UInt64 = 5
    /// Whether the program is the one that asks, so that the end of the tunnel is that of its server.
    private let isClient: Bool
    private var endTime: UInt64?

    /// - Parameters:
    ///   - isClient: whether the program is a client, which may never look at its connection while it has nothing to ask: where its server
    ///     has ended, so does this. A server may take as long as it likes with the answer to a client that has said all.
    ///   - plain: a connected socket; it stays the caller's.
    ///   - tunnel: one of ours, which nobody else uses; it stays the caller's.
    ///   - traffic: is told whenever bytes have moved.
    /// - Returns: nil for a stream that is no tunnel.
    package init?(plain: Int32, tunnel: OpenedStream, isClient: Bool = false, traffic: Traffic? = nil) {
        guard let seal = tunnel.seal as? TLSSeal else { return nil }
        self.plain = plain
        wire = tunnel.descriptor
        self.seal = seal
        self.traffic = traffic
        self.isClient = isClient
    }

    /// Relays until both sides have ended, or one breaks. Where one breaks, closing the descriptors tells both peers so.
    package consuming func run() -> End {
        for side in [plain, wire] {
            HostWatch.begin(side)
            SocketOption.sendAtOnce(side)
        }
        var lastLook = MonotonicClock.nanoseconds()
        do throws(StreamError) {
            while true {
                try sendWire()
                try sendPlain()
                if isWireShut && isPlainShut { return .closed }
                var entries = (entry(wire, reads: readsWire, writes: hasWrapped), entry(plain, reads: readsPlain, writes: hasPlain))
                let count = withUnsafeMutableBytes(of: &entries) { bytes in
                    poll(bytes.baseAddress?.assumingMemoryBound(to: pollfd.self), 2, Relay.period)
                }
                if count < 0, errno != EINTR { throw Relay.failure("waiting") }
                let now = MonotonicClock.nanoseconds()
                if now - lastLook > UInt64(Relay.period) * 1_000_000 {
                    lastLook = now
                    if isClient, let endTime, now > endTime, now - endTime > Relay.endPatience * 1_000_000_000 {
                        throw StreamError(.failed, "the other side has ended")
                    }
                    for side in [wire, plain] where HostWatch.hasVanished(side) {
                        throw StreamError(.failed, "\(side == wire ? "the other node" : "the program") gives no sign of life")
                    }
                }
                if entries.0.revents != 0, readsWire {
                    try readWire()
                    // This node has cut it off: not the end of what the other side has to say.
                    if hasWireEnded, !isWireShut, Relay.isCutOff(entries.0.revents) { throw StreamError(.failed, "it was cut off here") }
                }
                if entries.1.revents != 0, readsPlain { try readPlain() }
            }
        } catch {
            HostWatch.breakOff(plain)
            HostWatch.breakOff(wire)
            return .broken(error.message)
        }
    }

    private var hasWrapped: Bool { seal.withWrapped { !$0.isEmpty } }
    private var hasPlain: Bool { seal.withPlain { !$0.isEmpty } }
    private var readsWire: Bool { !hasWireEnded && !hasPlain }
    private var readsPlain: Bool { !hasPlainEnded && !hasWrapped }

    /// One of whom nothing is wanted is left out: that it has hung up would be told again and again.
    private func entry(_ descriptor: Int32, reads: Bool, writes: Bool) -> pollfd {
        let events = (reads ? Int16(POLLIN) : 0) | (writes ? Int16(POLLOUT) : 0)
        return pollfd(fd: events == 0 ? -1 : descriptor, events: events, revents: 0)
    }

    // MARK: From the program to the tunnel

    private mutating func readPlain() throws(StreamError) {
        let count = try seal.wrap(upTo: Relay.pieceByteCount) { recv(plain, $0.baseAddress, $0.count, SocketWait.withoutWaiting) }
        if count > 0, endTime != nil { endTime = MonotonicClock.nanoseconds() }
        hasPlainEnded = try Relay.isEnd(count, "receiving from the program")
    }

    private mutating func sendWire() throws(StreamError) {
        while hasWrapped {
            let count = seal.withWrapped { SystemSocket.send(wire, $0, waits: false) }
            if count > 0 {
                seal.dropWrapped(count)
                traffic?.note()
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                throw Relay.failure("sending to the other node")
            }
        }
        if hasPlainEnded, !isWireShut {
            _ = shutdown(wire, Int32(SHUT_WR))
            isWireShut = true
        }
    }

    // MARK: From the tunnel to the program

    private mutating func readWire() throws(StreamError) {
        let count = try seal.unwrap { recv(wire, $0.baseAddress, $0.count, SocketWait.withoutWaiting) }
        hasWireEnded = try Relay.isEnd(count, "receiving from the other node")
    }

    private mutating func sendPlain() throws(StreamError) {
        while hasPlain {
            let count = seal.withPlain { SystemSocket.send(plain, $0, waits: false) }
            if count > 0 {
                seal.dropPlain(count)
                traffic?.note()
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                throw Relay.failure("sending to the program")
            }
        }
        if hasWireEnded, !isPlainShut {
            _ = shutdown(plain, Int32(SHUT_WR))
            isPlainShut = true
            endTime = MonotonicClock.nanoseconds()
        }
    }

    private static func isEnd(_ count: Int, _ what: String) throws(StreamError) -> Bool {
        if count >= 0 { return count == 0 }
        if errno == EAGAIN || errno == EINTR { return false }
        throw failure(what)
    }

    /// Whether both directions are over, of which this side has ended none by itself.
    private static func isCutOff(_ events: Int16) -> Bool {
        #if canImport(Glibc)
            events & Int16(POLLHUP) != 0
        #else
            // There it is also said of one that the peer alone has ended.
            false
        #endif
    }

    private static func failure(_ what: String) -> StreamError {
        StreamError(.failed, "\(what) failed: \(String(cString: strerror(errno)).lowercased())")
    }
}

/// When bytes last went through one of several relays.
package final class Traffic: Sendable {
    private let last = Atomic<UInt64>(0)

    package init() {}

    package func note() { last.store(MonotonicClock.nanoseconds(), ordering: .relaxed) }

    /// A moment of the monotonic clock; 0 for never.
    package var lastTime: UInt64 { last.load(ordering: .relaxed) }
}
