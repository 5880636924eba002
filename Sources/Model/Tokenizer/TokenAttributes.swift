/// What a token is for. Most tokens have one attribute; a few gain a second from what their text says.
public struct TokenAttributes: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Stands for text that no token covers.
    public static let unknown = TokenAttributes(rawValue: 1 << 0)
    /// A place kept free; it has no text.
    public static let unused = TokenAttributes(rawValue: 1 << 1)
    /// Ordinary text.
    public static let normal = TokenAttributes(rawValue: 1 << 2)
    /// Structure rather than text: start, end of turn…; found in text only when special tokens are parsed.
    public static let control = TokenAttributes(rawValue: 1 << 3)
    /// Text that is always one token, found before anything else is split.
    public static let userDefined = TokenAttributes(rawValue: 1 << 4)
    /// One byte, written `<0xHH>`.
    public static let byte = TokenAttributes(rawValue: 1 << 5)
    /// Swallows white space before it when found in text.
    public static let stripsLeft = TokenAttributes(rawValue: 1 << 6)
    /// Swallows white space after it when found in text.
    public static let stripsRight = TokenAttributes(rawValue: 1 << 7)
    /// Structure that readers see, as they do ordinary text; found in text as control tokens are.
    public static let visibleStructure = TokenAttributes(rawValue: 1 << 8)

    /// Tokens that are looked for in a text before it is split.
    static let partitioning: TokenAttributes = [.control, .userDefined, .unknown]
    /// Tokens that text does not become by merely spelling them.
    static let structure: TokenAttributes = [.control, .unknown, .visibleStructure]
    /// Tokens whose text is shown only on request.
    static let hidden: TokenAttributes = [.control, .unknown]

    /// The attribute for a value of `tokenizer.ggml.token_type`; a value that is not known has none.
    public init(tokenType: Int32) {
        switch tokenType {
        case 1: self = .normal
        case 2: self = .unknown
        case 3: self = .control
        case 4: self = .userDefined
        case 5: self = .unused
        case 6: self = .byte
        default: self = []
        }
    }
}
