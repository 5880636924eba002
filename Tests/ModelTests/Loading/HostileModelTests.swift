import Foundation
import GGUF
import Kernels
import Model
import Tensor
import TestSupport
import Testing

/// Well-formed files whose figures and tensors make no sense are computed with or refused with one of our own errors:
/// nothing traps, nothing takes memory that the file does not account for.
///
/// 300 files, or as many as the environment variable `MODEL_FUZZ_CASES` says; `MODEL_FUZZ_FIRST` begins at a later seed.
@Suite struct HostileModelTests {
    private enum Outcome: Hashable {
        case ran
        case failed(String)
    }

    /// Opens, binds and runs a draft: a prompt without results, then a step of two slots with results.
    private static func attempt(
        _ draft: ModelDraft, _ folder: URL, on backend: CPUBackend, contextLength: Int? = nil
    ) throws -> Outcome {
        let path = folder.appending(path: "hostile.gguf").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try draft.write(to: path)
        do {
            let model = try LanguageModel(try GGUFFile(path: path), on: backend)
            let h = model.hyperparameters
            #expect(h.cacheByteCountPerToken > 0)
            let pass = try ForwardPass(
                model, on: backend, slotCount: 3, contextLength: contextLength ?? max(8, min(h.trainedContext, 300)))
            let last = Int32(truncatingIfNeeded: h.vocabularySize - 1)
            try pass.run([BatchPiece(slot: 0, firstPosition: 0, tokens: [0, last, 0], outputs: .none)]) { _, _, _ in }
            let pieces = [
                BatchPiece(slot: 0, firstPosition: 3, tokens: [last], outputs: .last),
                BatchPiece(slot: 1, firstPosition: 0, tokens: [0, last], outputs: .all),
                BatchPiece(slot: 2, firstPosition: 0, tokens: [0], outputs: .last),
            ]
            var rows = 0
            try pass.run(pieces) { _, _, logits in
                #expect(logits.count == h.vocabularySize)
                rows += 1
            }
            #expect(rows == 4)
            if pass.contextLength >= 40 {
                // So many results that logits are made in pieces.
                let many = BatchPiece(slot: 1, firstPosition: 2, tokens: [Int32](repeating: last, count: 37), outputs: .all)
                try pass.run([many]) { _, _, _ in rows += 1 }
                #expect(rows == 41)
            }
            return .ran
        } catch let error as GGUFError {
            return .failed("GGUF \(error.code)")
        } catch let error as ModelError {
            return .failed("model \(error.code)")
        } catch let error as BackendError {
            return .failed("backend \(error.code)")
        } catch let error as GraphError {
            return .failed("graph \(error.code)")
        }
    }

