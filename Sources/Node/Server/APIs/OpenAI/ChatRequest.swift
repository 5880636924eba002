internal import Base
internal import NodeEngine

/// The body of `POST /v1/chat/completions`.
struct ChatRequest: Hashable, Sendable {
    var conversation: Conversation
    var options: AnswerOptions

    /// Messages in one request at most.
    static let messageLimit = 10_000

    init(_ fields: RequestFields, vocabularySize: Int) throws(APIError) {
        options = try AnswerOptions(fields, vocabularySize: vocabularySize)
        try ChatRequest.refuseTools(fields)
        conversation = Conversation(messages: try ChatRequest.messages(fields))
        conversation.addGenerationPrompt = try fields.bool("add_generation_prompt") ?? true
        for member in try fields.object("chat_template_kwargs")?.members ?? [] {
            conversation.variables[member.name] = member.value
        }
        if try fields.bool("logprobs") ?? false {
            options.alternatives = try fields.integer("top_logprobs", in: 0...20) ?? 0
        } else if let count = try fields.integer("top_logprobs", in: 0...20), count > 0 {
            throw .invalid("'top_logprobs' is only for requests with 'logprobs': true.", parameter: "top_logprobs", code: "invalid_value")
        }
    }

    private static func refuseTools(_ fields: RequestFields) throws(APIError) {
        let reason = "tools cannot be called from here"
        for name in ["tools", "functions"] {
            try fields.refuse(name, unless: { $0 == .array([]) }, because: reason)
        }
        for name in ["tool_choice", "function_call"] {
            try fields.refuse(name, unless: { $0 == .string("none") || $0 == .string("auto") }, because: reason)
        }
        let isText: (JSONValue) -> Bool = { $0 == .array([.string("text")]) }
        try fields.refuse("modalities", unless: isText, because: "answers are text only")
        try fields.refuse("audio", unless: { _ in false }, because: "answers are text only")
    }

    private static func messages(_ fields: RequestFields) throws(APIError) -> [Conversation.Message] {
        guard let values = try fields.array("messages") else { throw fields.missing("messages") }
        if values.isEmpty {
            throw .invalid("'messages' is empty; give at least one message.", parameter: "messages", code: "invalid_value")
        }
        if values.count > messageLimit {
            throw .invalid("'messages' has more than \(messageLimit) messages.", parameter: "messages", code: "invalid_value")
        }
        var messages: [Conversation.Message] = []
        for (index, value) in values.enumerated() {
            guard case .object(let object) = value else {
                throw .invalid(
                    "'messages[\(index)]' must be an object, not \(value.kind).", parameter: "messages[\(index)]", code: "invalid_type")
            }
            messages.append(try message(RequestFields(object, prefix: "messages[\(index)].")))
        }
        return messages
    }

    private static func message(_ fields: RequestFields) throws(APIError) -> Conversation.Message {
        guard let role = try fields.string("role") else { throw fields.missing("role") }
        let known: String
        switch role {
        case "system", "user", "assistant": known = role
        // OpenAI's newer name for what templates know as the system's words.
        case "developer": known = "system"
        case "tool", "function":
            throw .invalid(
                "'\(fields.path("role"))' is '\(role)', but tools cannot be called from here.", parameter: fields.path("role"),
                code: "unsupported_value")
        default:
            throw .invalid(
                "'\(fields.path("role"))' must be 'system', 'developer', 'user' or 'assistant', not '\(role.prefix(40))'.",
                parameter: fields.path("role"), code: "invalid_value")
        }
        for name in ["tool_calls", "function_call"] {
            try fields.refuse(name, unless: { $0 == .array([]) }, because: "tools cannot be called from here")
        }
        return Conversation.Message(role: known, content: try content(fields), name: try fields.string("name"))
    }

    /// A string, or parts of type `text`, which are put together line by line.
    private static func content(_ fields: RequestFields) throws(APIError) -> String {
        guard let value = fields["content"] else { throw fields.missing("content") }
        let name = fields.path("content")
        switch value {
        case .string(let text): return text
        case .array(let parts):
            var texts: [String] = []
            for (index, part) in parts.enumerated() {
                guard case .object(let object) = part else {
                    throw .invalid(
                        "'\(name)[\(index)]' must be an object, not \(part.kind).", parameter: "\(name)[\(index)]", code: "invalid_type")
                }
                let partFields = RequestFields(object, prefix: "\(name)[\(index)].")
                guard let type = try partFields.string("type") else { throw partFields.missing("type") }
                guard type == "text" else {
                    throw .invalid(
                        "'\(name)[\(index)]' is of type '\(type.prefix(40))'; this model takes text only.",
                        parameter: "\(name)[\(index)].type", code: "unsupported_value")
                }
                guard let text = try partFields.string("text") else { throw partFields.missing("text") }
                texts.append(text)
            }
            return texts.joined(separator: "\n")
        default:
            throw .invalid(
                "'\(name)' must be a string or a list of parts, not \(value.kind).", parameter: name, code: "invalid_type")
        }
    }
}
