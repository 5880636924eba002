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
        let messages = conversation.messages.map { message in
            var fields: TemplateObject = ["role": .string(message.role), "content": .string(message.content)]
            if let name = message.name { fields["name"] = .string(name) }
            return ChatMessage(fields: fields)
        }
        return try render(
            messages: messages, addGenerationPrompt: conversation.addGenerationPrompt,
            extra: conversation.variables.mapValues(TemplateValue.init))
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
