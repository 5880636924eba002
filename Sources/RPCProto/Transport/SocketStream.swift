internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// One TCP connection, used with blocking calls by one thread at a time.
///
/// Small reads go through a buffer, so that messages sent together cost one call to the system; long ones go straight
/// to where they belong.
public final class SocketStream: ByteStream, @unchecked Sendable {
    // Sendable: the connection belongs to the thread that serves it. Others use only what is marked as
    // theirs, which is atomic or uses the descriptor alone: it is constant and is closed with the last reference.

    /// Who is at the other end, for people: `10.0.0.7:41234`.
    public let peer: String
    /// The other end's address, where it has one.
    public let address: NetworkAddress?
    /// Who the other end has proven to be, as the digest of a key; nil where nobody was asked.
    package let identity: String?
    private let seal: (any StreamSeal)?
    private let receivedCount = Atomic<Int>(0)
    private let sentCount = Atomic<Int>(0)
    private let isBlocked = Atomic<Bool>(false)
    private let descriptor: Int32
    private let buffer: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0

    /// Reads of at least this many bytes do without the buffer.
    private static let direct = 16 << 10

    /// Bytes that are wrapped before they are sent.
    private static let wrappedByteCount = 256 << 10
    /// Two small pieces that are wrapped together, and how much they may come to.
    private var gathered: [UInt8] = []
    private static let gatheredByteCount = 16 << 10

