internal import Base
internal import NodeEngine

/// The body of `POST /v1/completions`.
struct CompletionRequest: Hashable, Sendable {
    var prompts: [Prompt]
    var options: AnswerOptions
    /// Put the prompt in front of the answer.
    var echoes: Bool

    /// Prompts in one request at most.
    static let promptLimit = 64

    /// - Parameter others: members that whoever asks sees to itself.
    init(_ fields: RequestFields, vocabularySize: Int) throws(APIError) {
        try fields.refuseForeign(in: .completion)
        options = try AnswerOptions(fields, vocabularySize: vocabularySize)
        prompts = try CompletionRequest.prompts(
            fields, "prompt", vocabularySize: vocabularySize, limit: CompletionRequest.promptLimit)
        echoes = try fields.bool("echo") ?? false
        // A chat's way of asking for none.
        if fields["logprobs"] != false { options.alternatives = try fields.integer("logprobs", in: 0...20) }
        if echoes, options.alternatives != nil {
            throw .invalid(
                "'logprobs' together with 'echo' is not supported: the prompt's own probabilities are not computed.", parameter: "logprobs",
                code: "unsupported_parameter")
        }
    }

    /// A string, a list of strings, a list of tokens, or a list of lists of tokens.
    static func prompts(
        _ fields: RequestFields, _ name: String, vocabularySize: Int, limit: Int
    ) throws(APIError) -> [Prompt] {
        guard let value = fields[name] else { throw fields.missing(name) }
        switch value {
        case .string(let text): return [.text(text)]
        case .array(let elements):
            guard let first = elements.first else {
                throw .invalid("'\(name)' is an empty list.", parameter: name, code: "invalid_value")
            }
            if case .integer = first { return [.tokens(try tokens(elements, named: name, vocabularySize: vocabularySize))] }
            if elements.count > limit {
                throw .invalid("'\(name)' has more than \(limit) texts.", parameter: name, code: "invalid_value")
            }
            var prompts: [Prompt] = []
            for (index, element) in elements.enumerated() {
                switch element {
                case .string(let text): prompts.append(.text(text))
                case .array(let ids):
                    prompts.append(.tokens(try tokens(ids, named: "\(name)[\(index)]", vocabularySize: vocabularySize)))
                default:
                    throw .invalid(
                        "'\(name)[\(index)]' must be a string or a list of tokens, not \(element.kind).", parameter: name,
                        code: "invalid_type")
                }
            }
            return prompts
        default:
            throw .invalid("'\(name)' must be a string or a list, not \(value.kind).", parameter: name, code: "invalid_type")
        }
    }

    /// Token ids, each in the vocabulary.
    static func tokens(_ values: [JSONValue], named name: String, vocabularySize: Int) throws(APIError) -> [Int32] {
        var tokens: [Int32] = []
        tokens.reserveCapacity(values.count)
        for value in values {
            guard case .integer(let id) = value, id >= 0, id < vocabularySize, let token = Int32(exactly: id) else {
                let parameter = String(name.prefix { $0 != "[" })
                throw .invalid(
                    "'\(name)' holds a token that is not a whole number from 0 to \(vocabularySize - 1).", parameter: parameter,
                    code: "invalid_value")
            }
            tokens.append(token)
        }
        return tokens
    }
}
