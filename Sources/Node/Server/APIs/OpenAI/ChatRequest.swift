internal import Base
internal import NodeEngine

/// The body of `POST /v1/chat/completions`.
struct ChatRequest: Hashable, Sendable {
    var conversation: Conversation
    var options: AnswerOptions

    /// Messages in one request at most.
    static let messageLimit = 10_000

    init(_ fields: RequestFields, vocabularySize: Int) throws(APIError) {
        // Tools that must not be called are as good as none.
        let hasTools = fields["tool_choice"] != .string("none")
        try fields.refuseForeign(in: .chat, except: hasTools ? [] : ["tools", "functions"])
        options = try AnswerOptions(fields, vocabularySize: vocabularySize)
        conversation = Conversation(messages: try ChatRequest.messages(fields))
        if let effort = try fields.string("reasoning_effort") { conversation.variables["reasoning_effort"] = .string(effort) }
        for member in try fields.object("chat_template_kwargs")?.members ?? [] {
            if ["messages", "add_generation_prompt"].contains(member.name) {
                let name = fields.path("chat_template_kwargs.\(member.name)")
                throw .invalid("'\(name)' is the server's to set.", parameter: name, code: "invalid_value")
            }
            conversation.variables[member.name] = member.value
        }
        try setEnd(fields)
        if try fields.bool("logprobs") ?? false {
            options.alternatives = try fields.integer("top_logprobs", in: 0...20) ?? 0
        } else if let count = try fields.integer("top_logprobs", in: 0...20), count > 0 {
            throw .invalid("'top_logprobs' is only for requests with 'logprobs': true.", parameter: "top_logprobs", code: "invalid_value")
        }
    }

    /// Whether the conversation ends with the opening of the assistant's turn, or in the middle of it.
    ///
    /// An assistant's message at the end is gone on with where the request does not say otherwise.
    private mutating func setEnd(_ fields: RequestFields) throws(APIError) {
        let name = "continue_final_message"
        // llama-server's other way of saying so names the member that is gone on with.
        let continues = fields[name] == "content" ? true : try fields.bool(name)
        let opens = try fields.bool("add_generation_prompt")
        if continues == true, opens == true {
            throw .invalid("'\(name)' and 'add_generation_prompt' cannot both be true.", parameter: name, code: "invalid_value")
        }
        conversation.addGenerationPrompt = opens ?? true
        let isAssistants = conversation.messages.last.map { $0.role == "assistant" } ?? false
        if continues == true, !isAssistants {
            throw .invalid("'\(name)' is true, but the last message is not the assistant's.", parameter: name, code: "invalid_value")
        }
        guard isAssistants, continues ?? (opens == nil), let last = conversation.messages.last else { return }
        let path = "messages[\(conversation.messages.count - 1)]"
        if conversation.messages.count > 1, conversation.messages[conversation.messages.count - 2].role == "assistant" {
            throw .invalid(
                "The conversation ends with two messages of the assistant's; only one can be gone on with.", parameter: path,
                code: "invalid_value")
        }
        // What stands in other members than the text cannot be gone on with: they are written out by the template alone.
        for member in ["reasoning_content", "tool_calls"] {
            guard let value = last.fields[member], value != "", value != [] else { continue }
            if continues == nil { return }
            throw .invalid(
                "'\(path).\(member)' cannot be gone on with; give the beginning of the answer as 'content' alone.",
                parameter: "\(path).\(member)", code: "unsupported_value")
        }
        conversation.continuesFinalMessage = true
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
            messages.append(try message(object, RequestFields(object, prefix: "messages[\(index)].")))
        }
        return messages
    }

    /// All members go to the template, which knows more of them than we do. Those that are null count as left out.
    private static func message(_ object: JSONObject, _ fields: RequestFields) throws(APIError) -> Conversation.Message {
        guard let role = try fields.string("role") else { throw fields.missing("role") }
        if role.isEmpty { throw .invalid("'\(fields.path("role"))' is empty.", parameter: fields.path("role"), code: "invalid_value") }
        var members = JSONObject()
        for member in object.members where member.value != .null { members[member.name] = member.value }
        // OpenAI's newer name for what templates know as the system's words.
        if role == "developer" { members["role"] = "system" }
        let calls = try fields.array("tool_calls") ?? []
        if !calls.isEmpty { members["tool_calls"] = .array(calls.map(withReadArguments)) }
        if fields["content"] == nil, role == "assistant" {
            let content: JSONValue = calls.isEmpty ? "" : .null
            members["content"] = content
        } else {
            try checkContent(fields)
        }
        return Conversation.Message(fields: members)
    }

    /// A call of a tool with the arguments that it was made with as a value: clients send them as a text of JSON, as OpenAI does, and
    /// templates write out the value.
    private static func withReadArguments(_ call: JSONValue) -> JSONValue {
        guard case .object(var object) = call, case .object(var function)? = object["function"],
            case .string(let text)? = function["arguments"], let value = try? JSONValue(parsing: text.utf8), case .object = value
        else { return call }
        function["arguments"] = value
        object["function"] = .object(function)
        return .object(object)
    }

    /// A string, or parts of type `text`.
    private static func checkContent(_ fields: RequestFields) throws(APIError) {
        guard let value = fields["content"] else { throw fields.missing("content") }
        let name = fields.path("content")
        switch value {
        case .string: break
        case .array(let parts):
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
                guard try partFields.string("text") != nil else { throw partFields.missing("text") }
            }
        default:
            throw .invalid(
                "'\(name)' must be a string or a list of parts, not \(value.kind).", parameter: name, code: "invalid_type")
        }
    }
}
