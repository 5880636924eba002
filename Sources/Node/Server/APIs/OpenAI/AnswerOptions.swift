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
    /// Probabilities of so many other tokens beside each chosen one; nil for none at all.
    var alternatives: Int?

    init(_ fields: RequestFields, vocabularySize: Int) throws(APIError) {
        sampling = try fields.sampling(vocabularySize: vocabularySize)
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
        for name in ["n", "best_of"] {
            let isOne: (JSONValue) -> Bool = { $0 == .integer(1) || $0 == .number(1) }
            try fields.refuse(name, unless: isOne, because: "ask once for each answer; only 1 is possible")
        }
        // Present in every request that some clients make, so its type is checked and any name accepted.
        _ = try fields.string("model")
    }

    func request(_ prompt: Prompt) -> GenerationRequest {
        GenerationRequest(
            prompt: prompt, sampling: sampling, maxTokens: maxTokens, ignoreEnd: ignoreEnd, alternatives: alternatives)
    }
}
