public import GGUF

/// The tokenizers there are, by what a file says of its vocabulary.
public enum Tokenizers {
    /// - Throws: ``ModelError`` where the file has no tokenizer, a broken one, or one that is not here yet.
    public static func make(_ file: GGUFFile) throws(ModelError) -> any Tokenizer {
        let vocabulary = try Vocabulary(file)
        switch vocabulary.kind {
        case .sentencePiece: return SentencePieceTokenizer(vocabulary: vocabulary)
        }
    }
}
