public import Jinja

/// One message of a conversation, as a chat template sees it.
public struct ChatMessage: Sendable, Equatable {
    /// All its fields: `role`, `content`, and whatever else the caller has (`tool_calls`, `name`…), in order.
    public var fields: TemplateObject

    /// - Parameters:
    ///   - role: `system`, `user`, `assistant`…; which there are is the template's business.
    ///   - content: the text.
    public init(role: String, content: String) {
        fields = ["role": .string(role), "content": .string(content)]
    }

    /// A message with any fields: content in parts, tool calls.
    public init(fields: TemplateObject) { self.fields = fields }

    /// The role, empty if there is none.
    public var role: String {
        if case .string(let role)? = fields["role"] { return role }
        return ""
    }
}