    /// Takes over a connected socket.
    ///
    /// - Parameter seal: what its bytes are wrapped in; nil for nothing.
    package init(
        descriptor: Int32, peer: String, address: NetworkAddress? = nil, identity: String? = nil, seal: (any StreamSeal)? = nil
    ) {
        self.seal = seal
        self.descriptor = descriptor
        self.peer = peer
        self.address = address
        self.identity = identity
        buffer = .allocate(byteCount: 64 << 10, alignment: 64)
        // Answers are awaited: none may linger for company.
        SocketOption.sendAtOnce(descriptor)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    // MARK: For any thread

    /// Ends whatever the serving thread waits for; its next call finds the connection closed.
    public func interrupt() {
        _ = shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// Takes no more than what has arrived; what is still to be answered can be.
    public func stopReceiving() {
        _ = shutdown(descriptor, Int32(SHUT_RD))
    }

    /// Lets the peer know that nothing more comes; what it sends is still taken.
    package func stopSending() {
        _ = shutdown(descriptor, Int32(SHUT_WR))
    }

    public var receivedByteCount: Int { receivedCount.load(ordering: .relaxed) }
    public var sentByteCount: Int { sentCount.load(ordering: .relaxed) }
    /// Whether the serving thread waits for the peer at this moment.
    public var isWaitingForPeer: Bool { isBlocked.load(ordering: .relaxed) }

    /// What it is made of, for one who moves its bytes in another way and has received none by this. It stays the stream's, which is
    /// to be held meanwhile.
    package var underlying: OpenedStream { OpenedStream(descriptor: descriptor, seal: seal) }

    /// Whether the peer has closed its side or is gone. One that closed its side may still read, but asks for nothing more.
    public var peerHasLeft: Bool { SocketOption.peerHasLeft(descriptor) }

    /// Has the system ask a silent peer whether it is still there, so that one that vanished without a word is noticed; one to which
    /// bytes are under way is noticed by ``hostHasVanished(within:)``.
    ///
    /// - Parameter seconds: of silence after which the connection is broken off.
    public func keepAlive(within seconds: Int) { HostWatch.begin(descriptor, within: seconds) }

    /// Whether bytes are under way to the peer whose host has confirmed nothing for so long, though they were sent again. A peer that
    /// does not read is not meant.
    public func hostHasVanished(within seconds: Int) -> Bool { HostWatch.hasVanished(descriptor, within: seconds) }

    // MARK: For the serving thread

    public func receiveByte() throws(StreamError) -> UInt8? {
        if start == end {
            start = 0
            end = try receiveSome(buffer)
            if end == 0 { return nil }
        }
        defer { start += 1 }
        return buffer[start]
    }

    public func receive(into target: UnsafeMutableRawBufferPointer) throws(StreamError) {
        var filled = min(target.count, end - start)
        if filled > 0 {
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<(start + filled)]))
            start += filled
        }
        while filled < target.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[filled...])
            if rest.count >= SocketStream.direct {
                let count = try receiveSome(rest)
                if count == 0 { throw StreamError(.endedEarly, "the peer closed in the middle of a message") }
                filled += count
                continue
            }
            start = 0
            end = try receiveSome(buffer)
            if end == 0 { throw StreamError(.endedEarly, "the peer closed in the middle of a message") }
            let count = min(rest.count, end)
            rest.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            start = count
            filled += count
        }
    }

    private func receiveSome(_ target: UnsafeMutableRawBufferPointer) throws(StreamError) -> Int {
        guard let seal else { return try receiveRaw(target) }
        while true {
            let ready = seal.takePlain(into: target)
            if ready > 0 { return ready }
            var failure: StreamError?
            let count = try seal.unwrap { wire in
                do throws(StreamError) {
                    return try receiveRaw(wire)
                } catch {
                    failure = error
                    return -1
                }
            }
            if let failure { throw failure }
            if count == 0 { return 0 }
        }
    }

    private func receiveRaw(_ target: UnsafeMutableRawBufferPointer) throws(StreamError) -> Int {
        isBlocked.store(true, ordering: .relaxed)
        defer { isBlocked.store(false, ordering: .relaxed) }
        while true {
            let count = recv(descriptor, target.baseAddress, target.count, 0)
            if count >= 0 {
                receivedCount.wrappingAdd(count, ordering: .relaxed)
                return count
            }
            if errno == EINTR { continue }
            throw StreamError(.failed, "receiving failed: \(String(cString: strerror(errno)))")
        }
    }

    public func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) throws(StreamError) {
        guard let seal else { return try sendRaw(first, second) }
        if !first.isEmpty, !second.isEmpty, first.count + second.count <= SocketStream.gatheredByteCount {
            // What is wrapped together costs less on both sides.
            gathered.removeAll(keepingCapacity: true)
            gathered.append(contentsOf: first)
            gathered.append(contentsOf: second)
            let failure: StreamError? = gathered.withUnsafeBytes { bytes in
                do throws(StreamError) {
                    try wrap(bytes, seal)
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
        } else {
            try wrap(first, seal)
            try wrap(second, seal)
        }
        try sendWrapped(seal)
    }

    private func wrap(_ bytes: UnsafeRawBufferPointer, _ seal: any StreamSeal) throws(StreamError) {
        var done = 0
        while done < bytes.count {
            let count = min(SocketStream.wrappedByteCount, bytes.count - done)
            try seal.wrap(UnsafeRawBufferPointer(rebasing: bytes[done..<(done + count)]))
            done += count
            if seal.withWrapped({ $0.count }) >= SocketStream.wrappedByteCount { try sendWrapped(seal) }
        }
    }

    private func sendWrapped(_ seal: any StreamSeal) throws(StreamError) {
        var failure: StreamError?
        let count = seal.withWrapped { wire in
            do throws(StreamError) {
                try sendRaw(wire, UnsafeRawBufferPointer(start: nil, count: 0))
            } catch {
                failure = error
            }
            return wire.count
        }
        if let failure { throw failure }
        seal.dropWrapped(count)
    }

    private func sendRaw(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) throws(StreamError) {
        var sent = 0
        let total = first.count + second.count
        isBlocked.store(true, ordering: .relaxed)
        defer { isBlocked.store(false, ordering: .relaxed) }
        while sent < total {
            let count = sendSome(first, second, from: sent)
            if count > 0 {
                sent += count
                sentCount.wrappingAdd(count, ordering: .relaxed)
            } else if errno != EINTR {
                throw StreamError(.failed, "sending failed: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// One call with what is left of both pieces.
    private func sendSome(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, from sent: Int) -> Int {
        let fromFirst = min(sent, first.count)
        let fromSecond = sent - fromFirst
        var parts = (
            iovec(iov_base: first.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + fromFirst) }, iov_len: first.count - fromFirst),
            iovec(
                iov_base: second.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + fromSecond) }, iov_len: second.count - fromSecond)
        )
        return withUnsafeMutablePointer(to: &parts) { pair in
            pair.withMemoryRebound(to: iovec.self, capacity: 2) { list in
                var message = msghdr()
                message.msg_iov = list
                message.msg_iovlen = 2
                #if canImport(Glibc)
                    return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
                #else
                    return sendmsg(descriptor, &message, 0)
                #endif
            }
        }
    }
}

package enum SocketOption {
    #if canImport(Glibc)
        /// Not among the names that the C library exports to Swift: Linux's POLLRDHUP.
        private static let departure = Int16(0x2000)
    #else
        private static let departure = Int16(POLLHUP)
    #endif

    /// Whether the peer of a connection has closed its side or is gone.
    static func peerHasLeft(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: departure, revents: 0)
        guard poll(&entry, 1, 0) > 0 else { return false }
        return Int32(entry.revents) & (Int32(departure) | Int32(POLLHUP) | Int32(POLLERR)) != 0
    }

    /// Whether closing the connection, also when the process ends, tells the peer by a reset at once instead of by an orderly end.
    static func setResetting(_ descriptor: Int32, _ isResetting: Bool) {
        var value = linger(l_onoff: isResetting ? 1 : 0, l_linger: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }

    /// Closes what a descriptor stands for, and has it stand for what another does.
    static func replace(_ descriptor: Int32, by other: Int32) {
        while dup2(other, descriptor) < 0, errno == EINTR || errno == EBUSY {}
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    /// Each piece is somebody's question or answer, and waits for no other; one that is lost is sent again after the same time each time,
    /// and not after ever longer ones, since there are so few of them that they crowd nobody.
    package static func sendAtOnce(_ descriptor: Int32) {
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        #if canImport(Glibc)
            set(descriptor, Int32(IPPROTO_TCP), TCP_THIN_LINEAR_TIMEOUTS, 1)
        #endif
    }

    /// Bytes that were sent and that the peer's system has not confirmed; nil where the system does not say.
    static func unconfirmedByteCount(_ descriptor: Int32) -> Int? {
        #if canImport(Glibc)
            var count: Int32 = 0
            return ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 ? Int(count) : nil
        #else
            return nil
        #endif
    }

    static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        _ = setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
