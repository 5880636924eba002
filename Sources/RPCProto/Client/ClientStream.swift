internal import Base
internal import Synchronization
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Why a client's stream gave no more.
enum StreamFailure: Error {
    /// The peer closed.
    case closed
    /// Nothing, or too little, moved within so many seconds.
    case silent(Double)
    /// The system reports a failure.
    case failed(String)
}

/// A client's end of a connection: calls block, but never past a deadline.
///
/// The socket's own time limit is a short tick, after which a waiting call looks at the deadline, so a call that need not
/// wait costs nothing more. One thread at a time, but for what is marked.
final class ClientStream: @unchecked Sendable {
    // Sendable: whoever holds the connection's lock uses it alone; other threads use what is marked as theirs, which is
    // atomic or uses the descriptor only. That is constant and is closed with the last reference.

    private let descriptor: Int32
    private let seal: (any StreamSeal)?
    private let sent = Atomic<Int>(0)
    private let received = Atomic<Int>(0)
    private let isVouchedFor = Atomic<Bool>(false)
    private let isInterrupted = Atomic<Bool>(false)
    private let isOwed = Atomic<Bool>(false)
    private let buffer: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0

    private var limit = 0.0
    private var deadline: UInt64 = 0
    /// The same while somebody knows that the peer is well.
    private var vouchedLimit = 0.0
    private var vouchedDeadline: UInt64 = 0
    private var movedSinceRenewal = 0
    /// Bytes that were sent and not confirmed when it was last looked.
    private var unconfirmed = 0
    /// Whether the limit was passed because the peer was vouched for.
    private var wasVouchedFor = false

    /// Reads of at least this many bytes do without the buffer.
    private static let direct = 16 << 10
    /// Bytes after which a transfer counts as getting on.
    private static let progressByteCount = 64 << 10
    /// The socket's own limit, in microseconds: how far a deadline can be overstepped.
    private static let tick = 50_000
    /// Pieces of one call to the system at most: Linux's and macOS's `IOV_MAX`.
    private static let pieceCount = 1024

    /// Bytes that are wrapped before they are sent.
    private static let wrappedByteCount = 256 << 10
    /// Small pieces that are to be wrapped together, and how much they may come to.
    private var gathered: [UInt8] = []
    private static let gatheredByteCount = 16 << 10

    /// Takes over a connected, blocking socket.
    convenience init(_ stream: OpenedStream) { self.init(descriptor: stream.descriptor, seal: stream.seal) }

