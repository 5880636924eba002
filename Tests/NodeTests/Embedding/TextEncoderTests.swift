import GGUF
import Kernels
import Model
import Node
import Testing

/// Models that make vectors of texts, and what keeps them apart from those that generate.
@Suite struct TextEncoderTests {
    private func encoder(_ model: TinyEncoder) throws -> TextEncoder {
        try TextEncoder(GGUFFile(path: model.path), on: CPUBackend(EngineOptions(modelPath: model.path, threads: 1)))
    }

    private func tokens(_ count: Int) -> [Int32] { (0..<count).map { Int32(5 + $0 * 7 % 20) } }

    private func distance(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).map { abs($0 - $1) }.max() ?? .infinity }

    @Test("A text's vector has length 1 and does not see what pads it, by every kind of pooling")
    func padding() throws {
        for pooling: UInt32 in 1...3 {
            // A text of 33 tokens has no padding where there is no more room, and 31 where there is.
            let (narrow, wide) = (try TinyEncoder(context: 33, pooling: pooling), try TinyEncoder(context: 64, pooling: pooling))
            let exact = try encoder(narrow).embed(tokens(33))
            let padded = try encoder(wide).embed(tokens(33))
            #expect(distance(exact, padded) < 1e-4)
            #expect(abs(exact.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
            #expect(exact.count == TinyEncoder.width)
        }
    }

    @Test("Tokens see those that come later, and poolings differ; a file that names none means the mean")
    func meaning() throws {
        let models = try [1, 2, 3, nil].map { try TinyEncoder(pooling: $0) }
        let vectors = try models.map { try encoder($0).embed(tokens(9)) }
        #expect(vectors[3] == vectors[0])
        #expect(distance(vectors[0], vectors[1]) > 0.001)
        #expect(distance(vectors[1], vectors[2]) > 0.001)
        // The first token's result depends on the last token.
        let other = try encoder(models[1]).embed(tokens(8) + [6])
        #expect(distance(vectors[1], other) > 0.001)
    }

    @Test("Graphs that are used again give the same bytes")
    func again() throws {
        let model = try TinyEncoder()
        let encoder = try encoder(model)
        let first = try encoder.embed(tokens(5))
        _ = try encoder.embed(tokens(40))
        _ = try encoder.embed(tokens(31))
        #expect(try encoder.embed(tokens(5)) == first)
    }

    @Test("Texts that are too long, empty, or of no such tokens are refused")
    func refusals() throws {
        let model = try TinyEncoder()
        let encoder = try encoder(model)
        #expect(throws: ModelError.self) { try encoder.embed([]) }
        #expect(throws: ModelError.self) { try encoder.embed(tokens(65)) }
        #expect(throws: ModelError.self) { try encoder.embed([-1]) }
        #expect(throws: ModelError.self) { try encoder.embed([25]) }
    }

    @Test("Files that lack what an encoder needs, or want what there is not, are refused by name")
    func brokenFiles() throws {
        func failure(_ model: TinyEncoder) -> ModelError? {
            #expect(throws: ModelError.self) { try encoder(model) }
        }
        #expect(failure(try TinyEncoder(pooling: 4))?.message.contains("pooling") == true)
        #expect(failure(try TinyEncoder(isCausal: true))?.code == .unsupported)
        #expect(failure(try TinyEncoder(leavingOut: "blk.1.ffn_up.weight"))?.message.contains("blk.1.ffn_up.weight") == true)
        #expect(failure(try TinyEncoder(leavingOut: "blk.0.attn_output_norm.bias"))?.code == .tensor)
    }

    @Test("A model for vectors is refused where one that generates is wanted, and the other way round")
    func kinds() throws {
        let (model, generating) = (try TinyEncoder(), try TinyModel())
        let error = #expect(throws: ModelError.self) { try ModelOutline(GGUFFile(path: model.path)) }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains("embeddings") == true)
        let file = try GGUFFile(path: generating.path)
        #expect(try TextEncoder.figures(of: file) == nil)
        let other = #expect(throws: ModelError.self) {
            try TextEncoder(file, on: CPUBackend(EngineOptions(modelPath: generating.path, threads: 1)))
        }
        #expect(other?.message.contains("bert") == true)
    }

    @Test("An engine reads texts with the marks that the vocabulary wants, many at once, and generates nothing")
    func engine() async throws {
        let model = try TinyEncoder()
        let engine = try await Engines.text(EngineOptions(modelPath: model.path, threads: 1)) { _ in }
        #expect(engine.card.architecture == "bert")
        #expect(engine.card.contextSize == 64)
        let vectors = try await engine.embed([.text("w1 W2"), .tokens([2, 6, 7, 3]), .text("w3")])
        #expect(vectors.map(\.tokenCount) == [4, 4, 3])
        #expect(vectors[0] == vectors[1])
        #expect(vectors[2] != vectors[0])
        let long = String(repeating: "w1 ", count: 63)
        await #expect(throws: EngineError.promptTooLong(tokens: 65, limit: 64)) { _ = try await engine.embed([.text(long)]) }
        await #expect(throws: EngineError.emptyPrompt) { _ = try await engine.embed([.tokens([])]) }
        let error = await #expect(throws: EngineError.self) { _ = try await engine.generate(GenerationRequest(prompt: .text("w1"))) }
        guard case .unsupported = error else { return #expect(Bool(false), "\(String(describing: error))") }
        await engine.shutdown()
        await #expect(throws: EngineError.stopped) { _ = try await engine.embed([.text("w1")]) }
    }

    @Test("A model that generates makes no vectors")
    func generating() async throws {
        let error = await #expect(throws: EngineError.self) { _ = try await MockEngine().embed([.text("a")]) }
        guard case .unsupported = error else { return #expect(Bool(false), "\(String(describing: error))") }
    }
}
