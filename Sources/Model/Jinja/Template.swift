/// A program in the language Jinja that writes a text. Parsed once, rendered often; may be shared freely.
///
/// What a template can compute is limited to values. Neither it nor its variables are trusted: see ``TemplateLimits``.
public struct Template: Sendable {
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
    ///   - variables: names and values; of equal names the last counts.
    ///   - now: seconds since 1970 for templates that tell the date; nil takes the clock's.
    public func render(_ variables: [(String, TemplateValue)], now: Int? = nil) throws(TemplateError) -> String {
        try Interpreter.render(statements, variables: variables, limits: limits, now: now ?? CalendarTime.now)
    }
}
