public import Jinja

/// A model's chat template: turns a conversation into the text that the model was trained on. Templates are programs in
/// the language Jinja, stored in the model file (`tokenizer.chat_template`).
///
/// Parsed once, rendered often; may be shared freely. Neither the template nor the messages are trusted: see
/// ``TemplateLimits``.
public struct ChatTemplate: Sendable {
    private let template: Template
    private let bosToken: String
    private let eosToken: String
    /// In which form the template reads messages' content.
    private var contentForms = ContentForms()

    /// The template's text.
    public var source: String { template.source }

    /// Throws a ``TemplateError`` of kind `syntax`, `unsupported` or `limit`, with the line.
    ///
    /// - Parameters:
    ///   - bosToken: the text of the token that starts a text; templates write it out.
    ///   - eosToken: likewise for the end.
    public init(
        source: String, bosToken: String = "", eosToken: String = "", limits: TemplateLimits = .init()
    ) throws(TemplateError) {
        self.bosToken = bosToken
        self.eosToken = eosToken
        template = try Template(source: source, limits: limits)
        contentForms = ContentForms(of: self)
    }

    /// Messages whose content, text or parts (`[{"type": "text", "text": "…"}]`), is in the form that the template reads: as it came,
    /// unless only the other is read. What the system says opens the user's turn where the template refuses the system.
    public func adapted(_ messages: [ChatMessage]) -> [ChatMessage] { contentForms.adapted(messages) }

    /// The prompt for a conversation. It contains the special tokens' texts, so it is to be tokenized with these
    /// recognised in all but what came from the conversation (``Tokenizer/encode(_:addSpecial:plain:)``), and without
    /// adding a start token if it begins with one.
    ///
    /// Trusted are the template and the tokens of start and end. All that the caller gives is not, apart from roles that
    /// are common words: templates make control tokens of them (`<|` and the role and `|>`).
    ///
    /// - Parameters:
    ///   - addGenerationPrompt: end with the start of the assistant's answer.
    ///   - extra: further variables, such as `tools` or `enable_thinking`. They win over those set here.
    ///   - now: seconds since 1970 for templates that tell the date; nil takes the clock's.
    public func render(
        messages: [ChatMessage], addGenerationPrompt: Bool, extra: [String: TemplateValue] = [:], now: Int? = nil
    ) throws(TemplateError) -> RenderedText {
        var variables = [
            Template.Variable("bos_token", .string(bosToken), isUntrusted: false),
            Template.Variable("eos_token", .string(eosToken), isUntrusted: false),
            Template.Variable("messages", .array(messages.map { .object(Self.fields(of: $0)) }), isUntrusted: true),
            Template.Variable("add_generation_prompt", .bool(addGenerationPrompt), isUntrusted: false),
        ]
        variables += extra.map { Template.Variable($0.key, $0.value, isUntrusted: true) }
        return try template.render(variables, now: now)
    }

    /// Roles that any client may take, as every template expects.
    private static let commonRoles: Set<String> = ["system", "developer", "user", "assistant", "model", "tool", "function", "ipython"]

    private static func fields(of message: ChatMessage) -> TemplateObject {
        var fields = message.fields
        if commonRoles.contains(message.role) { fields.trust("role") }
        return fields
    }
}