    /// Takes over a connected, blocking socket.
    ///
    /// - Parameter seal: what its bytes are wrapped in; nil for nothing.
    init(descriptor: Int32, seal: (any StreamSeal)? = nil) {
        self.descriptor = descriptor
        self.seal = seal
        buffer = .allocate(byteCount: 64 << 10, alignment: 64)
        SocketOption.sendAtOnce(descriptor)
        // A machine that vanished without a word is noticed within half a minute. What it has not acknowledged has no limit
        // of its own: a server that computes takes nothing meanwhile, and the system would count that too.
        SocketOption.set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        #if canImport(Glibc)
            SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, 10)
        #else
            SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPALIVE, 10)
            SocketOption.set(descriptor, SOL_SOCKET, SO_NOSIGPIPE, 1)
        #endif
        SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, 5)
        SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 4)
        var time = timeval()
        time.tv_usec = numericCast(ClientStream.tick)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    // MARK: For any thread

    /// Ends whatever is waited for; every later call fails.
    ///
    /// While the peer owes an answer the connection is reset: a stock server that writes its answer to a connection which was closed in
    /// an orderly way is ended by SIGPIPE, and all its clients with it. One that finds a reset goes on with the next client.
    func interrupt() {
        if isInterrupted.exchange(true, ordering: .relaxed) { return }
        seal?.interrupt()
        guard isOwed.load(ordering: .acquiring) else {
            _ = shutdown(descriptor, Int32(SHUT_RDWR))
            return
        }
        // Wakes whoever reads, and tells the peer nothing.
        _ = shutdown(descriptor, Int32(SHUT_RD))
        // Another socket takes the descriptor's place, which closes the connection without anybody being able to use the number for
        // something else meanwhile. Where there is none, that waits until the last reference goes.
        let other = SystemSocket.open(AF_INET)
        guard other >= 0 else { return }
        SocketOption.replace(descriptor, by: other)
        close(other)
    }

    /// Whether the peer is to send something that nobody has taken yet. Kept by the system as well, for connections that close because
    /// their process ends.
    func setOwed(_ isOwed: Bool) {
        guard self.isOwed.exchange(isOwed, ordering: .acquiringAndReleasing) != isOwed else { return }
        SocketOption.setResetting(descriptor, isOwed)
    }

    /// Whether the peer has closed or is known to be gone.
    var peerHasLeft: Bool { SocketOption.peerHasLeft(descriptor) }

    /// Whether somebody knows that the peer is well, however long it takes.
    func setVouched(_ isVouched: Bool) { isVouchedFor.store(isVouched, ordering: .relaxed) }

    /// Where the peer is; nil if the connection is no more.
    var peerAddress: SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &length) }
        }
        guard status == 0 else { return nil }
        let family = Int32(storage.ss_family)
        return withUnsafeBytes(of: &storage) { bytes in
            SocketAddress(family: family, bytes: UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, Int(length))]))
        }
    }

    var sentByteCount: Int { sent.load(ordering: .relaxed) }
    var receivedByteCount: Int { received.load(ordering: .relaxed) }

    // MARK: For the holder of the lock

    /// Begins an exchange that may take so many seconds, and as many again from each 64 KiB that it has moved on.
    ///
    /// - Parameter longer: how many while the peer is vouched for.
    func begin(within seconds: Double, whileVouchedFor longer: Double) {
        limit = seconds
        vouchedLimit = longer
        unconfirmed = 0
        renew()
    }

    private func renew() {
        movedSinceRenewal = 0
        wasVouchedFor = false
        deadline = MonotonicClock.moment(in: limit)
        vouchedDeadline = MonotonicClock.moment(in: vouchedLimit)
    }

    /// After bytes have moved, or none within a tick.
    private func checkTime(moved count: Int) throws(StreamFailure) {
        movedSinceRenewal &+= count
        if count == 0, let left = SocketOption.unconfirmedByteCount(descriptor) {
            // What the system has taken and sends on slowly gets on too.
            movedSinceRenewal &+= max(0, unconfirmed - left)
            unconfirmed = left
        }
        if movedSinceRenewal >= ClientStream.progressByteCount { return renew() }
        let now = MonotonicClock.nanoseconds()
        if now <= deadline { return }
        if isVouchedFor.load(ordering: .relaxed) {
            wasVouchedFor = true
            if now > vouchedDeadline { throw .silent(vouchedLimit) }
            return
        }
        // Nobody vouches any more, which says nothing of the time in which somebody did.
        guard wasVouchedFor else { throw .silent(limit) }
        wasVouchedFor = false
        deadline = MonotonicClock.moment(in: limit)
    }

    /// All of the pieces, in one call to the system where it takes them. They are used up.
    func send(_ pieces: inout [iovec]) throws(StreamFailure) {
        guard let seal else { return try sendRaw(&pieces) }
        for piece in pieces {
            let bytes = UnsafeRawBufferPointer(start: piece.iov_base, count: Int(piece.iov_len))
            // What is wrapped together costs less on both sides.
            if gathered.count + bytes.count <= ClientStream.gatheredByteCount {
                gathered.append(contentsOf: bytes)
                continue
            }
            try wrapGathered(seal)
            var done = 0
            while done < bytes.count {
                let count = min(ClientStream.wrappedByteCount, bytes.count - done)
                try wrap(UnsafeRawBufferPointer(rebasing: bytes[done..<(done + count)]), seal)
                done += count
            }
        }
        try wrapGathered(seal)
        try sendWrapped(seal)
    }

    private func wrapGathered(_ seal: any StreamSeal) throws(StreamFailure) {
        if gathered.isEmpty { return }
        let failure: StreamFailure? = gathered.withUnsafeBytes { bytes in
            do throws(StreamFailure) {
                try wrap(bytes, seal)
                return nil
            } catch {
                return error
            }
        }
        gathered.removeAll(keepingCapacity: true)
        if let failure { throw failure }
    }

    private func wrap(_ bytes: UnsafeRawBufferPointer, _ seal: any StreamSeal) throws(StreamFailure) {
        do throws(StreamError) {
            try seal.wrap(bytes)
        } catch {
            throw .failed(error.message)
        }
        if seal.withWrapped({ $0.count }) >= ClientStream.wrappedByteCount { try sendWrapped(seal) }
    }

    private func sendWrapped(_ seal: any StreamSeal) throws(StreamFailure) {
        var failure: StreamFailure?
        let count = seal.withWrapped { wire in
            var pieces = [iovec(iov_base: UnsafeMutableRawPointer(mutating: wire.baseAddress), iov_len: numericCast(wire.count))]
            do throws(StreamFailure) {
                try sendRaw(&pieces)
            } catch {
                failure = error
            }
            return wire.count
        }
        if let failure { throw failure }
        seal.dropWrapped(count)
    }

    private func sendRaw(_ pieces: inout [iovec]) throws(StreamFailure) {
        var first = 0
        while true {
            while first < pieces.count, pieces[first].iov_len == 0 { first += 1 }
            if first == pieces.count { return }
            let count = sendSome(&pieces, from: first)
            if count < 0 {
                let code = errno
                if code == EINTR { continue }
                if isInterrupted.load(ordering: .relaxed) { throw .closed }
                guard code == EAGAIN || code == EWOULDBLOCK else {
                    throw code == EPIPE || code == ECONNRESET ? .closed : .failed(ClientStream.text(code))
                }
                try checkTime(moved: 0)
                continue
            }
            sent.wrappingAdd(count, ordering: .relaxed)
            var left = count
            while left > 0 {
                let part = min(left, Int(pieces[first].iov_len))
                pieces[first].iov_base = pieces[first].iov_base.map { $0 + part }
                pieces[first].iov_len -= numericCast(part)
                left -= part
                if pieces[first].iov_len == 0 { first += 1 }
            }
            if first < pieces.count { try checkTime(moved: count) }
        }
    }

    private func sendSome(_ pieces: inout [iovec], from first: Int) -> Int {
        pieces.withUnsafeMutableBufferPointer { list in
            var message = msghdr()
            message.msg_iov = list.baseAddress.map { $0 + first }
            message.msg_iovlen = numericCast(min(list.count - first, ClientStream.pieceCount))
            #if canImport(Glibc)
                return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
            #else
                return sendmsg(descriptor, &message, 0)
            #endif
        }
    }

    /// Exactly as many bytes as fit `target`.
    func receive(into target: UnsafeMutableRawBufferPointer) throws(StreamFailure) {
        var filled = 0
        while true {
            let ready = min(target.count - filled, end - start)
            if ready > 0 {
                let rest = UnsafeMutableRawBufferPointer(rebasing: target[filled...])
                rest.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<(start + ready)]))
                start += ready
                filled += ready
            }
            if filled == target.count { return }
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[filled...])
            if rest.count >= ClientStream.direct {
                let count = try receiveSome(rest)
                filled += count
                if filled < target.count { try checkTime(moved: count) }
            } else {
                start = 0
                end = 0
                end = try receiveSome(buffer)
                if end < rest.count { try checkTime(moved: end) }
            }
        }
    }

    private func receiveSome(_ target: UnsafeMutableRawBufferPointer) throws(StreamFailure) -> Int {
        guard let seal else { return try receiveRaw(target) }
        while true {
            let ready = seal.takePlain(into: target)
            if ready > 0 { return ready }
            var failure: StreamFailure?
            var count = 0
            do throws(StreamError) {
                count = try seal.unwrap { wire in
                    do throws(StreamFailure) {
                        return try receiveRaw(wire)
                    } catch {
                        failure = error
                        return -1
                    }
                }
            } catch {
                throw .failed(error.message)
            }
            if let failure { throw failure }
            // Less than can be unwrapped may trickle.
            try checkTime(moved: count)
        }
    }

    private func receiveRaw(_ target: UnsafeMutableRawBufferPointer) throws(StreamFailure) -> Int {
        while true {
            let count = recv(descriptor, target.baseAddress, target.count, 0)
            if count > 0 {
                received.wrappingAdd(count, ordering: .relaxed)
                return count
            }
            if count == 0 { throw .closed }
            let code = errno
            if code == EINTR { continue }
            if isInterrupted.load(ordering: .relaxed) { throw .closed }
            guard code == EAGAIN || code == EWOULDBLOCK else {
                throw code == ECONNRESET ? .closed : .failed(ClientStream.text(code))
            }
            try checkTime(moved: 0)
        }
    }

    private static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
