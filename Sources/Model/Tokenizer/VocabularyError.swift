/// What can be wrong with a vocabulary as a model file declares it.
public enum VocabularyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no token at all.
    case empty
    /// More tokens than an `Int32` counts, or more than 4 GiB of text.
    case tooLarge
    /// A per-token array is shorter than the list of tokens.
    case arrayTooShort(key: String, count: Int, tokens: Int)
    /// A score is not a number, so tokens could not be ordered by it.
    case scoreNotANumber(id: Int)
    /// A token marked as a single byte does not read `<0xHH>`.
    case malformedByteToken(id: Int)
    /// The vocabulary asks for a token to be added to every text, but names none that exists.
    case missingSpecialToken(key: String)

    public var description: String {
        switch self {
        case .empty: "the vocabulary has no tokens"
        case .tooLarge: "the vocabulary has more tokens or text than can be addressed"
        case .arrayTooShort(let key, let count, let tokens): "\(key) has \(count) entries for \(tokens) tokens"
        case .scoreNotANumber(let id): "the score of token \(id) is not a number"
        case .malformedByteToken(let id): "token \(id) is marked as a byte but is not written <0xHH>"
        case .missingSpecialToken(let key): "texts are to be marked with \(key), but there is no such token"
        }
    }
}
