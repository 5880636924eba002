public import GGUF

/// The tokenizers there are, by what a file says of its vocabulary.
public enum Tokenizers {
    /// - Throws: ``ModelError`` where the file has no tokenizer, a broken one, or one that is not here yet.
    public static func make(_ file: GGUFFile) throws(ModelError) -> any Tokenizer {
        let vocabulary = try Vocabulary(file)
        switch vocabulary.kind {
        case .sentencePiece: return SentencePieceTokenizer(vocabulary: vocabulary)
        case .bytePair: return try BytePairTokenizer(file, vocabulary)
        }
    }
}

extension BytePairTokenizer {
    /// With the merges of the file that the vocabulary is from.
    fileprivate init(_ file: GGUFFile, _ vocabulary: Vocabulary) throws(ModelError) {
        let key = "tokenizer.ggml.merges"
        guard case .array(let merges) = file.metadata[key], let lines = merges.strings else {
            throw ModelError(.metadata, "\(file.path): \"\(key)\" is missing, or no array of strings")
        }
        let preTokenizer = try PreTokenizer(file)
        do throws(VocabularyError) {
            try self.init(vocabulary: vocabulary, preTokenizer: preTokenizer, merges: lines, mergeCount: merges.count)
        } catch {
            throw ModelError(.metadata, "\(file.path): the vocabulary is broken: \(error)")
        }
    }
}
