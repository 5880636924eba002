internal import Base
internal import NodeEngine

/// The body of llama.cpp's server's own `POST /completion`.
struct NativeCompletionRequest: Hashable, Sendable {
    var prompts: [PromptParts]
    var options: AnswerOptions
    /// Say tokens in answers that are not streamed.
    var returnsTokens: Bool
    /// Members of the answer that are wanted, deeper ones by their path (`generation_settings/n_predict`); empty for all.
    var responseFields: [String]

    init(_ fields: RequestFields, vocabularySize: Int) throws(APIError) {
        try fields.refuseForeign(in: .native)
        options = try AnswerOptions(fields, vocabularySize: vocabularySize)
        // Its own name counts most where it is at home.
        options.maxTokens = try fields.maxTokens(["n_predict", "max_completion_tokens", "max_tokens"])
        if let count = try fields.integer("n_probs", in: 0...100), count > 0 { options.alternatives = count }
        if try fields.bool("post_sampling_probs") ?? false { options.probabilities = .ofChoice }
        returnsTokens = try fields.bool("return_tokens") ?? false
        responseFields = []
        for value in try fields.array("response_fields") ?? [] {
            guard case .string(let name) = value else {
                throw .invalid(
                    "'response_fields' must hold strings, not \(value.kind).", parameter: "response_fields", code: "invalid_type")
            }
            responseFields.append(name)
        }
        prompts = try PromptParts.all(fields, "prompt", vocabularySize: vocabularySize, limit: CompletionRequest.promptLimit)
    }
}
