import Foundation
import GGUF
import Model
import TestSupport
import Testing

/// What other converters write: values of another type than the usual, figures that contradict each other, tokens twice.
@Suite struct OddMetadataTests {
    private static let texts = [
        "<unk>", "<s>", "</s>", "▁", "h", "e", "l", "o", "he", "hel", "hell", "hello", "▁hello",
    ]
    private static let scores: [Float] = [0, 0, 0, -50, -49, -48, -47, -46, -40, -30, -20, -10, -5]

    /// A model of one layer with the vocabulary above, changed.
    private func draft(_ change: (inout ModelDraft) -> Void) -> ModelDraft {
        let figures = ModelFigures { ($0.vocabulary, $0.layers) = (OddMetadataTests.texts.count, 1) }
        var random = SeededRandom(seed: 5)
        var draft = figures.draft(.f32, &random)
        draft.set(own: "vocab_size", nil)
        draft.set("tokenizer.ggml.model", .string("llama"))
        draft.set("tokenizer.ggml.tokens", .array(.string, OddMetadataTests.texts.map { .string($0) }))
        draft.set("tokenizer.ggml.scores", .array(.float32, OddMetadataTests.scores.map { .float32($0) }))
        draft.set("tokenizer.ggml.token_type", .array(.int32, OddMetadataTests.texts.indices.map { .int32($0 == 0 ? 2 : $0 < 3 ? 3 : 1) }))
        change(&draft)
        return draft
    }

    private func reading<Value>(_ draft: ModelDraft, _ body: (GGUFFile) throws -> Value) throws -> Value {
        let path = FileManager.default.temporaryDirectory.appending(path: "odd-\(UUID().uuidString).gguf").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try draft.write(to: path)
        return try body(GGUFFile(path: path))
    }

    private func tokens(_ draft: ModelDraft) throws -> [Int32] {
        try reading(draft) { try Tokenizers.make($0).encode(Array("hello".utf8), addSpecial: true, parseSpecial: false) }
    }

    @Test("numbers of another type count where nothing is lost, in the tokenizer's keys and the model's")
    func converted() throws {
        #expect(try tokens(draft { _ in }) == [1, 12])
        #expect(
            try tokens(draft { $0.set("tokenizer.ggml.scores", .array(.int32, OddMetadataTests.scores.map { .int32(Int32($0)) })) }) == [
                1, 12,
            ])
        #expect(try tokens(draft { $0.set("tokenizer.ggml.add_bos_token", .uint32(0)) }) == [12])
        #expect(try tokens(draft { $0.set("tokenizer.ggml.add_bos_token", .int64(1)) }) == [1, 12])
        #expect(try tokens(draft { $0.set("tokenizer.ggml.bos_token_id", .float32(2)) }) == [2, 12])
        // None at all, as some converters write it.
        #expect(try tokens(draft { $0.set("tokenizer.ggml.bos_token_id", .int32(-1)) }) == [1, 12])
        let outline = try reading(
            draft {
                $0.set(own: "embedding_length", .float32(32))
                $0.set(own: "attention.layer_norm_rms_epsilon", .uint8(1))
                $0.set(own: "rope.freq_base", .uint64(10000))
            }
        ) { try ModelOutline($0) }
        #expect(outline.hyperparameters.embeddingLength == 32)
    }

    @Test(
        "what cannot be converted is an error that says the key, what stands there and what was expected",
        arguments: [
            ("tokenizer.ggml.scores", GGUFWriter.Value.array(.string, [.string("1")]), "float32"),
            ("tokenizer.ggml.scores", .array(.int32, [.int32(16_777_217)]), "float32"),
            ("tokenizer.ggml.token_type", .string("1"), "array of Int32"),
            ("tokenizer.ggml.add_bos_token", .string("true"), "bool"),
            ("tokenizer.ggml.add_bos_token", .uint32(2), "bool"),
            ("tokenizer.ggml.eos_token_id", .string("2"), "Int"),
            ("tokenizer.ggml.model", .uint32(1), "string"),
            ("tokenizer.ggml.tokens", .array(.int32, [.int32(1)]), "array of strings"),
            ("general.name", .float32(1), "string"),
        ])
    func refused(_ key: String, _ value: GGUFWriter.Value, _ wanted: String) throws {
        let error = #expect(throws: ModelError.self) { try tokens(draft { $0.set(key, value) }) }
        #expect(error?.code == .metadata)
        #expect(error?.message.contains("\"\(key)\" is ") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains(wanted) == true, "\(error?.message ?? "")")
    }

    @Test(
        "so is a model's own key",
        arguments: [
            ("embedding_length", GGUFWriter.Value.string("32"), "the string \"32\""),
            ("embedding_length", .float32(32.5), "the float32 32.5"),
            ("rope.freq_base", .string("1e4"), "the string \"1e4\""),
        ])
    func refusedFigures(_ key: String, _ value: GGUFWriter.Value, _ found: String) throws {
        let error = #expect(throws: ModelError.self) {
            try reading(draft { $0.set(own: key, value) }) { _ = try ModelOutline($0) }
        }
        #expect(error?.message.contains("\"llama.\(key)\" is \(found), not a") == true, "\(error?.message ?? "")")
    }

    @Test("a figure for the vocabulary that is not the length of the token list gives way to it, with a warning")
    func vocabularySize() throws {
        let count = OddMetadataTests.texts.count
        for figure in [count - 1, count + 1] {
            let h = try reading(draft { $0.set(own: "vocab_size", .uint32(UInt32(figure))) }) { try ModelOutline($0).hyperparameters }
            #expect(h.vocabularySize == count)
            #expect(h.warnings.count == 1)
            #expect(h.warnings.first?.contains("\(figure)") == true)
        }
        #expect(try reading(draft { _ in }) { try ModelOutline($0).hyperparameters.warnings } == [])
    }

    @Test("a token that is there twice is found by its last id, and has a text under each; the file loads with a warning")
    func duplicates() throws {
        let twice = draft { draft in
            draft.set("tokenizer.ggml.tokens", .array(.string, (OddMetadataTests.texts + ["▁hello"]).map { .string($0) }))
            draft.set("tokenizer.ggml.scores", .array(.float32, (OddMetadataTests.scores + [-5]).map { .float32($0) }))
            draft.set("tokenizer.ggml.token_type", nil)
        }
        try reading(twice) { file in
            let tokenizer = try Tokenizers.make(file)
            #expect(tokenizer.encode(Array("hello".utf8), addSpecial: false, parseSpecial: false) == [13])
            #expect(tokenizer.vocabulary.text(of: 12) == "▁hello")
            #expect(tokenizer.vocabulary.warnings.count { $0.contains("13") } == 1)
        }
    }

    @Test("an architecture that is not here is told with all that are, those that make vectors too")
    func unknownArchitecture() throws {
        let error = #expect(throws: ModelError.self) {
            try reading(draft { $0.set("general.architecture", .string("clip")) }) { _ = try ModelOutline($0) }
        }
        #expect(error?.message.contains("bert") == true)
        #expect(error?.message.contains("llama") == true)
    }
}