    @Test("random figures and damaged tensors either work or are refused")
    func randomModels() throws {
        let environment = ProcessInfo.processInfo.environment
        let cases = environment["MODEL_FUZZ_CASES"].flatMap(Int.init) ?? 300
        let first = environment["MODEL_FUZZ_FIRST"].flatMap(Int.init) ?? 0
        let folder = FileManager.default.temporaryDirectory.appending(path: "hostile-models-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let names = ["gemma3-dense-q8_0", "llama-dense-q8_0", "llama-moe-q8_0"]
        let real = try names.compactMap { name -> ModelDraft? in
            guard let url = ExternalData.find("models/tiny/\(name).gguf") else { return nil }
            return ModelDraft(try GGUFFile(path: url.path), architecture: String(name.prefix { $0 != "-" }))
        }
        let backend = try CPUBackend(threads: 2)
        let before = peakResidentKilobytes()
        var outcomes: [Outcome: Int] = [:]
        for seed in first..<(first + cases) {
            var random = SeededRandom(seed: UInt64(seed))
            var draft: ModelDraft
            // Real models are slower to write than made-up ones.
            if seed % 8 == 0, let chosen = real.randomElement(using: &random) {
                draft = chosen
            } else {
                let type = Damage.types.randomElement(using: &random) ?? .f32
                draft = Damage.figures(&random).draft(type, &random)
            }
            for _ in 0..<Int.random(in: 0...2, using: &random) { Damage.apply(to: &draft, &random) }
            if environment["MODEL_FUZZ_FIRST"] != nil { print("hostile model \(seed)") }
            outcomes[try HostileModelTests.attempt(draft, folder, on: backend), default: 0] += 1
        }
        print("hostile models: \(outcomes.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", "))")
        #expect(outcomes[.ran, default: 0] > 0, "some damage should be harmless")
        #expect(outcomes.count >= 4, "the damage should reach many kinds of checks")
        if let before, let after = peakResidentKilobytes() {
            // The models have some megabytes at most; a figure that is believed as a size would show.
            #expect(after - before < 1 << 20, "peak memory grew by \(after - before) KiB")
        }
    }

    /// Runs one changed model of ordinary figures.
    private func outcome(
        _ figures: ModelFigures = ModelFigures(), contextLength: Int? = nil, _ change: (inout ModelDraft) -> Void = { _ in }
    ) throws -> Outcome {
        let folder = FileManager.default.temporaryDirectory.appending(path: "hostile-model-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var random = SeededRandom(seed: 1)
        var draft = figures.draft(.f32, &random)
        change(&draft)
        return try HostileModelTests.attempt(draft, folder, on: CPUBackend(threads: 1), contextLength: contextLength)
    }

    @Test("made-up models of ordinary figures run, so that the others are refused for what is wrong with them")
    func ordinaryFigures() throws {
        let dense = try outcome()
        #expect(dense == .ran)
        let experts = try outcome(ModelFigures { ($0.experts, $0.usedExperts) = (4, 2) })
        #expect(experts == .ran)
        let gemma = try outcome(ModelFigures { ($0.architecture, $0.slidingWindow) = ("gemma3", 2) })
        #expect(gemma == .ran)
    }

    @Test("a prompt whose first piece wants no results goes through experts too")
    func expertsWithoutResults() throws {
        for used in 1...4 {
            let result = try outcome(ModelFigures { ($0.layers, $0.experts, $0.usedExperts) = (2, 4, used) })
            #expect(result == .ran)
        }
    }

    @Test("more heads than the width has elements leave heads without length, which the metadata is blamed for")
    func headsWithoutLength() throws {
        // Every tensor has the shape that follows: nothing but the figure itself is wrong.
        let figures = ModelFigures {
            $0.architecture = "gemma3"
            ($0.heads, $0.keyValueHeads) = (64, 64)
            ($0.keyLength, $0.valueLength, $0.rotated) = (0, 0, 0)
        }
        let result = try outcome(figures) { draft in
            for key in ["attention.key_length", "attention.value_length", "rope.dimension_count"] { draft.set(own: key, nil) }
        }
        #expect(result == .failed("model metadata"))
    }

    @Test("numbers that only 64-bit floats hold are refused, not taken for infinity")
    func numbersTooLarge() throws {
        let result = try outcome { $0.set(own: "rope.freq_base", .float64(1e300)) }
        #expect(result == .failed("model metadata"))
    }

    @Test(
        "contexts without a size, or of positions that do not fit 32 bits, are refused",
        arguments: [
            0, -1, Int(Int32.max) + 1, 1 << 52, Int.max / (3 * 64) - 1, Int.max, Int.min,
        ])
    func impossibleContexts(_ contextLength: Int) throws {
        let result = try outcome(contextLength: contextLength)
        #expect(result == .failed("backend invalidArgument") || result == .failed("backend outOfMemory"))
    }

    private func peakResidentKilobytes() -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
            ?? line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
    }
}

/// What is done to models.
private enum Damage {
    static let types: [ElementType] = [.f32, .f32, .f16, .bf16, .q8_0, .q4_K, .q4_0, .i32, .f64, .iq2_xxs, .mxfp4, .i8]

    private static let small = [1, 1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 33, 64]

    /// Figures that fit each other as far as shapes go, however odd they are.
    static func figures(_ random: inout SeededRandom) -> ModelFigures {
        func pick(_ list: [Int]) -> Int { list.randomElement(using: &random) ?? 1 }
        var figures = ModelFigures()
        figures.architecture = Bool.random(using: &random) ? "llama" : "gemma3"
        figures.width = pick(small + [32, 64, 256])
        figures.layers = pick([1, 1, 2, 7])
        figures.vocabulary = pick(small)
        figures.keyValueHeads = pick([1, 1, 2, 3, 8])
        figures.heads = figures.keyValueHeads * pick([1, 1, 2, 3, 9])
        figures.keyLength = pick([1, 2, 4, 6, 8, 16, 30, 32, 34, 64, 80, 256, 1000])
        figures.valueLength = Bool.random(using: &random) ? figures.keyLength : pick(small)
        let rotatesAll = figures.architecture == "llama" || Bool.random(using: &random)
        figures.rotated = rotatesAll ? figures.keyLength : pick([1, 2, 4, 6, 16])
        figures.hidden = pick(small + [32, 256])
        figures.context = pick([1, 5, 8, 9, 64, 255, 256, 257, 100_000])
        if figures.architecture == "llama", Bool.random(using: &random) {
            figures.experts = pick([1, 2, 3, 8, 33])
            figures.usedExperts = Int.random(in: 1...figures.experts, using: &random)
        }
        if figures.architecture == "gemma3" { figures.slidingWindow = pick([0, 1, 2, 3, 1000]) }
        return figures
    }

