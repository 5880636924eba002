import Foundation
import GGUF
import Kernels
import Model
import Tensor
import TestSupport
import Testing

/// That nobody can tell from the results how a model is cut into stages, and that the likeliest tokens are those of the logits.
@Suite struct StageTests {
    private static let contextLength = 300

    /// Everything that a run of steps says, in order.
    private struct Transcript: Equatable {
        var rows: [[UInt32]] = []
    }

    /// A prompt in two chunks beside others, single tokens of slots with a gap between them, and many results at once.
    private static let steps: [[BatchPiece]] = [
        [
            BatchPiece(slot: 0, firstPosition: 0, tokens: (0..<20).map { Int32($0) }, outputs: .none),
            BatchPiece(slot: 3, firstPosition: 0, tokens: [5], outputs: .last),
        ],
        [
            BatchPiece(slot: 0, firstPosition: 20, tokens: (0..<7).map { Int32($0 + 30) }, outputs: .last),
            BatchPiece(slot: 1, firstPosition: 0, tokens: [1, 2, 3], outputs: .all),
        ],
        [
            BatchPiece(slot: 0, firstPosition: 27, tokens: [9], outputs: .last),
            BatchPiece(slot: 1, firstPosition: 3, tokens: [8], outputs: .last),
            BatchPiece(slot: 3, firstPosition: 1, tokens: [7], outputs: .none),
        ],
        [BatchPiece(slot: 2, firstPosition: 0, tokens: (0..<40).map { Int32($0 + 1) }, outputs: .all)],
    ]

    private static func transcript(of pass: ForwardPass) throws -> Transcript {
        var transcript = Transcript()
        for step in steps {
            try pass.run(step) { slot, position, logits in
                transcript.rows.append([UInt32(slot), UInt32(position)] + logits.map(\.bitPattern))
            }
        }
        return transcript
    }

    private static func withModel(_ architecture: String, experts: Int = 0, _ body: (GGUFFile) throws -> Void) throws {
        var random = SeededRandom(seed: 11)
        var figures = ModelFigures()
        figures.architecture = architecture
        figures.layers = 3
        figures.vocabulary = 200
        figures.experts = ["qwen3moe", "deepseek2"].contains(architecture) ? 4 : experts
        figures.usedExperts = min(figures.experts, 2)
        figures.slidingWindow = architecture == "gemma3" ? 8 : 0
        let path = FileManager.default.temporaryDirectory.appending(path: "stages-\(UUID().uuidString).gguf").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try figures.draft(.f32, &random).write(to: path)
        try body(try GGUFFile(path: path))
    }

    /// The model cut after the given layers, each stage on a backend of its own that has only what it needs.
    private static func pass(
        _ file: GGUFFile, cutAfter cuts: [Int], embedsApart: Bool, paddedBatchSize: Int? = nil, padding: PromptPadding = .generous,
        contextLength: Int = contextLength, hiddenType: ElementType = .f32
    ) throws -> ForwardPass {
        let outline = try ModelOutline(file)
        var extents: [StageExtent] = embedsApart ? [StageExtent(embeds: true, layers: 0..<0, hasOutput: false)] : []
        let bounds = [0] + cuts + [outline.hyperparameters.layerCount]
        for (index, (first, end)) in zip(bounds, bounds.dropFirst()).enumerated() {
            extents.append(
                StageExtent(embeds: index == 0 && !embedsApart, layers: first..<end, hasOutput: index == bounds.count - 2))
        }
        var weights = PlacedWeights()
        let backends = try extents.map { _ in try CPUBackend(threads: 1) }
        for (extent, backend) in zip(extents, backends) {
            for part in extent.parts {
                for tensor in outline.tensors(of: part) {
                    let buffer = try backend.allocate(byteCount: tensor.byteCount)
                    try backend.write(file.region(of: tensor).bytes, to: buffer, at: 0)
                    weights.place(
                        Weight(name: tensor.name, type: tensor.type, shape: tensor.shape, buffer: buffer, byteOffset: 0), in: part)
                }
            }
        }
        let model = try LanguageModel(file, weights: weights)
        let stages = try zip(extents, backends).map {
            try ForwardStage(model, $0, on: $1, slotCount: 4, contextLength: contextLength, hiddenType: hiddenType)
        }
        return ForwardPass(
            model, stages: stages, slotCount: 4, contextLength: contextLength, paddedBatchSize: paddedBatchSize, padding: padding)
    }

