import Model
import Testing

@Suite("Streaming decoder")
struct StreamingDecoderTests {
    @Test("The parts put together are the whole, whatever bytes come; characters are never cut")
    func partsMakeTheWhole() throws {
        let tokenizer = try SyntheticVocabulary().tokenizer(.init(addSpacePrefix: false))
        var generator = SeededGenerator(seed: 3)
        let interesting: [UInt8] = [
            0x41, 0x80, 0xBF, 0xC2, 0xC0, 0xE0, 0xA0, 0xE2, 0x82, 0xAC, 0xED, 0xF0, 0x9F, 0x98, 0x80, 0xF4, 0x90, 0xFF,
        ]
        for _ in 0..<2000 {
            let length = Int.random(in: 0...12, using: &generator)
            let bytes = (0..<length).map { _ in interesting.randomElement(using: &generator)! }
            var decoder = StreamingDecoder(tokenizer: tokenizer)
            var parts = bytes.map { decoder.append(3 + Int32($0)) }
            parts.append(decoder.finish())
            #expect(parts.joined() == String(decoding: bytes, as: UTF8.self), "\(bytes)")
        }
    }

    @Test("A character comes out with its last byte, and not before")
    func waitsForWholeCharacters() throws {
        let tokenizer = try SyntheticVocabulary().tokenizer()
        var decoder = StreamingDecoder(tokenizer: tokenizer)
        #expect(Array("é😀".utf8).map { decoder.append(3 + Int32($0)) } == ["", "é", "", "", "", "😀"])
        #expect(decoder.append(3 + 0xE2) == "")
        #expect(decoder.finish() == "\u{FFFD}")
        #expect(decoder.finish() == "")
    }

    @Test("Control tokens are shown on request only")
    func rendersControlTokens() throws {
        let tokenizer = try SyntheticVocabulary().tokenizer()
        var hiding = StreamingDecoder(tokenizer: tokenizer)
        var showing = StreamingDecoder(tokenizer: tokenizer, renderSpecial: true)
        #expect(hiding.append(2) == "")
        #expect(showing.append(2) == "</s>")
    }
}
