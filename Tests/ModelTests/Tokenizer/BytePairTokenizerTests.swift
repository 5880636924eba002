import Model
import Testing

@Suite("Byte-pair tokenizer")
struct BytePairTokenizerTests {
    // MARK: Words

    private func words(_ text: String, _ name: String) throws -> [String] {
        let scalars = ScalarText(Array(text.utf8))
        var start = 0
        return try #require(PreTokenizer.named(name)).wordEnds(scalars).map { end in
            defer { start = end }
            return String(String.UnicodeScalarView(scalars.scalars[start..<end].compactMap { Unicode.Scalar($0) }))
        }
    }

    @Test("Each pre-tokenizer cuts contractions, numbers, signs, white space and letters as its model was trained to")
    func cutsWords() throws {
        let text = "I'll SAY'S  12345 (x!=y)\r\n\n  été\u{301} end  "
        #expect(
            try words(text, "gpt-2") == [
                "I", "'ll", " SAY", "'", "S", " ", " 12345", " (", "x", "!=", "y", ")", "\r\n\n ", " été", "\u{301}", " end", "  ",
            ])
        #expect(
            try words(text, "smollm") == [
                "I", "'ll", " SAY", "'", "S", "  ", "1", "2", "3", "4", "5", " (", "x", "!=", "y", ")", "\r\n\n ", " été", "\u{301}",
                " end", "  ",
            ])
        #expect(
            try words(text, "llama-bpe") == [
                "I", "'ll", " SAY", "'S", " ", " ", "123", "45", " (", "x", "!=", "y", ")\r\n\n", " ", " été", "\u{301}", " end", "  ",
            ])
        #expect(
            try words(text, "qwen2") == [
                "I", "'ll", " SAY", "'S", " ", " ", "1", "2", "3", "4", "5", " (", "x", "!=", "y", ")\r\n\n", " ", " été", "\u{301}",
                " end", "  ",
            ])
        #expect(try words(text, "qwen35").contains(" été\u{301}"))
        #expect(try words("a\n 漢字kana 1234 Ω ", "deepseek-llm") == ["a", "\n", " ", "漢字", "kana", " ", "1234", " Ω", " "])
        #expect(try words("x=12345.6", "default") == ["x", "=", "123", "45", ".", "6"])
    }

    @Test("Words cover every text, whatever is in it")
    func coversTexts() throws {
        var generator = SeededGenerator(seed: 5)
        let alphabet: [UInt32] = [
            0x20, 0x20, 0x0A, 0x0D, 0x27, 0x73, 0x4C, 0x31, 0x2E, 0x24, 0xE9, 0x301, 0x3000, 0x4E00, 0xFFFD, 0x1F600, 0xFF01, 0xA0,
        ]
        for name in PreTokenizer.names {
            let preTokenizer = try #require(PreTokenizer.named(name))
            for length in 0..<60 {
                let scalars = (0..<length).compactMap { _ in Unicode.Scalar(alphabet.randomElement(using: &generator) ?? 0x20) }
                let text = String(String.UnicodeScalarView(scalars))
                let ends = preTokenizer.wordEnds(ScalarText(Array(text.utf8)))
                #expect(ends.last ?? 0 == length)
                #expect(zip([0] + ends, ends).allSatisfy { $0 < $1 }, "\(name): \(text.debugDescription)")
            }
        }
    }

    @Test("Bytes that are no UTF-8 are a replacement character each, those of overlong forms too; surrogates are what they say")
    func readsBrokenText() {
        #expect(ScalarText([0x61, 0xC3, 0xA9, 0xFF, 0xE2, 0x82]).scalars == [0x61, 0xE9, 0xFFFD, 0xFFFD, 0xFFFD])
        #expect(ScalarText([0xED, 0xA0, 0x80, 0xC0, 0xAF, 0xF0, 0x9F, 0x98, 0x80]).scalars == [0xD800, 0xFFFD, 0xFFFD, 0x1F600])
        #expect(ScalarText([0xF4, 0x90, 0x80, 0x80]).scalars == [0xFFFD, 0xFFFD, 0xFFFD, 0xFFFD])
    }

    // MARK: Joining

    /// All bytes, then what merges make, in their order.
    private func tokenizer(
        _ merges: [(String, String)], controls: [String] = [], pre: String = "gpt-2", declared: Vocabulary.Declaration = .init(),
        leavingOut: Set<String> = []
    ) throws -> BytePairTokenizer {
        var texts = (0..<256).map { byte -> String in
            let visible = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
            if visible { return String(UnicodeScalar(UInt8(byte))) }
            let before = (0..<byte).filter { !((0x21...0x7E).contains($0) || (0xA1...0xAC).contains($0) || (0xAE...0xFF).contains($0)) }
                .count
            return Unicode.Scalar(UInt32(0x100 + before)).map { String(Character($0)) } ?? ""
        }
        for (left, right) in merges where !leavingOut.contains(left + right) { texts.append(left + right) }
        let types = [Int32](repeating: 1, count: texts.count) + controls.map { _ in 3 }
        let preTokenizer = try #require(PreTokenizer.named(pre))
        var declared = declared
        declared.preTokenizer = preTokenizer
        let vocabulary = try Vocabulary(
            kind: .bytePair, tokens: try TokenTable(texts + controls), scores: nil, types: types, declared: declared)
        let lines = merges.map { "\($0) \($1)" }.map { Array($0.utf8) }
        let blob = lines.flatMap { $0 }
        return try blob.withUnsafeBytes { all in
            var start = 0
            let views = lines.map { line in
                defer { start += line.count }
                return UnsafeRawBufferPointer(rebasing: all[start..<start + line.count])
            }
            return try BytePairTokenizer(vocabulary: vocabulary, preTokenizer: preTokenizer, merges: views, mergeCount: views.count)
        }
    }

    private func texts(_ tokens: [Int32], _ tokenizer: BytePairTokenizer) -> [String] { tokens.map { tokenizer.vocabulary.text(of: $0) } }

    @Test("The pair that joined first in training joins first, the leftmost among equals, and never across words")
    func mergesByRank() throws {
        let tokenizer = try tokenizer([("a", "b"), ("b", "c"), ("a", "a"), ("Ġ", "ab"), ("ab", "c")])
        func split(_ text: String) -> [String] { texts(tokenizer.encode(text, addSpecial: false, parseSpecial: false), tokenizer) }
        #expect(split("abc") == ["abc"])
        #expect(split("bbc") == ["b", "bc"])
        #expect(split("aaa") == ["aa", "a"])
        #expect(split("x ab") == ["x", "Ġab"])
        #expect(split("a'b") == ["a", "'", "b"])
        #expect(tokenizer.encode("", addSpecial: true, parseSpecial: true).isEmpty)
    }

    @Test("What comes of joining equals the definition, pair after pair")
    func equalsDefinition() throws {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<60 {
            var pieces = ["a", "b", "c", "d"]
            var merges: [(String, String)] = []
            for _ in 0..<14 {
                guard let left = pieces.randomElement(using: &generator), let right = pieces.randomElement(using: &generator),
                    !pieces.contains(left + right)
                else { continue }
                merges.append((left, right))
                pieces.append(left + right)
            }
            let tokenizer = try tokenizer(merges)
            for length in [1, 2, 7, 40] {
                let text = String((0..<length).map { _ in "abcd".randomElement(using: &generator) ?? "a" })
                var slow = text.map { String($0) }
                while let (at, _) = slow.indices.dropLast().compactMap({ at in
                    merges.firstIndex { $0.0 == slow[at] && $0.1 == slow[at + 1] }.map { (at, $0) }
                }).min(by: { ($0.1, $0.0) < ($1.1, $1.0) }) {
                    slow.replaceSubrange(at...at + 1, with: [slow[at] + slow[at + 1]])
                }
                #expect(texts(tokenizer.encode(text, addSpecial: false, parseSpecial: false), tokenizer) == slow)
            }
        }
    }

    @Test("A piece that merges make and the vocabulary lacks is written byte by byte")
    func fallsBackToBytes() throws {
        let tokenizer = try tokenizer([("a", "b"), ("ab", "c")], leavingOut: ["ab"])
        func split(_ text: String) -> [String] { texts(tokenizer.encode(text, addSpecial: false, parseSpecial: false), tokenizer) }
        #expect(split("abd") == ["a", "b", "d"])
        #expect(split("abc") == ["abc"])
        let bytes = Array("ünï\u{0}code 漢".utf8)
        let tokens = tokenizer.encode(bytes, addSpecial: false, parseSpecial: false)
        #expect(tokenizer.decode(tokens, removeSpecial: false, renderSpecial: false) == bytes)
    }

    @Test("Text that spells a control token never becomes one, not by joining and not as a whole word")
    func keepsStructureApart() throws {
        for pre in ["gpt-2", "llama-bpe"] {
            let tokenizer = try tokenizer([("e", "n"), ("en", "d")], controls: ["<|x|>", "end2"], pre: pre)
            #expect(texts(tokenizer.encode("<|x|>end", addSpecial: false, parseSpecial: true), tokenizer) == ["<|x|>", "end"])
            #expect(
                texts(tokenizer.encode("<|x|>end", addSpecial: false, parseSpecial: false), tokenizer) == ["<", "|", "x", "|", ">", "end"])
        }
        let spelled = try self.tokenizer([("e", "n")], controls: ["end"], pre: "llama-bpe")
        #expect(texts(spelled.encode("end", addSpecial: false, parseSpecial: false), spelled) == ["en", "d"])
        #expect(texts(spelled.encode("end", addSpecial: false, parseSpecial: true), spelled) == ["end"])
    }

    @Test("Marks of start and end are added where the file or the pre-tokenizer says so, and come off again")
    func marks() throws {
        func tokens(_ pre: String, _ declared: Vocabulary.Declaration) throws -> ([String], String) {
            let tokenizer = try tokenizer([], controls: ["<s>", "</s>"], pre: pre, declared: declared)
            let tokens = tokenizer.encode("a", addSpecial: true, parseSpecial: false)
            return (texts(tokens, tokenizer), tokenizer.text(of: tokens, renderSpecial: true))
        }
        let ids = Vocabulary.Declaration(bos: 256, eos: 257)
        #expect(try tokens("gpt-2", ids).0 == ["a"])
        #expect(try tokens("llama-bpe", ids).0 == ["<s>", "a"])
        #expect(try tokens("gpt-2", Vocabulary.Declaration(bos: 256, eos: 257, addBOS: true, addEOS: true)) == (["<s>", "a", "</s>"], "a"))
    }
}