    @Test(
        "the bytes of logits do not tell where a model is cut",
        arguments: ["llama", "gemma3", "experts", "qwen2", "qwen3", "qwen3moe", "deepseek2", "mamba2", "falcon-h1", "qwen35"])
    func cutsDoNotShow(_ kind: String) throws {
        try Self.withModel(kind == "experts" ? "llama" : kind, experts: kind == "experts" ? 4 : 0) { file in
            let backend = try CPUBackend(threads: 2)
            let model = try LanguageModel(file, on: backend)
            let whole = try ForwardPass(model, on: backend, slotCount: 4, contextLength: Self.contextLength)
            let expected = try Self.transcript(of: whole)
            // 1 + 1 + 3, then 1 + 1, then 40.
            #expect(expected.rows.count == 47)
            for cuts in [[], [1], [2], [1, 2], [3], [0], [1, 1, 3]] {
                for embedsApart in [false, true] where embedsApart || cuts.first != 0 {
                    let cut = try Self.pass(file, cutAfter: cuts, embedsApart: embedsApart)
                    #expect(try Self.transcript(of: cut) == expected, "cut after \(cuts), embedding apart: \(embedsApart)")
                }
            }
        }
    }

    @Test(
        "hidden states that travel as F16 change what comes out a little, and are half the bytes",
        arguments: ["llama", "gemma3", "deepseek2", "falcon-h1", "qwen35"])
    func halvedStates(_ kind: String) throws {
        try Self.withModel(kind) { file in
            let exact = try Self.transcript(of: try Self.pass(file, cutAfter: [1, 2], embedsApart: true))
            let halved = try Self.transcript(of: try Self.pass(file, cutAfter: [1, 2], embedsApart: true, hiddenType: .f16))
            #expect(halved != exact && halved.rows.map { $0.prefix(2) } == exact.rows.map { $0.prefix(2) })
            for (one, other) in zip(exact.rows, halved.rows) {
                #expect(
                    Self.divergence(one.dropFirst(2).map(Float.init(bitPattern:)), other.dropFirst(2).map(Float.init(bitPattern:))) < 1e-3)
            }
        }
    }

    /// Kullback and Leibler's, in nats, of what two rows of logits say.
    private static func divergence(_ one: [Float], _ other: [Float]) -> Double {
        func logarithms(_ logits: [Float]) -> [Double] {
            let most = Double(logits.max() ?? 0)
            let sum = logits.reduce(0.0) { $0 + exp(Double($1) - most) }
            return logits.map { Double($0) - most - log(sum) }
        }
        return zip(logarithms(one), logarithms(other)).reduce(0.0) { $0 + exp($1.0) * ($1.0 - $1.1) }
    }

    @Test(
        "padding of prompts changes no byte, and goes no further than the context",
        arguments: ["llama", "gemma3", "deepseek2", "falcon-h1", "qwen35"],
        [PromptPadding.slight, .generous])
    func paddingDoesNotShow(_ kind: String, _ padding: PromptPadding) throws {
        try Self.withModel(kind) { file in
            // The longest step ends 3 positions before the context does.
            let exact = try Self.pass(file, cutAfter: [1], embedsApart: false, contextLength: 43)
            let padded = try Self.pass(file, cutAfter: [1], embedsApart: false, paddedBatchSize: 64, padding: padding, contextLength: 43)
            #expect(try Self.transcript(of: padded) == Self.transcript(of: exact))
            // Once more, with caches that are full of what the padding left.
            #expect(try Self.transcript(of: padded) == Self.transcript(of: exact))
        }
    }

    @Test("prompts of a hundred lengths use few graphs", arguments: [(PromptPadding.slight, 20), (.generous, 8)])
    func fewPlans(_ padding: PromptPadding, _ limit: Int) throws {
        try Self.withModel("llama") { file in
            let pass = try Self.pass(file, cutAfter: [], embedsApart: false, paddedBatchSize: 128, padding: padding)
            for length in 2...101 {
                let tokens = (0..<length).map { Int32($0 % 200) }
                try pass.run([BatchPiece(slot: 0, firstPosition: 0, tokens: tokens, outputs: .last)]) { _, _, _ in }
            }
            #expect(pass.stages[0].planCount <= limit)
        }
    }

    @Test("the likeliest tokens are those of the logits, wherever they are made")
    func candidates() throws {
        try Self.withModel("llama") { file in
            let logits = try Self.pass(file, cutAfter: [2], embedsApart: false)
            let reduced = try Self.pass(file, cutAfter: [3], embedsApart: true)
            for pieces in Self.steps {
                var expected: [[Float]] = []
                try logits.run(pieces) { _, _, row in expected.append(Array(row)) }
                let step = reduced.makeStep()
                try reduced.begin(step, pieces, wantsCandidates: true)
                for stage in reduced.stages { try stage.run(step) }
                for (row, logits) in expected.enumerated() {
                    guard case .candidates(let entries) = step.result(row: row) else {
                        Issue.record("no candidates")
                        return
                    }
                    let best = logits.enumerated().sorted { ($1.element, $0.offset) < ($0.element, $1.offset) }
                    #expect(entries.map(\.token) == best.prefix(BatchLayout.candidateCount).map { Int32($0.offset) })
                    #expect(entries.map(\.logit) == best.prefix(BatchLayout.candidateCount).map(\.element))
                    var (all, few) = (Sampler(Self.sampling), Sampler(Self.sampling))
                    for _ in 0..<20 {
                        #expect(few.sample(entries) == all.sample(logits))
                    }
                }
            }
        }
    }

    private static var sampling: SamplingParameters {
        var parameters = SamplingParameters()
        parameters.seed = 5
        return parameters
    }

    @Test("equal logits at the edge of what came leave a choice open, and so do values that are no numbers")
    func openChoices() {
        var greedy = Sampler(.greedy)
        let rising = (0..<64).map { Candidates.Entry(token: Int32($0), logit: Float(64 - $0)) }
        #expect(greedy.sample(rising) == 0)
        let equal = (0..<64).map { Candidates.Entry(token: Int32($0), logit: 1) }
        #expect(greedy.sample(equal) == nil)
        var broken = rising
        broken[40].logit = .nan
        #expect(greedy.sample(broken) == nil)
        #expect(greedy.sample([Candidates.Entry]()) == nil)
        var forbidding = SamplingParameters.greedy
        forbidding.logitBias = [0: -.infinity, 1: -.infinity]
        var careful = Sampler(forbidding)
        #expect(careful.candidateCount == 1)
        #expect(careful.sample(rising) == 2)
        forbidding.logitBias[5] = 1
        #expect(Sampler(forbidding).candidateCount == nil)
        var penalised = SamplingParameters()
        penalised.repeatPenalty = 0.9
        #expect(Sampler(penalised).candidateCount == nil)
    }

    @Test("what an outline says of parts is all of the file, and of graphs is what a stage takes")
    func outline() throws {
        try Self.withModel("gemma3") { file in
            let outline = try ModelOutline(file)
            let parts: [ModelPart] = [.input] + (0..<3).map { .layer($0) } + [.output]
            let names = Set(parts.flatMap { outline.tensors(of: $0).map(\.name) })
            #expect(names == Set(file.tensors.map(\.name)))
            let all = StageExtent(embeds: true, layers: 0..<3, hasOutput: true)
            let one = StageExtent(embeds: false, layers: 1..<2, hasOutput: false)
            func bytes(_ extent: StageExtent) throws -> Int {
                let bounds = ModelOutline.StepBounds(batchSize: 32, slotCount: 4, contextLength: 43, wantsAllResults: true)
                return try outline.computeByteCount(extent, bounds, alignment: 64)
            }
            #expect(try bytes(all) > bytes(one))
            // At least a batch's hidden states.
            #expect(try bytes(one) >= 32 * 32 * 4)
            let backend = try CPUBackend(threads: 1)
            let pass = try ForwardPass(LanguageModel(file, on: backend), on: backend, slotCount: 4, contextLength: 300)
            #expect(pass.cacheByteCount == 3 * outline.cacheByteCount(ofLayer: 0, slotCount: 4, contextLength: 300))
        }
    }
}
