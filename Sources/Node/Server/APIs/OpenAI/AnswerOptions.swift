internal import Base
internal import NodeEngine

/// What completions and chats have in common in a request.
struct AnswerOptions: Hashable, Sendable {
    var sampling: SamplingSettings
    var maxTokens: Int?
    var ignoreEnd: Bool
    var stops: [String]
    var streams: Bool
    /// End a stream with a chunk that counts tokens.
    var includesUsage: Bool
    /// Answers to each prompt.
    var answerCount: Int
    /// Probabilities of so many other tokens beside each chosen one; nil for none at all.
    var alternatives: Int?
    /// Which probabilities those are.
    var probabilities = GenerationRequest.Probabilities.ofModel
    /// Biases of texts, whose tokens only the model's vocabulary knows.
    var textBiases: [TextBias] = []
    var stopTokens: Set<Int32> = []
    var reusesPrompt: Bool

    /// What is added to the logits of a text's tokens.
    struct TextBias: Hashable, Sendable {
        var text: String
        var bias: Float
    }

    /// Answers to one prompt at most.
    static let answerLimit = 64

    init(_ fields: RequestFields, vocabularySize: Int) throws(APIError) {
        sampling = try fields.sampling()
        let biases = try fields.logitBiases(vocabularySize: vocabularySize)
        sampling.logitBias = biases.tokens
        textBiases = biases.texts
        if let ids = try fields.array("stop_token_ids") {
            stopTokens = Set(try CompletionRequest.tokens(ids, named: "stop_token_ids", vocabularySize: vocabularySize))
        }
        reusesPrompt = try fields.bool("cache_prompt") ?? true
        maxTokens = try fields.maxTokens()
        ignoreEnd = try fields.bool("ignore_eos") ?? false
        stops = try fields.stops()
        streams = try fields.bool("stream") ?? false
        includesUsage = false
        if let options = try fields.object("stream_options") {
            if !streams {
                throw .invalid(
                    "'stream_options' is only for requests with 'stream': true.", parameter: "stream_options", code: "invalid_value")
            }
            includesUsage = try RequestFields(options, prefix: "stream_options.").bool("include_usage") ?? false
        }
        answerCount = try fields.integer("n", in: 1...AnswerOptions.answerLimit) ?? 1
        let count = answerCount
        // As many as are answered anyway leave nothing to choose.
        let isNoChoice: (JSONValue) -> Bool = { $0 == .integer(count) || $0 == .number(Double(count)) }
        try fields.refuse("best_of", unless: isNoChoice, because: "answers are not chosen among; ask for 'n' of them")
        // Present in every request that some clients make, so its type is checked and any name accepted.
        _ = try fields.string("model")
    }

    /// Gives each token of the texts that have a bias that bias; a token that has one of its own keeps it.
    mutating func resolveTextBiases(_ engine: any TextEngine) async throws(EngineError) {
        for text in textBiases {
            for token in try await engine.tokenize(Array(text.text.utf8), addSpecial: false, parseSpecial: true)
            where sampling.logitBias[token] == nil {
                sampling.logitBias[token] = text.bias
            }
        }
        textBiases = []
    }

    /// - Parameter number: which of the answers to the prompt it is for: each draws numbers of its own.
    func request(_ prompt: Prompt, number: Int) -> GenerationRequest {
        var request = GenerationRequest(
            prompt: prompt, sampling: sampling, maxTokens: maxTokens, ignoreEnd: ignoreEnd, alternatives: alternatives,
            stopTokens: stopTokens, reusesPrompt: reusesPrompt)
        request.probabilities = probabilities
        request.sampling.seed = sampling.seed.map { $0 &+ UInt32(truncatingIfNeeded: number) }
        return request
    }
}
