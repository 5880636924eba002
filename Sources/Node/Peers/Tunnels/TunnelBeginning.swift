internal import Base
internal import Foundation
internal import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A tunnel that is being made: a socket with one side's TLS, and the time that all of it may take.
struct TunnelBeginning {
    let descriptor: Int32
    let seal: TLSSeal
    /// Of the monotonic clock.
    let deadline: UInt64

    /// Has both sides agree on keys, and each show the other its certificate.
    ///
    /// - Throws: for whatever else comes, and when it takes too long, however it is spread.
    func shakeHands() throws(TunnelError) {
        try flush()
        while !seal.isEstablished { try take() }
        try flush()
        // TLS does not mind if there is none in common.
        guard seal.protocolName == TunnelCredentials.protocolName else {
            throw TunnelError("it does not speak \(TunnelCredentials.protocolName) inside of TLS")
        }
    }

    func send(_ greeting: TunnelGreeting) throws(TunnelError) { try send(greeting.encoded) }

    func send(_ bytes: [UInt8]) throws(TunnelError) {
        do throws(StreamError) {
            try seal.wrap(bytes)
        } catch {
            throw TunnelError(error.message)
        }
        try flush()
    }

    func receiveGreeting() throws(TunnelError) -> TunnelGreeting {
        let head = try receive(TunnelGreeting.headByteCount)
        let body = try receive(try TunnelGreeting.bodySize(head: head))
        return try TunnelGreeting(head: head, body: body)
    }

    private func receive(_ count: Int) throws(TunnelError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            filled += bytes.withUnsafeMutableBytes { seal.takePlain(into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...])) }
            if filled < count { try take() }
        }
        return bytes
    }

    /// Waits for bytes, and takes them.
    private func take() throws(TunnelError) {
        try flush()
        try wait(for: Int16(POLLIN))
        let count: Int
        do throws(StreamError) {
            count = try seal.unwrap { recv(descriptor, $0.baseAddress, $0.count, SocketWait.withoutWaiting) }
        } catch {
            // Says why to the other side, as TLS has words for.
            try? flush()
            throw TunnelError(TunnelBeginning.words(for: error.message))
        }
        if count == 0 { throw TunnelError("it closed the connection before all was said") }
        if count < 0, errno != EAGAIN, errno != EINTR { throw TunnelError(String(cString: strerror(errno)).lowercased()) }
    }

    /// What TLS found wrong. Its library tells much of itself, and in between, in capitals, what it is about.
    static func words(for message: String) -> String {
        let mark = "OPENSSL_internal:"
        guard let range = message.range(of: mark, options: .backwards) else { return message }
        let name = message[range.upperBound...].prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        return "TLS: " + name.lowercased().replacing("_", with: " ")
    }

    private func flush() throws(TunnelError) {
        while true {
            let count = seal.withWrapped { bytes -> Int in
                if bytes.isEmpty { return 0 }
                return SystemSocket.send(descriptor, bytes, waits: false)
            }
            if count == 0 { return }
            if count > 0 {
                seal.dropWrapped(count)
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT))
            } else if errno != EINTR {
                throw TunnelError(String(cString: strerror(errno)).lowercased())
            }
        }
    }

    private func wait(for events: Int16) throws(TunnelError) {
        guard SocketWait.wait(descriptor, events, until: deadline) else { throw TunnelError("it takes too long to say who it is") }
    }
}

enum SocketWait {
    #if canImport(Glibc)
        static let withoutWaiting = Int32(MSG_DONTWAIT)
    #else
        static let withoutWaiting = MSG_DONTWAIT
    #endif

    /// - Returns: false if nothing happened before the deadline.
    static func wait(_ descriptor: Int32, _ events: Int16, until deadline: UInt64) -> Bool {
        while true {
            let now = MonotonicClock.nanoseconds()
            if now >= deadline { return false }
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let count = poll(&entry, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1))
            if count > 0 { return true }
            if count < 0, errno != EINTR { return false }
        }
    }
}

extension TLSSeal {
    func wrap(_ bytes: [UInt8]) throws(StreamError) {
        let failure: StreamError? = bytes.withUnsafeBytes { raw in
            do throws(StreamError) {
                try wrap(raw)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }
}
