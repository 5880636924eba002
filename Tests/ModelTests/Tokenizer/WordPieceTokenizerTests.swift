import Model
import Testing

/// WordPiece vocabularies: how texts become words, and words tokens.
@Suite("WordPiece tokenizer")
struct WordPieceTokenizerTests {
    private static let texts = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able", "▁a", "▁caf", "e", "É", "▁,", "▁中", "ab", "▁ab", "#",
    ]

    private func tokenizer(lowersCase: Bool = true, stripsAccents: Bool = true) throws -> WordPieceTokenizer {
        let vocabulary = try Vocabulary(
            kind: .wordPiece, tokens: try TokenTable(Self.texts), scores: nil, types: (0..<Int32(Self.texts.count)).map { $0 < 4 ? 3 : 1 },
            declared: .init(bos: 2, unknown: 1, separator: 3, padding: 0))
        return WordPieceTokenizer(vocabulary: vocabulary, lowersCase: lowersCase, stripsAccents: stripsAccents)
    }

    private func pieces(_ text: String, _ tokenizer: WordPieceTokenizer, addSpecial: Bool = false, parseSpecial: Bool = false) -> [String] {
        tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial).map { Self.texts[Int($0)] }
    }

    @Test("The longest token from the left, and one unknown token for a word that some part has none for")
    func longestFromTheLeft() throws {
        let tokenizer = try tokenizer()
        #expect(pieces("unaffable", tokenizer) == ["▁un", "aff", "able"])
        #expect(pieces("ab a", tokenizer) == ["▁ab", "▁a"])
        #expect(pieces("unaffx un", tokenizer) == ["[UNK]", "▁un"])
        #expect(pieces("  ", tokenizer).isEmpty)
    }

    @Test("Punctuation and Chinese characters are words of their own, controls are nothing, and unassigned scalars make words unknown")
    func words() throws {
        let tokenizer = try tokenizer()
        #expect(pieces("un,a中un", tokenizer) == ["▁un", "▁,", "▁a", "▁中", "▁un"])
        #expect(pieces("u\u{200B}n\u{0}aff", tokenizer) == ["▁un", "aff"])
        #expect(pieces("un\u{378}", tokenizer) == ["[UNK]"])
        #expect(pieces("un\u{3000}a", tokenizer) == ["▁un", "▁a"])
    }

    @Test("Case and accents go where the vocabulary knows none, composed or not, and stay where it does")
    func letters() throws {
        #expect(pieces("CAFÉ caf\u{65}\u{301}", try tokenizer()) == ["▁caf", "e", "▁caf", "e"])
        #expect(pieces("cafÉ Cafe", try tokenizer(lowersCase: false, stripsAccents: false)) == ["▁caf", "É", "[UNK]"])
    }

    @Test("Texts are marked at both ends; marks written out are text unless they may be marks")
    func marks() throws {
        let tokenizer = try tokenizer()
        #expect(pieces("a", tokenizer, addSpecial: true) == ["[CLS]", "▁a", "[SEP]"])
        #expect(pieces("", tokenizer, addSpecial: true) == ["[CLS]", "[SEP]"])
        #expect(pieces("a[SEP]a", tokenizer, parseSpecial: true) == ["▁a", "[SEP]", "▁a"])
        #expect(!pieces("a[SEP]a", tokenizer).contains("[SEP]"))
        #expect(tokenizer.text(of: tokenizer.encode("unaffable, a", addSpecial: true, parseSpecial: false)) == "unaffable , a")
    }

    @Test("A vocabulary without a separator is refused")
    func noSeparator() throws {
        #expect(throws: VocabularyError.missingSpecialToken(key: "sep")) {
            try Vocabulary(
                kind: .wordPiece, tokens: try TokenTable(["[CLS]", "[UNK]"]), scores: nil, types: nil,
                declared: .init(bos: 0, unknown: 1))
        }
    }
}
