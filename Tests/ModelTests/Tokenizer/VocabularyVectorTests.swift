import Foundation
import GGUF
import Model
import TestSupport
import Testing

/// The vectors that come with the reference's vocabularies: texts, and the tokens they should give.
@Suite("Vocabularies' vectors")
struct VocabularyVectorTests {
    @Test(
        "Every text of the vectors gives the tokens that it should",
        arguments: [
            "llama-spm", "phi-3", "gpt-2", "llama-bpe", "qwen2", "qwen35", "deepseek-llm", "deepseek-coder", "falcon", "starcoder",
            "refact",
            "command-r", "mpt", "bert-bge",
        ])
    func vectors(_ name: String) throws {
        guard let file = ExternalData.find("vocab/ggml-vocab-\(name).gguf"),
            let inputs = ExternalData.find("vocab/ggml-vocab-\(name).gguf.inp"),
            let outputs = ExternalData.find("vocab/ggml-vocab-\(name).gguf.out")
        else { return }
        let tokenizer = try Tokenizers.make(try GGUFFile(path: file.path))
        let separator = "\n__ggml_vocab_test__\n"
        let texts = String(decoding: try Data(contentsOf: inputs), as: UTF8.self).components(separatedBy: separator)
        let lines = String(decoding: try Data(contentsOf: outputs), as: UTF8.self).components(separatedBy: "\n")
        #expect(texts.count > 40)
        for (text, line) in zip(texts, lines) {
            let wanted = line.split(separator: " ").compactMap { Int32($0) }
            #expect(tokenizer.encode(text, addSpecial: false, parseSpecial: false) == wanted, "\(text.debugDescription)")
            // Capitals and the number of spaces do not survive words of this kind.
            if tokenizer.vocabulary.kind == .wordPiece { continue }
            // The space that was put in front comes off again, and nothing else changes.
            #expect(tokenizer.decode(wanted, removeSpecial: false, renderSpecial: true) == Array(text.utf8))
        }
    }

    @Test("Gemma's vocabulary of 262,144 tokens: marks, ends, and texts that survive a round trip")
    func gemma() throws {
        guard let file = ExternalData.find("models/gemma-3-270m-q4_k_m.gguf") else { return }
        let tokenizer = try Tokenizers.make(try GGUFFile(path: file.path))
        let vocabulary = tokenizer.vocabulary
        #expect(vocabulary.count == 262_144)
        #expect(vocabulary.special.bos == 2)
        #expect(vocabulary.endOfGeneration.map(vocabulary.text(of:)).contains("<end_of_turn>"))
        #expect(tokenizer.encode("Hello, world!", addSpecial: true, parseSpecial: false) == [2, 9259, 236764, 1902, 236888])
        let text = "<start_of_turn>user\n  Ünïcödé\t漢字 😀\n\n\n<b>x</b>\u{0}"
        let tokens = tokenizer.encode(text, addSpecial: true, parseSpecial: true)
        #expect(tokenizer.decode(tokens, removeSpecial: true, renderSpecial: true) == Array(text.utf8))
    }
}
