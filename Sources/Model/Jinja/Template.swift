/// A program in the language Jinja that writes a text. Parsed once, rendered often; may be shared freely.
///
/// What a template can compute is limited to values. Neither it nor its variables are trusted: see ``TemplateLimits``.
public struct Template: Sendable {
    /// A name that a template can use, and what it stands for.
    public struct Variable: Sendable {
        public var name: String
        public var value: TemplateValue
        /// Whether its strings, at any depth and keys included, come from somebody else than the template's writer. What
        /// becomes of them is marked in the ``RenderedText``; nothing else depends on it.
        public var isUntrusted: Bool

        public init(_ name: String, _ value: TemplateValue, isUntrusted: Bool) {
            self.name = name
            self.value = value
            self.isUntrusted = isUntrusted
        }
    }

    /// The template's text.
    public let source: String
    private let statements: [Statement]
    private let limits: TemplateLimits

    /// Throws a ``TemplateError`` of kind `syntax`, `unsupported` or `limit`, with the line.
    public init(source: String, limits: TemplateLimits = .init()) throws(TemplateError) {
        self.source = source
        self.limits = limits
        statements = try Parser.statements(of: source, limits: limits)
    }

    /// The text that the template writes.
    ///
    /// - Parameters:
    ///   - variables: of equal names the last counts.
    ///   - now: seconds since 1970 for templates that tell the date; nil takes the clock's.
    public func render(_ variables: [Variable], now: Int? = nil) throws(TemplateError) -> RenderedText {
        let output = try Interpreter.render(statements, variables: variables, limits: limits, now: now ?? CalendarTime.now)
        return RenderedText(output.string, untrusted: output.untrusted)
    }
}
