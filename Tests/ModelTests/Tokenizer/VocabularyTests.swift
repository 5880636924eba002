import Model
import Testing

@Suite("Vocabulary")
struct VocabularyTests {
    @Test("Texts are found by id and ids by text, also after the table has grown many times")
    func tableFindsEverything() throws {
        var table = TokenTable()
        for number in 0..<5000 { try table.append(Array("token \(number)".utf8)) }
        #expect(table.count == 5000)
        for number in stride(from: 0, to: 5000, by: 7) {
            #expect(table.find("token \(number)") == Int32(number))
            #expect(table.bytes(of: Int32(number)) == Array("token \(number)".utf8))
        }
        #expect(table.find("token 5000") == nil)
        #expect(table.find("") == nil)
        #expect(table.bytes(of: -1).isEmpty)
        #expect(table.bytes(of: 5000).isEmpty)
    }

    @Test("An empty text gets a name of its own, as other readers give it")
    func emptyTextIsNamed() throws {
        let table = try TokenTable(["a", ""])
        #expect(table.bytes(of: 1) == Array("[EMPTY_1]".utf8))
    }

    @Test("Of tokens with one text the last is found, also after the table has grown")
    func duplicates() throws {
        var table = try TokenTable(["a", "b", "a"])
        #expect(table.find("a") == 2)
        #expect(table.duplicates == [2])
        for number in 0..<100 { try table.append(Array("token \(number)".utf8)) }
        #expect(table.find("a") == 2)
        #expect(table.bytes(of: 0) == Array("a".utf8))
    }

    @Test("Broken declarations are named, not crashed on")
    func brokenDeclarations() throws {
        #expect(throws: VocabularyError.empty) { try Vocabulary(tokens: TokenTable(), scores: nil, types: nil) }
        let three = try TokenTable(["a", "b", "c"])
        #expect(throws: VocabularyError.arrayTooShort(key: "tokenizer.ggml.scores", count: 2, tokens: 3)) {
            try Vocabulary(tokens: three, scores: [0, 0], types: nil)
        }
        #expect(throws: VocabularyError.arrayTooShort(key: "tokenizer.ggml.token_type", count: 0, tokens: 3)) {
            try Vocabulary(tokens: three, scores: nil, types: [])
        }
        #expect(throws: VocabularyError.scoreNotANumber(id: 1)) {
            try Vocabulary(tokens: three, scores: [0, .nan, 0], types: nil)
        }
        #expect(throws: VocabularyError.malformedByteToken(id: 2)) {
            try Vocabulary(tokens: three, scores: nil, types: [1, 1, 6])
        }
        #expect(throws: VocabularyError.missingSpecialToken(key: "bos")) {
            try Vocabulary(tokens: try TokenTable(["a"]), scores: nil, types: nil)
        }
    }

    @Test("An id that says \"none\" or points outside falls back to the default, with a warning")
    func idsOutsideFallBack() throws {
        let vocabulary = try SyntheticVocabulary().make(.init(bos: 4_000_000, eos: 2, padding: .max))
        #expect(vocabulary.special.bos == 1)
        #expect(vocabulary.special.eos == 2)
        #expect(vocabulary.special.padding == nil)
        #expect(vocabulary.warnings.count == 2)
    }

    @Test("Ends of turns are known by their text, even where the file calls them ordinary")
    func endsAreRecognised() throws {
        var synthetic = SyntheticVocabulary()
        synthetic.add("<end_of_turn>", type: 1)
        let vocabulary = try synthetic.make()
        let end = try #require(vocabulary.tokens.find("<end_of_turn>"))
        #expect(vocabulary.special.eot == end)
        #expect(vocabulary.isEndOfGeneration(end))
        #expect(vocabulary.isEndOfGeneration(2))
        #expect(!vocabulary.isEndOfGeneration(1))
        #expect(vocabulary.attributes(of: end).contains(.control))
    }
}
