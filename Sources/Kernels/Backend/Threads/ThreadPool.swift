#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Computes piece `piece` of what `context` points at, on thread `thread` of the pool.
package typealias PieceFunction = @convention(c) (_ context: UnsafeRawPointer, _ piece: Int, _ thread: Int) -> Void

/// Threads that share the pieces of one piece of work after another.
///
/// The thread that calls ``run(_:pieces:_:)`` is thread 0 and works too. The others spin for a short time after their
/// last piece, then yield, then sleep, so that the many small sections of a graph follow each other within a
/// microsecond while a pool without work costs nothing.
///
/// The end of a section is the end of its pieces, not of its threads: a thread that the system has set aside holds
/// nothing up unless it is in the middle of a piece.
package final class ThreadPool: @unchecked Sendable {
    // Sendable: what threads share lies in `shared`, whose fields are atomics or guarded by its mutex; `threads` is
    // set once by `init` and read by `deinit`.

    /// Thread 0, the caller, included.
    package let threadCount: Int
    private let shared = PoolState()
    private let threads: [pthread_t]

    /// - Parameter threadCount: of threads in all; fewer are started if the system refuses more.
    package init(threadCount: Int) {
        var started: [pthread_t] = []
        for index in 1..<max(2, min(threadCount, 1024)) where threadCount > 1 {
            guard let thread = ThreadStart(shared, index).launch() else { break }
            started.append(thread)
        }
        threads = started
        self.threadCount = started.count + 1
    }

    deinit {
        shared.stop()
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Computes pieces `0 ..< pieces`, each once; returns when the last is done. One caller at a time; at most 2³⁰ pieces.
    package func run(_ context: UnsafeRawPointer, pieces: Int, _ function: PieceFunction) {
        if threadCount == 1 || pieces <= 1 {
            for piece in 0..<max(0, pieces) { function(context, piece, 0) }
            return
        }
        precondition(pieces < 1 << 30, "more pieces than a section holds")
        shared.publish(context, pieces: pieces, function)
        shared.takePieces(thread: 0)
        shared.waitForCompletion(of: pieces)
    }

    /// Threads that wait for work without using a processor.
    package var sleepingThreadCount: Int { shared.sleepingThreadCount }

    /// Wakes sleeping threads ahead of a run, so that they are there when its first section is.
    package func wake() { shared.wakeSleepers() }
}

/// What a new thread needs to begin.
private final class ThreadStart {
    let shared: PoolState
    let index: Int

    init(_ shared: PoolState, _ index: Int) {
        self.shared = shared
        self.index = index
    }

    func launch() -> pthread_t? {
        let context = Unmanaged.passRetained(self)
        #if canImport(Darwin)
        var thread: pthread_t?
        let status = pthread_create(&thread, nil, { ThreadStart.main($0) }, context.toOpaque())
        #else
        var thread = pthread_t()
        let status = pthread_create(&thread, nil, { ThreadStart.main($0) }, context.toOpaque())
        #endif
        if status != 0 {
            context.release()
            return nil
        }
        return thread
    }

    private static func main(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        let start = Unmanaged<ThreadStart>.fromOpaque(context).takeRetainedValue()
        start.shared.serve(thread: start.index)
        return nil
    }
}
