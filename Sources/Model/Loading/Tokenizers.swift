public import GGUF

/// The tokenizers there are, by what a file says of its vocabulary.
public enum Tokenizers {
    /// Whether there is one for a file, which is found without reading its vocabulary.
    ///
    /// - Throws: ``ModelError`` where there is none.
    public static func check(_ file: GGUFFile) throws(ModelError) {
        if try Vocabulary.Kind(file) == .bytePair { _ = try PreTokenizer(file) }
    }

    /// - Throws: ``ModelError`` where the file has no tokenizer, a broken one, or one that is not here yet.
    public static func make(_ file: GGUFFile) throws(ModelError) -> any Tokenizer {
        let vocabulary = try Vocabulary(file)
        switch vocabulary.kind {
        case .sentencePiece: return SentencePieceTokenizer(vocabulary: vocabulary)
        case .bytePair: return try BytePairTokenizer(file, vocabulary)
        case .wordPiece: return try WordPieceTokenizer(file, vocabulary)
        }
    }
}

extension BytePairTokenizer {
    /// With the merges of the file that the vocabulary is from.
    fileprivate init(_ file: GGUFFile, _ vocabulary: Vocabulary) throws(ModelError) {
        let key = "tokenizer.ggml.merges"
        guard let merges = try ModelError.checked(file.stringsIfPresent(key)), let lines = merges.strings else {
            throw ModelError(.metadata, "\(file.path): \"\(key)\" is missing")
        }
        let preTokenizer = try PreTokenizer(file)
        do throws(VocabularyError) {
            try self.init(vocabulary: vocabulary, preTokenizer: preTokenizer, merges: lines, mergeCount: merges.count)
        } catch {
            throw ModelError(.metadata, "\(file.path): the vocabulary is broken: \(error)")
        }
    }
}

extension WordPieceTokenizer {
    /// With what the file says of letters.
    fileprivate init(_ file: GGUFFile, _ vocabulary: Vocabulary) throws(ModelError) {
        func flag(_ key: String) throws(ModelError) -> Bool? {
            try ModelError.checked(file.boolIfPresent("tokenizer.ggml.normalizer.\(key)"))
        }
        let lowersCase = try flag("lowercase") ?? true
        // Who keeps capitals keeps accents, if nothing else is said.
        self.init(vocabulary: vocabulary, lowersCase: lowersCase, stripsAccents: try flag("strip_accents") ?? lowersCase)
    }
}
