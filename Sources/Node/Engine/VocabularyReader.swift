/// A model's vocabulary without the model. Calls block.
public protocol VocabularyReader: Sendable {
    var vocabularySize: Int { get }

    /// The token that the model wants in front of every text, if any.
    var beginToken: Int32? { get }

    /// As ``TextEngine/tokenize(_:addSpecial:parseSpecial:)``.
    func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) throws(EngineError) -> [Int32]

    /// As ``TextEngine/detokenize(_:)``.
    func detokenize(_ tokens: [Int32]) throws(EngineError) -> [UInt8]
}
