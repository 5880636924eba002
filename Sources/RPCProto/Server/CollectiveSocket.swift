internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Ends what the links of a session wait for, from any thread: a partner that does not come, bytes that do not.
///
/// Whoever sees that the session's own client has gone calls ``interrupt()``; the session, blocked in a link or about to
/// be, then ends with an error of the code `link`. There is no way back.
public final class CollectiveInterruption: Sendable {
    private let state = Atomic<Bool>(false)

    public init() {}

    /// Returns at once; the waiting thread sees it within a tenth of a second.
    public func interrupt() { state.store(true, ordering: .releasing) }

    var isInterrupted: Bool { state.load(ordering: .acquiring) }
}

/// Why a link was not made or is no more.
struct CollectiveFailure: Error {
    var message: String
    /// Whether trying again is of no use.
    var isFinal = false

    init(_ message: String, isFinal: Bool = false) {
        self.message = message
        self.isFinal = isFinal
    }

    static func system(_ what: String) -> CollectiveFailure {
        CollectiveFailure("\(what) failed: \(String(cString: strerror(errno)))")
    }
}

/// A socket of a link. Its calls wait in short turns, so that neither a partner that says nothing nor a client that has gone
/// can hold a session for long.
final class CollectiveSocket {
    let descriptor: Int32
    private let interruption: CollectiveInterruption

    /// Milliseconds between two looks at the interruption.
    private static let turn: Int32 = 100

    /// Takes over a socket, which from now on never blocks by itself.
    init(descriptor: Int32, _ interruption: CollectiveInterruption) {
        self.descriptor = descriptor
        self.interruption = interruption
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    deinit { close(descriptor) }

    /// For a connected socket: parts of a sum are awaited, none may linger for company.
    func sendAtOnce() { SocketOption.sendAtOnce(descriptor) }

    /// All of `bytes`.
    /// - Parameter silence: seconds without progress after which it gives up.
    func send(_ bytes: UnsafeRawBufferPointer, silence: Double) throws(CollectiveFailure) {
        var sent = 0
        while sent < bytes.count {
            let count = SystemSocket.send(descriptor, UnsafeRawBufferPointer(rebasing: bytes[sent...]))
            if count > 0 {
                sent += count
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                try wait(POLLOUT, silence, "the partner takes nothing")
            } else if errno != EINTR {
                throw .system("sending")
            }
        }
    }

    /// Exactly as many bytes as fit `target`.
    /// - Parameters:
    ///   - silence: seconds without progress after which it gives up.
    ///   - limit: seconds after which it gives up, progress or not.
    func receive(
        into target: UnsafeMutableRawBufferPointer, silence: Double, within limit: Double = .infinity
    ) throws(CollectiveFailure) {
        var filled = 0
        let start = ContinuousClock.now
        // What a stock partner still writes to a connection that was closed in an orderly way ends it by SIGPIPE. Where this fails, the
        // option stays as it is, and closing resets.
        SocketOption.setResetting(descriptor, true)
        while filled < target.count {
            let count = recv(descriptor, target.baseAddress.map { $0 + filled }, target.count - filled, 0)
            if count > 0 {
                filled += count
                if limit.isFinite, filled < target.count, start.duration(to: .now) > .seconds(limit) {
                    throw CollectiveFailure("the partner takes longer than \(limit) s")
                }
            } else if count == 0 {
                throw CollectiveFailure("the partner closed")
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                try wait(POLLIN, silence, "the partner sends nothing")
            } else if errno != EINTR {
                throw .system("receiving")
            }
        }
        SocketOption.setResetting(descriptor, false)
    }

    /// Until the socket is ready for `events`.
    func wait(_ events: some BinaryInteger, _ seconds: Double, _ why: String) throws(CollectiveFailure) {
        let deadline = ContinuousClock.now + .seconds(seconds)
        repeat {
            if try CollectiveSocket.poll([self], events, interruption)[0] { return }
        } while ContinuousClock.now < deadline
        throw CollectiveFailure("\(why) for \(seconds) s")
    }

    /// Waits one turn for any of the sockets; says which are ready.
    static func poll(
        _ sockets: [CollectiveSocket], _ events: some BinaryInteger, _ interruption: CollectiveInterruption
    ) throws(CollectiveFailure) -> [Bool] {
        if interruption.isInterrupted { throw CollectiveFailure("the session's own client has gone", isFinal: true) }
        var list = sockets.map { pollfd(fd: $0.descriptor, events: Int16(events), revents: 0) }
        #if canImport(Glibc)
            let count = Glibc.poll(&list, nfds_t(list.count), turn)
        #else
            let count = Darwin.poll(&list, nfds_t(list.count), turn)
        #endif
        if count < 0, errno != EINTR { throw .system("waiting") }
        return list.map { count > 0 && $0.revents != 0 }
    }

    /// Sleeps a moment, unless interrupted.
    static func pause(_ interruption: CollectiveInterruption) throws(CollectiveFailure) {
        if interruption.isInterrupted { throw CollectiveFailure("the session's own client has gone", isFinal: true) }
        usleep(50_000)
    }
}
