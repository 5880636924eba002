/// Tokens counted and time spent on one answer.
package struct AnswerUsage: Hashable, Sendable {
    package var promptTokens = 0
    package var cachedTokens = 0
    package var completionTokens = 0
    package var timings = GenerationTimings()

    package init(promptTokens: Int = 0, cachedTokens: Int = 0, completionTokens: Int = 0, timings: GenerationTimings = GenerationTimings())
    {
        self.promptTokens = promptTokens
        self.cachedTokens = cachedTokens
        self.completionTokens = completionTokens
        self.timings = timings
    }

    package static func + (left: AnswerUsage, right: AnswerUsage) -> AnswerUsage {
        AnswerUsage(
            promptTokens: left.promptTokens + right.promptTokens,
            cachedTokens: left.cachedTokens + right.cachedTokens,
            completionTokens: left.completionTokens + right.completionTokens,
            timings: GenerationTimings(
                prompt: left.timings.prompt + right.timings.prompt,
                generation: left.timings.generation + right.timings.generation))
    }
}

/// A piece of an answer as a client gets it.
package struct AnswerPiece: Hashable, Sendable {
    package var text: String
    /// The tokens whose text this piece completes, where probabilities were asked for.
    package var tokens: [GeneratedToken]

    package init(text: String, tokens: [GeneratedToken]) {
        self.text = text
        self.tokens = tokens
    }
}

/// What becomes of an answer.
package enum AnswerEvent: Hashable, Sendable {
    /// The prompt is computed.
    case begun
    case piece(AnswerPiece)
    case finished(FinishReason)
}

/// The pieces of an answer: a generation's events with stop strings taken out of the text.
///
/// A stop string that is found ends the answer and abandons the generation.
package struct Answer {
    private let stream: GenerationStream
    private var events: GenerationStream.Iterator
    private var matcher: StopMatcher
    private let reportsTokens: Bool

    /// Events found and not yet returned.
    private var pending: [AnswerEvent] = []
    /// Tokens whose text is not passed on yet, with the place where it ends.
    private var unreported: [(token: GeneratedToken, end: Int)] = []
    private var receivedBytes = 0
    private var passedBytes = 0
    private var isOver = false
    /// The stop string that ended the answer, if one did.
    package var stopWord: String? { matcher.found }
    private let clock = ContinuousClock()
    private var phaseStart: ContinuousClock.Instant

    package private(set) var usage = AnswerUsage()

    package init(_ stream: GenerationStream, stops: [String], reportsTokens: Bool) {
        self.stream = stream
        events = stream.makeAsyncIterator()
        matcher = StopMatcher(stops)
        self.reportsTokens = reportsTokens
        phaseStart = clock.now
    }

    /// - Returns: nil after ``AnswerEvent/finished(_:)``, and when the generation was abandoned.
    package mutating func next() async throws(EngineError) -> AnswerEvent? {
        while pending.isEmpty {
            if isOver { return nil }
            guard let event = try await events.next() else {
                isOver = true
                // Given up in the middle: nobody else says how long it took.
                if usage.promptTokens > 0 { usage.timings.generation = phaseStart.duration(to: clock.now) }
                return nil
            }
            take(event)
        }
        return pending.removeFirst()
    }

    private mutating func take(_ event: GenerationEvent) {
        switch event {
        case .prompt(let tokens, let cached):
            usage.promptTokens = tokens
            usage.cachedTokens = cached
            usage.timings.prompt = phaseStart.duration(to: clock.now)
            phaseStart = clock.now
            pending.append(.begun)
        case .token(let token):
            receivedBytes += token.text.utf8.count
            // What comes of bytes that never became a character is text without a token.
            if token.id >= 0 { usage.completionTokens += 1 }
            if reportsTokens, token.id >= 0 { unreported.append((token, receivedBytes)) }
            pass(matcher.push(token.text))
            if matcher.found != nil {
                usage.timings.generation = phaseStart.duration(to: clock.now)
                stream.abandon()
                isOver = true
                pending.append(.finished(.stop))
            }
        case .finished(let reason, let timings):
            usage.timings = timings
            pass(matcher.finish())
            isOver = true
            pending.append(.finished(reason))
        }
    }

    private mutating func pass(_ text: String) {
        passedBytes += text.utf8.count
        let count = unreported.prefix { $0.end <= passedBytes }.count
        let tokens = unreported.prefix(count).map(\.token)
        unreported.removeFirst(count)
        if !text.isEmpty || !tokens.isEmpty {
            pending.append(.piece(AnswerPiece(text: text, tokens: tokens)))
        }
    }
}
