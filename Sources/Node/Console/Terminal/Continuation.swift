public import NodeEngine

/// Prints the continuation of one prompt, or the answer to it.
public struct Continuation: Sendable {
    public let engine: any TextEngine
    public let output: Output
    /// Tokens to generate and how; its prompt is not used.
    public var request: GenerationRequest
    public var stops: [String]

    public init(engine: any TextEngine, output: Output = .standard, request: GenerationRequest, stops: [String] = []) {
        self.engine = engine
        self.output = output
        self.request = request
        self.stops = stops
    }

    /// What was spent.
    public struct Account: Hashable, Sendable {
        public var text: String
        public var promptTokens: Int
        public var cachedTokens: Int
        public var generatedTokens: Int
        public var timings: GenerationTimings

        /// `12 prompt tokens (0 cached) in 31 ms (387.1/s), 64 generated in 800 ms (80/s)`.
        public var summary: String {
            let computed = promptTokens - cachedTokens
            let prompt = "\(promptTokens) prompt tokens (\(cachedTokens) cached) in \(timings.prompt.milliseconds) ms "
            let generation = "\(generatedTokens) generated in \(timings.generation.milliseconds) ms "
            return prompt + "(\(timings.prompt.rate(of: computed))/s), " + generation
                + "(\(timings.generation.rate(of: generatedTokens))/s)"
        }
    }

    /// Writes the text as it comes. Cancelling the task ends it early, without an error.
    public func write(_ prompt: Prompt) async throws -> Account {
        var request = request
        request.prompt = prompt
        var answer = Answer(try await engine.generate(request), stops: stops, reportsTokens: false)
        var text = ""
        while let event = try await answer.next() {
            if case .piece(let piece) = event {
                text += piece.text
                try output.write(piece.text)
            }
        }
        let usage = answer.usage
        return Account(
            text: text, promptTokens: usage.promptTokens, cachedTokens: usage.cachedTokens, generatedTokens: usage.completionTokens,
            timings: usage.timings)
    }
}
