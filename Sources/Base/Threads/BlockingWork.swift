internal import NIOCore
internal import NIOPosix

/// Work that blocks its thread, kept off the concurrency runtime's few threads.
///
/// What is begun is finished, also where the task that waits for it is cancelled.
public enum BlockingWork {
    /// For work of milliseconds, such as reading a text into tokens: as many pieces at a time as there are cores, at least two.
    /// What takes longer would keep the others waiting: see ``alone(name:_:)``.
    public static func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            // The pool is never stopped, and nothing in it is cancelled.
            pool.submit { _ in continuation.resume(with: Swift.Result { try work() }) }
        }
    }

    /// For work of seconds or hours, and what waits for others, such as loading a model: on a thread of its own.
    ///
    /// Where the system has no more threads, it is done among the short pieces.
    ///
    /// - Parameter name: for debuggers and `top`.
    public static func alone<Result: Sendable>(
        name: String, _ work: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            let body: @Sendable () -> Void = { continuation.resume(with: Swift.Result { try work() }) }
            do throws(ThreadError) {
                try SystemThread.start(name: name, body)
            } catch {
                pool.submit { _ in body() }
            }
        }
    }

    private static let pool: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: max(2, System.coreCount))
        pool.start()
        return pool
    }()
}
