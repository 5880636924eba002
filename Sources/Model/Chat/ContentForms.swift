internal import Jinja

/// In which form a chat template reads the content of messages: as text, as parts (`[{"type": "text", "text": "…"}]`), or either.
///
/// Templates do not say, so it is found out by trying, for each role: a text that the template does not write out as such is not read.
/// What is known of neither form, because the template refuses short conversations, is read as text.
struct ContentForms: Sendable {
    private enum Form: Sendable {
        case text, parts, either
    }

    /// Roles that are not here are read as the user's.
    private var forms: [String: Form] = [:]
    /// Whether the template refuses what the system says, as Gemma 2's does.
    private var refusesSystem = false

    init() {}

    init(of template: ChatTemplate) {
        for role in ["user", "assistant", "system"] { forms[role] = ContentForms.form(of: role, template) }
        refusesSystem = forms["user"] != nil && forms["system"] == nil && !ContentForms.takes("system", template)
    }

    /// Messages in the form that the template reads: what the system says first opens the user's turn where it has none of its own.
    func adapted(_ messages: [ChatMessage]) -> [ChatMessage] {
        var messages = messages
        if refusesSystem, messages.count > 1, messages[0].role == "system", messages[1].role == "user" {
            let system = messages.removeFirst()
            messages[0].fields["content"] = ContentForms.joined(system.fields["content"], messages[0].fields["content"])
        }
        return messages.map { adapted($0) }
    }

    private static func joined(_ first: TemplateValue?, _ second: TemplateValue?) -> TemplateValue {
        func list(_ content: TemplateValue?) -> [TemplateValue] {
            switch content {
            case .array(let parts)?: parts
            case .string(let text)?: [["type": "text", "text": .string(text)]]
            default: []
            }
        }
        if case .string(let first)? = first, case .string(let second)? = second { return .string(first + "\n" + second) }
        return .array(list(first) + list(second))
    }

    /// A message with its content in the form that the template reads.
    func adapted(_ message: ChatMessage) -> ChatMessage {
        var message = message
        switch (forms[message.role] ?? forms["user"] ?? .text, message.fields["content"]) {
        case (.text, .array(let parts)?):
            message.fields["content"] = .string(parts.compactMap(ContentForms.text).joined(separator: "\n"))
        case (.parts, .string(let text)?): message.fields["content"] = ContentForms.parts(text)
        default: break
        }
        return message
    }

    private static func text(of part: TemplateValue) -> String? {
        guard case .object(let object) = part, case .string(let text)? = object["text"] else { return nil }
        return text
    }

    private static func parts(_ text: String) -> TemplateValue { [["type": "text", "text": .string(text)]] }

    // MARK: Trying

    private static let mark = "Qx7needle"

    /// - Returns: nil where no conversation with such a message can be rendered.
    private static func form(of role: String, _ template: ChatTemplate) -> Form? {
        // Templates of models for one purpose only read parts with members of their own, which are not asked for here.
        let asText = rendered(role, .string(mark), template)
        let asParts = rendered(role, parts(mark), template)
        let readsText = asText?.contains(mark) ?? false
        let readsParts = asParts.map { isWritten(in: $0) || (readsText && $0 == asText) } ?? false
        switch (readsText, readsParts) {
        case (true, true): return .either
        case (true, false): return .text
        case (false, true): return .parts
        case (false, false): return nil
        }
    }

    /// Whether the template makes anything of a conversation with such a message, though it may not write it out.
    private static func takes(_ role: String, _ template: ChatTemplate) -> Bool {
        rendered(role, .string(mark), template) != nil || rendered(role, parts(mark), template) != nil
    }

    /// Whether the mark stands there by itself, and not as a part's member in a list that was written out.
    private static func isWritten(in text: String) -> Bool {
        guard let place = text.firstRange(of: mark) else { return false }
        return !text[..<place.lowerBound].hasSuffix("'") && !text[..<place.lowerBound].hasSuffix("\"")
    }

    /// A short conversation with a message of the role, in the first of the usual orders that the template takes.
    private static func rendered(_ role: String, _ content: TemplateValue, _ template: ChatTemplate) -> String? {
        let tried = ChatMessage(fields: ["role": .string(role), "content": content])
        // The others in the same form: a template that reads parts may refuse anything else.
        func other(_ role: String) -> ChatMessage {
            var fields: TemplateObject = ["role": .string(role)]
            if case .string = content { fields["content"] = "x" } else { fields["content"] = parts("x") }
            return ChatMessage(fields: fields)
        }
        let conversations: [[ChatMessage]]
        switch role {
        case "user": conversations = [[tried], [other("system"), tried]]
        case "assistant": conversations = [[other("user"), tried], [other("user"), tried, other("user")]]
        default: conversations = [[tried, other("user")]]
        }
        for messages in conversations {
            // The date does not matter, and is none of the clock's.
            if let rendered = try? template.render(messages: messages, addGenerationPrompt: false, now: 0) { return rendered.text }
        }
        return nil
    }
}
