import Model
import Testing

@Suite("SentencePiece tokenizer")
struct SentencePieceTokenizerTests {
    private func ids(_ tokenizer: SentencePieceTokenizer, _ texts: [String]) throws -> [Int32] {
        try texts.map { try #require(tokenizer.vocabulary.tokens.find($0), "no token \($0)") }
    }

    @Test("The best-scored pair merges first, the leftmost among equals")
    func mergesByScore() throws {
        var synthetic = SyntheticVocabulary()
        for (text, score) in [("a", -9), ("b", -9), ("▁", -9), ("ab", -2), ("ba", -1), ("aa", -3), ("▁ab", -4)] as [(String, Float)] {
            synthetic.add(text, score: score)
        }
        let tokenizer = try synthetic.tokenizer(.init(addSpacePrefix: false))
        func split(_ text: String) -> [Int32] { tokenizer.encode(text, addSpecial: false, parseSpecial: false) }
        #expect(split("aba") == (try ids(tokenizer, ["a", "ba"])))
        #expect(split("aaa") == (try ids(tokenizer, ["aa", "a"])))
        #expect(split(" ab") == (try ids(tokenizer, ["▁ab"])))
        let prefixing = try synthetic.tokenizer()
        #expect(prefixing.encode("ab", addSpecial: true, parseSpecial: false) == [1] + (try ids(prefixing, ["▁ab"])))
        #expect(prefixing.encode("", addSpecial: true, parseSpecial: false) == [1])
    }

    @Test("What no token covers becomes bytes, whether it is UTF-8 or not")
    func fallsBackToBytes() throws {
        let tokenizer = try SyntheticVocabulary().tokenizer(.init(addSpacePrefix: false))
        let bytes: [UInt8] = [0x61, 0xC3, 0xA9, 0xFF, 0xE2, 0x82]
        #expect(tokenizer.encode(bytes, addSpecial: false, parseSpecial: false) == bytes.map { 3 + Int32($0) })
        #expect(tokenizer.decode(bytes.map { 3 + Int32($0) }, removeSpecial: false, renderSpecial: false) == bytes)
    }

    @Test("Control tokens are parsed on request only, user-defined ones always, the longest first")
    func partitionsSpecialTokens() throws {
        var synthetic = SyntheticVocabulary()
        for character in "<>xy ▁" { synthetic.add(String(character), score: -9) }
        synthetic.add("<x>", type: 3)
        synthetic.add("<x><y>", type: 3)
        synthetic.add("yy", type: 4)
        let tokenizer = try synthetic.tokenizer(.init(addSpacePrefix: false))
        func split(_ text: String, _ parse: Bool) -> [Int32] { tokenizer.encode(text, addSpecial: false, parseSpecial: parse) }
        #expect(split("<x><x><y>x", true) == (try ids(tokenizer, ["<x>", "<x><y>", "x"])))
        #expect(split("<x>", false) == (try ids(tokenizer, ["<", "x", ">"])))
        #expect(split("yyy", false) == (try ids(tokenizer, ["yy", "y"])))
        let prefixing = try synthetic.tokenizer()
        #expect(prefixing.encode("x<x>y", addSpecial: false, parseSpecial: true) == (try ids(prefixing, ["▁", "x", "<x>", "▁", "y"])))
    }

    @Test("Phi-3's special tokens swallow the white space after them")
    func stripsWhiteSpace() throws {
        var synthetic = SyntheticVocabulary()
        for character in "ab▁" { synthetic.add(String(character), score: -9) }
        synthetic.add("<|end|>", type: 3)
        let tokenizer = try synthetic.tokenizer(.init(addSpacePrefix: false, modelName: "Phi3"))
        let split = tokenizer.encode("a <|end|> \n b", addSpecial: false, parseSpecial: true)
        #expect(split == (try ids(tokenizer, ["a", "▁", "<|end|>", "b"])))
    }

    /// Splits by looking at every pair again after every merge: slow, but plainly the definition.
    private func splitSlowly(_ text: String, _ vocabulary: Vocabulary) -> [Int32] {
        var pieces = text.replacing(" ", with: "▁").unicodeScalars.map { String(Character($0)) }
        while true {
            var best: (score: Float, index: Int)?
            for index in pieces.indices.dropLast() {
                guard let token = vocabulary.tokens.find(pieces[index] + pieces[index + 1]) else { continue }
                let score = vocabulary.scores[Int(token)]
                if best.map({ score > $0.score }) ?? true { best = (score, index) }
            }
            guard let best else { break }
            pieces[best.index] += pieces.remove(at: best.index + 1)
        }
        return pieces.flatMap { piece in vocabulary.tokens.find(piece).map { [$0] } ?? piece.utf8.map { 3 + Int32($0) } }
    }

    @Test("The heap gives what a slow search for the best pair gives, on random vocabularies and texts")
    func agreesWithSlowSplitting() throws {
        var generator = SeededGenerator(seed: 1)
        let alphabet = ["a", "b", "é", " ", "漢"]
        for _ in 0..<60 {
            var synthetic = SyntheticVocabulary()
            // Without a token for it a space would come back as the three bytes that it is escaped to.
            var texts: Set<String> = ["▁"]
            for _ in 0..<30 {
                let length = Int.random(in: 1...5, using: &generator)
                texts.insert((0..<length).map { _ in alphabet.randomElement(using: &generator)! }.joined().replacing(" ", with: "▁"))
            }
            for text in texts.sorted() { synthetic.add(text, score: Float(Int.random(in: -9...0, using: &generator))) }
            let tokenizer = try synthetic.tokenizer(.init(addSpacePrefix: false))
            for _ in 0..<20 {
                let length = Int.random(in: 1...60, using: &generator)
                let text = (0..<length).map { _ in alphabet.randomElement(using: &generator)! }.joined()
                let split = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
                #expect(split == splitSlowly(text, tokenizer.vocabulary))
                #expect(tokenizer.decode(split, removeSpecial: false, renderSpecial: false) == Array(text.utf8))
            }
        }
    }

    /// Cuts one token after another out of the text, the longest first: the definition.
    private func partitionSlowly(_ text: String, _ specials: [(text: String, id: Int32)]) -> [(text: String, id: Int32?)] {
        var fragments: [(text: String, id: Int32?)] = [(text, nil)]
        for special in specials.sorted(by: { $0.text.utf8.count > $1.text.utf8.count }) {
            fragments = fragments.flatMap { fragment -> [(text: String, id: Int32?)] in
                guard fragment.id == nil else { return [fragment] }
                let parts = fragment.text.split(separator: special.text, omittingEmptySubsequences: false)
                return parts.enumerated().flatMap { index, part -> [(text: String, id: Int32?)] in
                    (index > 0 ? [(special.text, special.id)] : []) + (part.isEmpty ? [] : [(String(part), nil)])
                }
            }
        }
        return fragments
    }

    @Test("The partition gives what cutting out one token after another gives, overlaps included")
    func agreesWithSlowPartition() throws {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<100 {
            var synthetic = SyntheticVocabulary()
            for character in "abc" { synthetic.add(String(character), score: -9) }
            var lengths = Set<Int>()
            var specials: [(text: String, id: Int32)] = []
            for _ in 0..<4 {
                // Of different lengths: among equal ones the order is a matter of convention.
                let length = Int.random(in: 2...7, using: &generator)
                guard lengths.insert(length).inserted else { continue }
                let text = (0..<length).map { _ in "abc".randomElement(using: &generator)! }
                specials.append((String(text), Int32(synthetic.texts.count)))
                synthetic.add(String(text), type: 4)
            }
            let tokenizer = try synthetic.tokenizer(.init(addSpacePrefix: false))
            let length = Int.random(in: 1...80, using: &generator)
            let text = String((0..<length).map { _ in "abc".randomElement(using: &generator)! })
            let wanted = partitionSlowly(text, specials).flatMap { fragment in
                fragment.id.map { [$0] } ?? tokenizer.encode(fragment.text, addSpecial: false, parseSpecial: false)
            }
            #expect(tokenizer.encode(text, addSpecial: false, parseSpecial: false) == wanted)
        }
    }

    @Test("A control token counts only where all of it is outside of what is plain; text is split across the borders")
    func plainRanges() throws {
        var synthetic = SyntheticVocabulary()
        for character in "<>xy ▁" { synthetic.add(String(character), score: -9) }
        synthetic.add("<x>", type: 3)
        synthetic.add("<x><y>", type: 3)
        synthetic.add("yy", type: 4)
        synthetic.add("xx", score: -1)
        // Joined by and by, plain text must not come to be a control token either.
        synthetic.add("<x", score: -1)
        let tokenizer = try synthetic.tokenizer(.init(addSpacePrefix: false))
        func split(_ text: String, _ plain: [Range<Int>]) -> [Int32] { tokenizer.encode(text, addSpecial: false, plain: plain) }
        #expect(split("<x><x>", [0..<3]) == (try ids(tokenizer, ["<x", ">", "<x>"])))
        #expect(split("<x><x>", [3..<6]) == (try ids(tokenizer, ["<x>", "<x", ">"])))
        for plain in [[0..<1], [1..<2], [2..<3], [0..<3], [0..<1, 2..<3], [-5..<99]] {
            #expect(split("<x>", plain) == (try ids(tokenizer, ["<x", ">"])), "\(plain)")
        }
        #expect(split("<x>", [7..<9]) == (try ids(tokenizer, ["<x>"])))
        // A shorter token that is wholly outside still counts where a longer one is not.
        #expect(split("<x><y>", [4..<6]) == (try ids(tokenizer, ["<x>", "<", "y", ">"])))
        #expect(split("<x><y>", []) == (try ids(tokenizer, ["<x><y>"])))
        // What is ordinary text does not see borders.
        #expect(split("xxyy", [1..<3]) == (try ids(tokenizer, ["xx", "yy"])))
    }

    @Test("Decoding takes off what encoding put on")
    func decodesWhatItEncodes() throws {
        var synthetic = SyntheticVocabulary()
        for text in ["a", "b", "▁", "▁a", "ab"] { synthetic.add(text, score: -1) }
        let tokenizer = try synthetic.tokenizer()
        let tokens = tokenizer.encode("ab a", addSpecial: false, parseSpecial: false)
        #expect(tokenizer.text(of: tokens) == "ab a")
        #expect(tokenizer.piece(of: 1).isEmpty)
        #expect(tokenizer.piece(of: 1, renderSpecial: true) == Array("<s>".utf8))
        #expect(tokenizer.piece(of: -5).isEmpty)
        #expect(tokenizer.piece(of: .max).isEmpty)
    }
}
