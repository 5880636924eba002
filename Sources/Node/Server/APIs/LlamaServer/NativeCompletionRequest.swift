internal import Base
internal import NodeEngine

/// The body of llama.cpp's server's own `POST /completion`.
struct NativeCompletionRequest: Hashable, Sendable {
    /// A stretch of a prompt.
    enum Part: Hashable, Sendable {
        case text(String)
        case tokens([Int32])
    }

    /// Each in parts that follow on each other.
    var prompts: [[Part]]
    var options: AnswerOptions
    /// Say tokens in answers that are not streamed.
    var returnsTokens: Bool
    /// Members of the answer that are wanted, deeper ones by their path (`generation_settings/n_predict`); empty for all.
    var responseFields: [String]

    init(_ fields: RequestFields, vocabularySize: Int) throws(APIError) {
        try fields.refuseForeign(in: .native)
        options = try AnswerOptions(fields, vocabularySize: vocabularySize)
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
        guard let value = fields["prompt"] else { throw fields.missing("prompt") }
        prompts = try NativeCompletionRequest.prompts(value, vocabularySize: vocabularySize)
        if prompts.count > CompletionRequest.promptLimit {
            throw .invalid("'prompt' has more than \(CompletionRequest.promptLimit) texts.", parameter: "prompt", code: "invalid_value")
        }
    }

    /// One prompt: a string, a list in which tokens are (with strings between them or not), an object; or a list of such.
    private static func prompts(_ value: JSONValue, vocabularySize: Int) throws(APIError) -> [[Part]] {
        guard case .array(let elements) = value, !elements.contains(where: isNumber) else {
            return [try prompt(value, named: "prompt", vocabularySize: vocabularySize)]
        }
        if elements.isEmpty { throw .invalid("'prompt' is an empty list.", parameter: "prompt", code: "invalid_value") }
        var prompts: [[Part]] = []
        for (index, element) in elements.enumerated() {
            prompts.append(try prompt(element, named: "prompt[\(index)]", vocabularySize: vocabularySize))
        }
        return prompts
    }

    private static func isNumber(_ value: JSONValue) -> Bool {
        switch value {
        case .integer, .number: true
        default: false
        }
    }

    private static func prompt(_ value: JSONValue, named name: String, vocabularySize: Int) throws(APIError) -> [Part] {
        switch value {
        case .string(let text): return [.text(text)]
        case .array(let elements):
            var parts: [Part] = []
            var tokens: [JSONValue] = []
            func endTokens() throws(APIError) {
                if tokens.isEmpty { return }
                parts.append(.tokens(try CompletionRequest.tokens(tokens, named: name, vocabularySize: vocabularySize)))
                tokens = []
            }
            for element in elements {
                if case .string(let text) = element {
                    try endTokens()
                    parts.append(.text(text))
                } else {
                    tokens.append(element)
                }
            }
            try endTokens()
            return parts
        case .object(let object):
            let fields = RequestFields(object, prefix: "\(name).")
            try fields.refuse("multimodal_data", unless: { $0 == .array([]) }, because: "this model takes text only")
            guard let text = try fields.string("prompt_string") else { throw fields.missing("prompt_string") }
            return [.text(text)]
        default:
            throw .invalid(
                "'\(name)' must be a string, a list of tokens and strings, or an object with 'prompt_string', not \(value.kind).",
                parameter: "prompt", code: "invalid_type")
        }
    }
}
