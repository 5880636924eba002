internal import Base
internal import Dispatch
internal import Synchronization

/// The one thread on which an engine computes, and the mailbox through which others reach it.
///
/// Messages are handled in the order of their sending. Between them the thread runs `step` for as long as that asks to
/// be run again, and sleeps otherwise.
final class EngineThread<Message: Sendable>: Sendable {
    private struct State {
        var messages: [Message] = []
        var isStopping = false
    }

    private let state = Mutex(State())
    /// Counts sent messages, so that the thread sleeps without missing one.
    private let wakeUps = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameter handler: made and used on the new thread only, so it needs no synchronisation of its own. What it is
    ///   given sends messages to itself, from any thread, for as long as the thread takes them.
    /// - Throws: if the system has no thread for it.
    init<Handler: EngineThreadHandler>(
        name: String, _ handler: @escaping @Sendable (_ send: @escaping @Sendable (Message) -> Void) -> Handler
    ) throws(ThreadError)
    where Handler.Message == Message {
        // Models with many layers build deep call chains nowhere, but templates and graphs want more than the 512 KiB
        // that some systems give to threads.
        try SystemThread.start(name: name, stackSize: 8 << 20) { [self] in run(handler { [weak self] in self?.send($0) }) }
    }

    /// - Returns: false if the thread no longer takes messages.
    @discardableResult
    func send(_ message: Message) -> Bool {
        let isTaken = state.withLock { state in
            if state.isStopping { return false }
            state.messages.append(message)
            return true
        }
        if isTaken { wakeUps.signal() }
        return isTaken
    }

    /// Takes no more messages, and lets the handler end.
    func end() {
        state.withLock { $0.isStopping = true }
        wakeUps.signal()
    }

    /// As ``end()``, and blocks until the thread has ended.
    func stop() {
        end()
        ended.wait()
        // Whoever else waits for the end gets it too.
        ended.signal()
    }

    private func run(_ handler: some EngineThreadHandler<Message>) {
        var handler = handler
        while true {
            let (messages, isStopping) = state.withLock { state in
                defer { state.messages = [] }
                return (state.messages, state.isStopping)
            }
            for message in messages { handler.handle(message) }
            if isStopping { break }
            if !handler.step() { wakeUps.wait() }
        }
        handler.end()
        ended.signal()
    }
}

/// What an ``EngineThread`` does.
protocol EngineThreadHandler<Message>: SendableMetatype {
    associatedtype Message: Sendable

    mutating func handle(_ message: Message)
    /// Does one piece of work; returns false if there is none until the next message.
    mutating func step() -> Bool
    /// The last call.
    mutating func end()
}
