internal import Dispatch

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A thread whose start can fail in a way that is told, unlike Foundation's. It runs on when nobody holds it any more.
package final class SystemThread: Sendable {
    /// What a thread runs, on its way there.
    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        let ended: DispatchSemaphore

        init(_ name: String, _ ended: DispatchSemaphore, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.ended = ended
            self.run = run
        }
    }

    private let ended: DispatchSemaphore

    private init(_ ended: DispatchSemaphore) { self.ended = ended }

    /// Bytes of stack that are enough for most work. Pages that are not touched cost nothing.
    package static let stackSize = 8 << 20

    /// Runs `body` on a thread of its own.
    ///
    /// - Parameter name: for debuggers and `top`, which may show the first fifteen bytes only.
    /// - Throws: if the system has no more threads, or no memory for this one's stack.
    @discardableResult
    package static func start(
        name: String, stackSize: Int = SystemThread.stackSize, _ body: @escaping @Sendable () -> Void
    ) throws(ThreadError) -> SystemThread {
        var attributes = pthread_attr_t()
        var status = pthread_attr_init(&attributes)
        guard status == 0 else { throw ThreadError(name: name, code: status) }
        defer { pthread_attr_destroy(&attributes) }
        status = pthread_attr_setstacksize(&attributes, stackSize)
        guard status == 0 else { throw ThreadError(name: name, code: status) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let ended = DispatchSemaphore(value: 0)
        let context = Unmanaged.passRetained(Body(name, ended, body))
        #if canImport(Darwin)
            var thread: pthread_t?
            status = pthread_create(&thread, &attributes, { SystemThread.main($0) }, context.toOpaque())
        #else
            var thread = pthread_t()
            status = pthread_create(&thread, &attributes, { SystemThread.main($0) }, context.toOpaque())
        #endif
        guard status == 0 else {
            context.release()
            throw ThreadError(name: name, code: status)
        }
        return SystemThread(ended)
    }

    /// Returns when the thread's work is done. Any number of others can wait for it, as often as they like.
    package func join() {
        ended.wait()
        ended.signal()
    }

    /// Blocks the calling thread.
    package static func sleep(for time: Duration) {
        let (seconds, attoseconds) = time.components
        guard seconds >= 0, attoseconds >= 0 else { return }
        var wanted = timespec(tv_sec: Int(clamping: seconds), tv_nsec: Int(clamping: attoseconds / 1_000_000_000))
        var rest = timespec()
        while nanosleep(&wanted, &rest) != 0, errno == EINTR { wanted = rest }
    }

    private static func main(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        let body = Unmanaged<Body>.fromOpaque(context).takeRetainedValue()
        setName(body.name)
        body.run()
        body.ended.signal()
        return nil
    }

    /// Of the calling thread. A name is a courtesy: where it cannot be given, there is none.
    private static func setName(_ name: String) {
        #if canImport(Darwin)
            pthread_setname_np(name)
        #else
            // The C library's function for this is hidden from Swift.
            let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { return }
            let bytes = Array(name.utf8.prefix(15))
            _ = write(file, bytes, bytes.count)
            close(file)
        #endif
    }
}

/// A thread did not start.
package struct ThreadError: Error, Hashable, Sendable, CustomStringConvertible {
    package var name: String
    /// The system's number for what is wrong.
    package var code: Int32

    package init(name: String, code: Int32) {
        self.name = name
        self.code = code
    }

    package var description: String { "the system has no thread for '\(name)': \(String(cString: strerror(code)))" }
}
