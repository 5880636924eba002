/// What a template wrote, and which of it came from outside.
public struct RenderedText: Hashable, Sendable {
    public var text: String
    /// The ranges of UTF-8 bytes that came from untrusted variables, ascending, with something between them. The rest is
    /// the template's own and the trusted variables'.
    public var untrusted: [Range<Int>]

    public init(_ text: String, untrusted: [Range<Int>] = []) {
        self.text = text
        self.untrusted = untrusted
    }
}
