internal import Base
internal import NodeEngine

/// A prompt in stretches of text and of tokens that follow on each other, as llama.cpp's server takes them.
struct PromptParts: Hashable, Sendable {
    enum Part: Hashable, Sendable {
        case text(String)
        case tokens([Int32])
    }

    var parts: [Part]

    /// What a member of a body says: one prompt (a string, a list in which tokens are, with strings between them or not, or an object), or
    /// a list of such.
    static func all(
        _ fields: RequestFields, _ name: String, vocabularySize: Int, limit: Int
    ) throws(APIError) -> [PromptParts] {
        guard let value = fields[name] else { throw fields.missing(name) }
        guard case .array(let elements) = value, !elements.contains(where: isNumber) else {
            return [try PromptParts(value, named: name, vocabularySize: vocabularySize)]
        }
        if elements.isEmpty { throw .invalid("'\(name)' is an empty list.", parameter: name, code: "invalid_value") }
        if elements.count > limit { throw .invalid("'\(name)' has more than \(limit) texts.", parameter: name, code: "invalid_value") }
        var prompts: [PromptParts] = []
        for (index, element) in elements.enumerated() {
            prompts.append(try PromptParts(element, named: "\(name)[\(index)]", vocabularySize: vocabularySize))
        }
        return prompts
    }

    private static func isNumber(_ value: JSONValue) -> Bool {
        switch value {
        case .integer, .number: true
        default: false
        }
    }

    private init(_ value: JSONValue, named name: String, vocabularySize: Int) throws(APIError) {
        switch value {
        case .string(let text): parts = [.text(text)]
        case .array(let elements): parts = try PromptParts.mixed(elements, named: name, vocabularySize: vocabularySize)
        case .object(let object): parts = [.text(try PromptParts.text(RequestFields(object, prefix: "\(name).")))]
        default:
            throw .invalid(
                "'\(name)' must be a string, a list of tokens and strings, or an object with 'prompt_string', not \(value.kind).",
                parameter: String(name.prefix { $0 != "[" }), code: "invalid_type")
        }
    }

    private static func mixed(_ elements: [JSONValue], named name: String, vocabularySize: Int) throws(APIError) -> [Part] {
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
    }

    /// `{"prompt_string": "…"}`, or `{"content": […]}` with parts of type `text`, which follow on each other without a gap.
    private static func text(_ fields: RequestFields) throws(APIError) -> String {
        try fields.refuse("multimodal_data", unless: { $0 == .array([]) }, because: "this model takes text only")
        if let text = try fields.string("prompt_string") { return text }
        guard let values = try fields.array("content") else { throw fields.missing("prompt_string") }
        var text = ""
        for value in values {
            guard value["type"] == .string("text"), case .string(let piece)? = value["text"] else {
                let name = fields.path("content")
                throw .invalid("'\(name)' must hold parts of type 'text'.", parameter: name, code: "unsupported_value")
            }
            text += piece
        }
        return text
    }
}

extension TextEngine {
    /// The tokens of a prompt. The marks of a text's beginning and end stand around one that begins with text; texts behind tokens get
    /// none.
    func tokens(of prompt: PromptParts) async throws(EngineError) -> [Int32] {
        var tokens: [Int32] = []
        for (index, part) in prompt.parts.enumerated() {
            switch part {
            case .tokens(let ids): tokens += ids
            case .text(let text): tokens += try await tokenize(Array(text.utf8), addSpecial: index == 0, parseSpecial: true)
            }
        }
        return tokens
    }
}
