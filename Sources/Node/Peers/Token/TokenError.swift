/// Why a text is no token. Says which part is wrong and what to do, and nothing of what the text holds: it may be somebody's token after
/// all, with a letter lost.
public enum TokenError: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    /// There are more bytes than any token has.
    case tooLong(limit: Int)
    case notBase64
    /// What is encoded is no text.
    case notUTF8
    /// What is encoded cannot be read as YAML.
    case notYAML
    /// The YAML nests deeper than a token does.
    case tooDeep
    /// The YAML has anchors or aliases, with which a few bytes become many.
    case hasAliases
    /// The YAML is a list or a word.
    case notMapping
    case missing(key: String)
    case wrongKind(key: String, expected: String)
    case outOfRange(key: String, range: ClosedRange<Int>)
    /// Its keys are so short that they can be guessed.
    case guessable(leastByteCount: Int)
    /// A later version of the program made it, and it means something that this one does not know.
    case tooNew(version: Int)

    public var description: String {
        switch self {
        case .empty: "the token is empty"
        case .tooLong(let limit): "this is no token: it is longer than \(limit) bytes"
        case .notBase64: "this is no token, or it is damaged: it is not base64; copy it whole, in one piece"
        case .notUTF8, .notYAML: "this is no token, or it is damaged: what it holds is no YAML; copy it whole, in one piece"
        case .tooDeep: "this is no token: what it holds is nested too deep"
        case .hasAliases: "the token's YAML has anchors or aliases (& and *), which are not taken"
        case .notMapping: "this is no token: its YAML has no keys"
        case .missing(let key): "the token has no '\(key)': it is cut off, or of another program; make one with 'swiftlet token new'"
        case .wrongKind(let key, let expected): "the token's '\(key)' is not \(expected)"
        case .outOfRange(let key, let range): "the token's '\(key)' is not from \(range.lowerBound) to \(range.upperBound)"
        case .guessable(let count):
            "the token's keys can be guessed: they have fewer than \(count) bytes; make one with 'swiftlet token new'"
        case .tooNew(let version): "the token is of version \(version), which this program does not know: use a newer one"
        }
    }
}
