import Model

/// A small SentencePiece vocabulary: `<unk>`, `<s>`, `</s>`, all bytes, then what a test adds.
struct SyntheticVocabulary {
    var texts: [String] = ["<unk>", "<s>", "</s>"]
    var scores: [Float] = [0, 0, 0]
    var types: [Int32] = [2, 3, 3]

    init() {
        let digits = Array("0123456789ABCDEF")
        for byte in 0..<256 { add("<0x\(digits[byte >> 4])\(digits[byte & 15])>", type: 6) }
    }

    mutating func add(_ text: String, score: Float = 0, type: Int32 = 1) {
        texts.append(text)
        scores.append(score)
        types.append(type)
    }

    func make(_ declared: Vocabulary.Declaration = .init()) throws -> Vocabulary {
        try Vocabulary(tokens: try TokenTable(texts), scores: scores, types: types, declared: declared)
    }

    func tokenizer(_ declared: Vocabulary.Declaration = .init()) throws -> SentencePieceTokenizer {
        SentencePieceTokenizer(vocabulary: try make(declared))
    }
}
