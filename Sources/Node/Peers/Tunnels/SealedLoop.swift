internal import Dispatch
internal import NIOCore

/// An event loop without a thread: what it is given runs when whoever drives it says so. For pipelines that one thread at a time uses, as
/// ``TLSSeal`` does.
final class SealedLoop: EventLoop, @unchecked Sendable {
    // Sendable: everything but `inEventLoop`, `now` and `description` is used by the thread that uses the pipeline, of which there is one
    // at a time, handed on under a lock of its owner's.
    private var tasks: [() -> Void] = []

    var inEventLoop: Bool { true }
    var now: NIODeadline { .now() }

    /// Runs what waits, and what comes of it.
    func run() {
        while !tasks.isEmpty {
            let due = tasks
            tasks.removeAll(keepingCapacity: true)
            for task in due { task() }
        }
    }

    func execute(_ task: @escaping @Sendable () -> Void) { tasks.append(task) }

    /// Time does not pass here: limits are those of whoever reads and writes. A task is never run.
    func scheduleTask<Value>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> Value) -> Scheduled<Value> {
        let promise = makePromise(of: Value.self)
        return Scheduled(promise: promise) { promise.fail(EventLoopError.cancelled) }
    }

    func scheduleTask<Value>(in time: TimeAmount, _ task: @escaping @Sendable () throws -> Value) -> Scheduled<Value> {
        scheduleTask(deadline: now + time, task)
    }

    func next() -> any EventLoop { self }
    func any() -> any EventLoop { self }
    func makeIterator() -> EventLoopIterator { EventLoopIterator([self]) }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        queue.async { callback(nil) }
    }
}
