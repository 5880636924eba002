/// What can go wrong with a chat template: while it is read, or while it runs.
public struct TemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        /// The template's text is not a template.
        case syntax
        /// It uses a tag, filter or function that does not exist here.
        case unsupported
        /// It used a value that is not there.
        case undefined
        /// It did something that the values at hand do not allow: a sum of a number and a list…
        case evaluation
        /// It refused the conversation itself (`raise_exception`): roles that do not alternate…
        case raised
        /// It ran into a limit on steps, output or depth.
        case limit
    }

    public let kind: Kind
    public let message: String
    /// Counted from 1.
    public let line: Int

    public init(_ kind: Kind, _ message: String, line: Int) {
        self.kind = kind
        self.message = message
        self.line = line
    }

    public var description: String {
        kind == .raised ? message : "chat template, line \(line): \(message)"
    }
}

/// How far a template may go. A template comes with the model file, so it is not trusted to end or to stay small.
public struct TemplateLimits: Sendable {
    /// Work in steps, of about a tenth of a microsecond: evaluated expressions, bytes and elements handled.
    public var steps = 50_000_000
    /// Bytes of output, of a macro's or block's text likewise.
    public var output = 16 << 20
    /// How deep expressions, blocks, macro calls and values may be nested, all together.
    public var depth = 200
    /// Bytes of the template itself.
    public var source = 4 << 20

    public init() {}
}
