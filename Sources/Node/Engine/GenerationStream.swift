/// The events of one request, for one consumer.
///
/// The request is abandoned when its consumer goes: when the task that waits for the next event is cancelled, or the
/// stream and its iterator are released before the end. The engine hears of it through `onAbandon` and spends nothing on the
/// request from its next step on.
public struct GenerationStream: AsyncSequence, Sendable {
    public typealias Element = GenerationEvent
    public typealias Failure = EngineError

    fileprivate typealias Events = AsyncStream<Result<GenerationEvent, EngineError>>
    private let events: Events

    /// The engine's end of a stream. Can be used from any thread and never blocks; events are kept until they are
    /// taken, and their number is bounded by the request's own length.
    public struct Source: Sendable {
        fileprivate let continuation: AsyncStream<Result<GenerationEvent, EngineError>>.Continuation

        /// Passes an event on, and ends the stream after ``GenerationEvent/finished(_:_:)``.
        ///
        /// - Returns: false when the consumer is gone.
        @discardableResult
        public func send(_ event: GenerationEvent) -> Bool {
            let result = continuation.yield(.success(event))
            if case .finished = event { continuation.finish() }
            if case .terminated = result { return false }
            return true
        }

        /// Ends the stream with an error.
        public func fail(_ error: EngineError) {
            continuation.yield(.failure(error))
            continuation.finish()
        }
    }

    /// A stream and the end to feed it from.
    ///
    /// - Parameter onAbandon: called once, on any thread, when the consumer goes before the end.
    public static func make(onAbandon: @escaping @Sendable () -> Void) -> (stream: GenerationStream, source: Source) {
        let (events, continuation) = Events.makeStream(bufferingPolicy: .unbounded)
        continuation.onTermination = { termination in
            if case .cancelled = termination { onAbandon() }
        }
        return (GenerationStream(events: events), Source(continuation: continuation))
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
