import GGUF
import Model

/// The vocabulary of a model's file, without its weights.
package struct FileVocabulary: VocabularyReader {
    private let tokenizer: any Tokenizer

    package init(path: String) throws {
        tokenizer = try Tokenizers.make(GGUFFile(path: path))
    }

    package var vocabularySize: Int { tokenizer.vocabulary.count }

    package var beginToken: Int32? { tokenizer.vocabulary.addBOS ? tokenizer.vocabulary.special.bos : nil }

    package func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) throws(EngineError) -> [Int32] {
        tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
    }

    package func detokenize(_ tokens: [Int32]) throws(EngineError) -> [UInt8] {
        if let wrong = tokens.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
            throw .invalidToken(wrong, vocabularySize: vocabularySize)
        }
        return tokenizer.pieces(of: tokens)
    }
}

/// Stands in for a vocabulary that a file lacks or that is not supported: says so when it is used.
struct MissingVocabulary: VocabularyReader {
    let vocabularySize: Int
    let reason: String

    var beginToken: Int32? { nil }

    func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) throws(EngineError) -> [Int32] {
        throw .unsupported(reason)
    }

    func detokenize(_ tokens: [Int32]) throws(EngineError) -> [UInt8] { throw .unsupported(reason) }
}

extension Tokenizer {
    /// What tokens add to a text, one behind the other, with the space that the first may begin with: so that the texts of parts make up
    /// the text of the whole.
    func pieces(of tokens: [Int32]) -> [UInt8] {
        var bytes: [UInt8] = []
        for token in tokens { appendPiece(of: token, renderSpecial: true, to: &bytes) }
        return bytes
    }
}
