internal import Base
import Jinja
import Model

extension ChatTemplate {
    /// A template that writes the vocabulary's own marks of start and end.
    init(source: String, _ vocabulary: Vocabulary) throws(TemplateError) {
        try self.init(
            source: source, bosToken: vocabulary.special.bos.map(vocabulary.text(of:)) ?? "",
            eosToken: vocabulary.special.eos.map(vocabulary.text(of:)) ?? "")
    }

    func render(_ conversation: Conversation) throws(TemplateError) -> RenderedText {
        let last = conversation.continuesFinalMessage ? conversation.messages.last : nil
        let turns = last == nil ? conversation.messages : conversation.messages.dropLast()
        let messages = turns.map { message in
            var fields = TemplateObject()
            for member in message.fields.members { fields[member.name] = TemplateValue(member.value) }
            return ChatMessage(fields: fields)
        }
        var text = try render(
            messages: adapted(messages), addGenerationPrompt: last != nil || conversation.addGenerationPrompt,
            extra: conversation.variables.mapValues(TemplateValue.init))
        if let beginning = last?.content, !beginning.isEmpty { text.append(untrusted: beginning) }
        return text
    }
}

extension RenderedText {
    /// Adds what is no part of the template.
    fileprivate mutating func append(untrusted more: String) {
        let start = text.utf8.count
        text += more
        // Ranges have something between them.
        let first = untrusted.last?.upperBound == start ? untrusted.removeLast().lowerBound : start
        untrusted.append(first..<text.utf8.count)
    }
}

extension TemplateValue {
    init(_ value: JSONValue) {
        switch value {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .integer(let number): self = .int(number)
        case .number(let number): self = .double(number)
        case .string(let text): self = .string(text)
        case .array(let values): self = .array(values.map(TemplateValue.init))
        case .object(let object):
            var fields = TemplateObject()
            for member in object.members { fields[member.name] = TemplateValue(member.value) }
            self = .object(fields)
        }
    }
}
