internal import Base
internal import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Joins two connections: what comes on one goes out on the other, as it is, in both directions, and so does an end.
///
/// One thread does it. A side is read only when what was read of it before has gone, so that no more is held than a piece of each, however
/// slowly somebody reads, and who sends is slowed down by TCP itself.
struct Splice: ~Copyable {
    /// What goes one way.
    private struct Way {
        let source: Int32
        let target: Int32
        var bytes = [UInt8](repeating: 0, count: Splice.pieceByteCount)
        /// What was received and is to go on.
        var rest = 0..<0
        var hasEnded = false
        var isShut = false

        var reads: Bool { !hasEnded && rest.isEmpty }

        mutating func receive() throws(StreamError) {
            let count = recv(source, &bytes, bytes.count, SocketWait.withoutWaiting)
            if count > 0 {
                rest = 0..<count
            } else if count == 0 {
                hasEnded = true
            } else if errno != EAGAIN, errno != EINTR {
                throw Splice.failure("receiving")
            }
        }

        mutating func send() throws(StreamError) {
            while !rest.isEmpty {
                let count = bytes[rest].withUnsafeBytes { SystemSocket.send(target, $0, waits: false) }
                if count > 0 {
                    rest = (rest.lowerBound + count)..<rest.upperBound
                } else if errno == EAGAIN {
                    return
                } else if errno != EINTR {
                    throw Splice.failure("sending")
                }
            }
            if hasEnded, !isShut {
                _ = shutdown(target, Int32(SHUT_WR))
                isShut = true
            }
        }
    }

    private var there: Way
    private var back: Way

    private static let pieceByteCount = 256 << 10
    /// Milliseconds between two looks at whether the hosts are still there.
    private static let period: Int32 = 1000

    /// Both stay the caller's.
    init(_ one: Int32, _ other: Int32) {
        there = Way(source: one, target: other)
        back = Way(source: other, target: one)
    }

    /// Until both sides have ended, or one breaks; closing both tells their peers so.
    ///
    /// - Throws: what broke.
    consuming func run() throws(StreamError) {
        let sides = [there.source, back.source]
        for side in sides {
            HostWatch.begin(side)
            SocketOption.sendAtOnce(side)
        }
        var lastLook = MonotonicClock.nanoseconds()
        do throws(StreamError) {
            while true {
                try there.send()
                try back.send()
                if there.isShut && back.isShut { return }
                var entries = (entry(there, back), entry(back, there))
                let count = withUnsafeMutableBytes(of: &entries) { bytes in
                    poll(bytes.baseAddress?.assumingMemoryBound(to: pollfd.self), 2, Splice.period)
                }
                if count < 0, errno != EINTR { throw Splice.failure("waiting") }
                let now = MonotonicClock.nanoseconds()
                if now - lastLook > UInt64(Splice.period) * 1_000_000 {
                    lastLook = now
                    for side in sides where HostWatch.hasVanished(side) { throw StreamError(.failed, "a host gives no sign of life") }
                }
                if entries.0.revents != 0, there.reads { try there.receive() }
                if entries.1.revents != 0, back.reads { try back.receive() }
            }
        } catch {
            for side in sides { HostWatch.breakOff(side) }
            throw error
        }
    }

    /// What is waited for at the source of one way, which is the target of the other.
    private func entry(_ way: borrowing Way, _ other: borrowing Way) -> pollfd {
        let events = (way.reads ? Int16(POLLIN) : 0) | (other.rest.isEmpty ? 0 : Int16(POLLOUT))
        return pollfd(fd: events == 0 ? -1 : way.source, events: events, revents: 0)
    }

    private static func failure(_ what: String) -> StreamError {
        StreamError(.failed, "\(what) failed: \(String(cString: strerror(errno)).lowercased())")
    }
}
