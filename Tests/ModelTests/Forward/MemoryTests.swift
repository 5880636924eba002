import Foundation
import GGUF
import Kernels
import Model
import TestSupport
import Testing

/// That what layers remember of a text does not depend on how the text came: rings of sliding windows, states of recurrences and their
/// copies.
@Suite struct MemoryTests {
    private static func withPass(
        _ architecture: String, window: Int = 0, contextLength: Int, _ body: (ForwardPass) throws -> Void
    ) throws {
        var random = SeededRandom(seed: 23)
        var figures = ModelFigures()
        figures.architecture = architecture
        figures.layers = 3
        figures.vocabulary = 100
        figures.slidingWindow = window
        let path = FileManager.default.temporaryDirectory.appending(path: "memory-\(UUID().uuidString).gguf").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try figures.draft(.f32, &random).write(to: path)
        let backend = try CPUBackend(threads: 2)
        let model = try LanguageModel(try GGUFFile(path: path), on: backend)
        try body(try ForwardPass(model, on: backend, slotCount: 3, contextLength: contextLength))
    }

    private static func tokens(_ count: Int, seed: Int = 0) -> [Int32] { (0..<count).map { Int32(($0 * 37 + $0 * $0 * 11 + seed) % 100) } }

    /// The last logits of a text that goes into a slot in pieces of a size, beside another text or alone.
    private static func last(
        _ tokens: [Int32], slot: Int, by size: Int, beside: Bool, in pass: ForwardPass
    ) throws -> [UInt32] {
        var found: [UInt32] = []
        for start in stride(from: 0, to: tokens.count, by: size) {
            let end = min(start + size, tokens.count)
            var pieces = [BatchPiece(slot: slot, firstPosition: start, tokens: Array(tokens[start..<end]), outputs: .last)]
            if beside {
                let other = Self.tokens(1 + (end - start) / 2, seed: 50)
                pieces.append(BatchPiece(slot: 2 - slot, firstPosition: start, tokens: other, outputs: .none))
            }
            try pass.run(pieces) { from, position, logits in
                if from == slot, position == tokens.count - 1 { found = logits.map(\.bitPattern) }
            }
        }
        return found
    }

    @Test("a ring that is written over many times says the same, however the text comes", arguments: [1, 8, 300])
    func rings(_ window: Int) throws {
        try Self.withPass("gemma3", window: window, contextLength: 4000) { pass in
            #expect(pass.shape.ringLength <= 1024)
            #expect(pass.pieceLimit == 512)
            // Short of one round, over its end, and three times around.
            for count in [200, 700, 1100, 2600] {
                let tokens = Self.tokens(count)
                let expected = try Self.last(tokens, slot: 0, by: 512, beside: false, in: pass)
                #expect(expected.count == 100)
                for (size, beside) in [(512, true), (100, false), (33, true)] {
                    let found = try Self.last(tokens, slot: beside ? 0 : 1, by: size, beside: beside, in: pass)
                    #expect(found == expected, "\(count) tokens by \(size)")
                }
            }
            #expect(throws: ModelError.self) {
                try pass.run([BatchPiece(slot: 0, firstPosition: 0, tokens: Self.tokens(513), outputs: .last)]) { _, _, _ in }
            }
        }
    }

    @Test("what a ring was written over with is what is seen: the text's end alone says nearly the same")
    func ringsForget() throws {
        try Self.withPass("gemma3", window: 8, contextLength: 4000) { pass in
            let tokens = Self.tokens(2600)
            let whole = try Self.last(tokens, slot: 0, by: 512, beside: false, in: pass).map { Float(bitPattern: $0) }
            // Three layers of a window of 8 see 22 tokens back; positions matter only as distances.
            let end = try Self.last(Array(tokens.suffix(40)), slot: 1, by: 40, beside: false, in: pass).map { Float(bitPattern: $0) }
            let distance = zip(whole, end).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            let size = whole.reduce(0) { $0 + $1 * $1 }
            #expect(distance < 1e-4 * size, "\(distance) of \(size)")
        }
    }

    @Test("what was written over is known to be gone")
    func rewinding() {
        let shape = CacheShape(slotCount: 1, contextLength: 4096, window: 100)
        #expect(shape.ringLength == 768)
        #expect(shape.canRewind(from: 768, to: 0))
        #expect(shape.canRewind(from: 2000, to: 2000 - 668))
        #expect(!shape.canRewind(from: 2000, to: 2000 - 669))
        #expect(CacheShape(slotCount: 1, contextLength: 600, window: 100).canRewind(from: 600, to: 3))
        #expect(CacheShape(slotCount: 1, contextLength: 4096).canRewind(from: 4000, to: 3))
    }

    @Test("states do not tell how a text came, nor who came with it", arguments: ["mamba2", "falcon-h1", "qwen35"])
    func states(_ architecture: String) throws {
        try Self.withPass(architecture, contextLength: 400) { pass in
            let tokens = Self.tokens(90)
            let expected = try Self.last(tokens, slot: 0, by: 90, beside: false, in: pass)
            #expect(expected.count == 100)
            for (slot, size, beside) in [(0, 7, true), (2, 1, false), (0, 1, true), (1, 64, false), (2, 30, true)] {
                let found = try Self.last(tokens, slot: slot, by: size, beside: beside, in: pass)
                #expect(found == expected, "by \(size) in slot \(slot)")
            }
        }
    }

    @Test("a text that goes on from a copy says what it says from the beginning", arguments: ["mamba2", "falcon-h1", "qwen35"])
    func checkpoints(_ architecture: String) throws {
        try Self.withPass(architecture, contextLength: 400) { pass in
            let head = Self.tokens(40)
            let texts = [5, 61].map { head + Self.tokens(30, seed: $0) }
            let expected = try texts.map { try Self.last($0, slot: 1, by: 70, beside: false, in: pass) }
            #expect(expected[0] != expected[1])
            var first = BatchPiece(slot: 0, firstPosition: 0, tokens: head, outputs: .none)
            first.keeps = 2
            try pass.run([first]) { _, _, _ in }
            for (text, expected) in zip(texts, expected) {
                // Other text in between, which the copy knows nothing of.
                for restores in [2, nil] as [Int?] {
                    var piece = BatchPiece(slot: 0, firstPosition: 40, tokens: Array(text[40...]), outputs: .last)
                    piece.restores = restores
                    var found: [UInt32] = []
                    try pass.run([piece]) { found = $2.map(\.bitPattern) }
                    #expect((found == expected) == (restores != nil))
                }
            }
            var wrong = first
            wrong.keeps = 4
            #expect(throws: ModelError.self) { try pass.run([wrong]) { _, _, _ in } }
        }
    }
}
