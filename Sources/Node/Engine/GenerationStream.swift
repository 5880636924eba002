internal import Synchronization

/// The events of one request, for one consumer.
///
/// The request is abandoned when its consumer goes: by ``abandon()``, when the task that waits for the next event is
/// cancelled, or when the stream and its iterator are released before the end. The engine hears of it through `onAbandon` and
/// spends nothing on the request from its next step on.
public struct GenerationStream: AsyncSequence, Sendable {
    public typealias Element = GenerationEvent
    public typealias Failure = EngineError

    private let events: AsyncStream<Result<GenerationEvent, EngineError>>
    private let source: Source

    /// The engine's end of a stream. Can be used from any thread and never blocks; events are kept until they are
    /// taken, and their number is bounded by the request's own length.
    public struct Source: Sendable {
        fileprivate let continuation: AsyncStream<Result<GenerationEvent, EngineError>>.Continuation
        fileprivate let ending: Ending
        fileprivate let start: Start

        /// Passes an event on, and ends the stream after ``GenerationEvent/finished(_:_:)``.
        ///
        /// - Returns: false when the consumer is gone.
        @discardableResult
        public func send(_ event: GenerationEvent) -> Bool {
            start.happen(nil)
            if case .finished = event {
                ending.end()
                continuation.yield(.success(event))
                continuation.finish()
                return true
            }
            if case .terminated = continuation.yield(.success(event)) { return false }
            return true
        }

        /// The request has a slot: whoever waits for the beginning need wait no longer.
        public func accept() { start.happen(nil) }

        /// Ends the stream with an error.
        public func fail(_ error: EngineError) {
            start.happen(error)
            ending.end()
            continuation.yield(.failure(error))
            continuation.finish()
        }
    }

    /// A stream and the end to feed it from.
    ///
    /// - Parameter onAbandon: called at most once, on any thread, when the consumer goes before the end.
    public static func make(onAbandon: @escaping @Sendable () -> Void) -> (stream: GenerationStream, source: Source) {
        let ending = Ending(onAbandon)
        let (events, continuation) = AsyncStream<Result<GenerationEvent, EngineError>>.makeStream(bufferingPolicy: .unbounded)
        continuation.onTermination = { termination in
            if case .cancelled = termination { ending.abandon() }
        }
        let source = Source(continuation: continuation, ending: ending, start: Start())
        return (GenerationStream(events: events, source: source), source)
    }

    /// Ends the stream for its consumer, who gets what was sent so far and then nil, and for the engine. Can be called
    /// from anywhere and more than once.
    public func abandon() {
        source.start.happen(nil)
        source.ending.abandon()
        source.continuation.finish()
    }

    /// Returns when the request has a slot, the first event is there, or the stream was abandoned.
    ///
    /// - Throws: the error with which the stream ended before that.
    public func begun() async throws(EngineError) {
        if let error = await source.start.outcome() { throw error }
    }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var base: AsyncStream<Result<GenerationEvent, EngineError>>.Iterator

        public mutating func next() async throws(EngineError) -> GenerationEvent? {
            try await base.next()?.get()
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(EngineError) -> GenerationEvent? {
            try await base.next(isolation: actor)?.get()
        }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(base: events.makeAsyncIterator())
    }
}

/// Lets others wait for the first that happens to a stream.
private final class Start: Sendable {
    private struct State {
        /// Nil until something has happened.
        var outcome: EngineError??
        var waiters: [CheckedContinuation<EngineError?, Never>] = []
    }

    private let state = Mutex(State())

    /// - Parameter error: nil for an event, or the consumer's end.
    func happen(_ error: EngineError?) {
        let waiters = state.withLock { state -> [CheckedContinuation<EngineError?, Never>] in
            if state.outcome != nil { return [] }
            state.outcome = .some(error)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: error) }
    }

    func outcome() async -> EngineError? {
        await withCheckedContinuation { continuation in
            let outcome = state.withLock { state -> EngineError?? in
                if state.outcome == nil { state.waiters.append(continuation) }
                return state.outcome
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
    }
}

/// Sees to it that a stream ends once, one way or the other.
private final class Ending: Sendable {
    private let onAbandon: Mutex<(@Sendable () -> Void)?>

    init(_ onAbandon: @escaping @Sendable () -> Void) {
        self.onAbandon = Mutex(onAbandon)
    }

    func end() {
        onAbandon.withLock { $0 = nil }
    }

    func abandon() {
        let call = onAbandon.withLock { call in
            defer { call = nil }
            return call
        }
        call?()
    }
}