    static func apply(to draft: inout ModelDraft, _ random: inout SeededRandom) {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5: figure(&draft, &random)
        case 5: number(&draft, &random)
        default: tensor(&draft, &random)
        }
    }

    private static let counts = [
        "embedding_length", "block_count", "context_length", "vocab_size", "attention.head_count",
        "attention.head_count_kv", "attention.key_length", "attention.value_length", "rope.dimension_count",
        "feed_forward_length", "expert_count", "expert_used_count", "attention.sliding_window",
        "attention.sliding_window_pattern", "rope.scaling.original_context_length",
    ]

    private static let edges: [Int64] = [
        0, 1, 2, 3, 7, 16, 32, 33, 64, 255, 256, 512, 1024, 4096, 65535, 65536, 1 << 20, 1 << 24, (1 << 24) + 1, 1 << 26,
        1 << 31 - 1, 1 << 31, 1 << 32 - 1, 1 << 40, .max, -1, .min,
    ]

    private static func figure(_ draft: inout ModelDraft, _ random: inout SeededRandom) {
        guard let key = counts.randomElement(using: &random), let value = edges.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<12, using: &random) {
        case 0: draft.set(own: key, nil)
        case 1: draft.set(own: key, .string("\(value)"))
        case 2: draft.set(own: key, .float32(Float(value)))
        case 3:
            let count = Int.random(in: 0...9, using: &random)
            draft.set(own: key, .array(.int64, [GGUFWriter.Value](repeating: .int64(value), count: count)))
        case 4: draft.set(own: key, .array(.bool, (0..<7).map { .bool($0 % 2 == 0) }))
        default: draft.set(own: key, .int64(value))
        }
    }

    private static func number(_ draft: inout ModelDraft, _ random: inout SeededRandom) {
        let keys = [
            "attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.freq_base_swa", "rope.scaling.factor",
            "rope.scale_linear", "rope.scaling.attn_factor", "final_logit_softcapping",
        ]
        let numbers: [Double] = [0, -0.0, 1, -1, 1e-45, 1e38, 1e300, -1e300, .infinity, .nan, 0.5]
        guard let key = keys.randomElement(using: &random), let number = numbers.randomElement(using: &random) else { return }
        draft.set(own: key, Bool.random(using: &random) ? .float64(number) : .float32(Float(number)))
        if Bool.random(using: &random) {
            draft.set(own: "rope.scaling.type", .string(["none", "linear", "yarn", "longrope"].randomElement(using: &random) ?? ""))
        }
    }

    private static func tensor(_ draft: inout ModelDraft, _ random: inout SeededRandom) {
        guard let index = draft.tensors.indices.randomElement(using: &random) else { return }
        let old = draft.tensors[index]
        switch Int.random(in: 0..<6, using: &random) {
        case 0: draft.tensors.remove(at: index)
        case 1:
            // Another type with rows that still fit it.
            let fitting = ElementType.allCases.filter { old.extents[0] % $0.elementsPerBlock == 0 }
            guard let type = fitting.randomElement(using: &random) else { return }
            draft.tensors[index] = .random(old.name, type, old.extents, &random)
        case 2:
            var extents = old.extents
            extents[Int.random(in: 0..<extents.count, using: &random)] = Int.random(in: 0...33, using: &random)
            draft.tensors[index] = .random(old.name, .f32, extents, &random)
        case 3: draft.tensors[index] = .random(old.name, .f32, old.extents.reversed(), &random)
        case 4:
            // Something optional that nobody expects there.
            let base = old.name.replacingOccurrences(of: ".weight", with: "")
            let suffix = Bool.random(using: &random) ? "scale" : "bias"
            let length = Bool.random(using: &random) ? 1 : old.extents.count > 1 ? old.extents[1] : 1
            let type: ElementType = Int.random(in: 0..<3, using: &random) == 0 ? .f16 : .f32
            if draft.tensors.contains(where: { $0.name == "\(base).\(suffix)" }) { return }
            draft.tensors.append(.random("\(base).\(suffix)", type, [length], &random))
        default:
            if draft.tensors.contains(where: { $0.name == "rope_freqs.weight" }) { return }
            let length = [1, 8, 16, 0].randomElement(using: &random) ?? 1
            draft.tensors.append(.random("rope_freqs.weight", Bool.random(using: &random) ? .f32 : .i32, [length], &random))
        }
    }
}
