import Foundation
import GGUF
import TestSupport

/// A model of a few kilobytes with weights drawn from a seed and a vocabulary of words, in a folder that goes away with it.
final class TinyModel: Sendable {
    /// Architectures, which remember texts in different ways.
    enum Kind: String, Sendable, CaseIterable {
        case llama, qwen2, qwen3, qwen3moe, qwen35, deepseek2, mamba2
        /// With a window of 8.
        case gemma3
        case falconH1 = "falcon-h1"
    }

    let path: String
    private let folder: URL

    static let width = 32
    static let vocabulary = 24

    /// - Parameters:
    ///   - rows: tokens that the model computes with; its vocabulary has ``vocabulary``.
    ///   - isFlat: all logits are equal.
    ///   - change: made to the file before it is written.
    init(
        rows: Int = TinyModel.vocabulary, layers: Int = 2, isFlat: Bool = false, kind: Kind = .llama,
        change: (inout ModelDraft) -> Void = { _ in }
    ) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "tiny-model-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.appending(path: "tiny.gguf").path
        let figures = ModelFigures {
            $0.architecture = kind.rawValue
            ($0.width, $0.hidden, $0.vocabulary, $0.layers, $0.context) = (TinyModel.width, TinyModel.width, rows, layers, 256)
            ($0.heads, $0.keyValueHeads, $0.keyLength, $0.valueLength, $0.rotated) = (4, 2, 8, 8, 8)
            if kind == .qwen3moe || kind == .deepseek2 { ($0.experts, $0.usedExperts) = (4, 2) }
            if kind == .gemma3 { $0.slidingWindow = 8 }
        }
        var random = SeededRandom(seed: 2024)
        var draft = figures.draft(.f32, &random)
        let texts = ["<unk>", "<s>", "</s>"] + (3..<TinyModel.vocabulary).map { "w\($0)" }
        draft.set("tokenizer.ggml.model", .string("llama"))
        draft.set("tokenizer.ggml.tokens", .array(.string, texts.map { .string($0) }))
        draft.set("tokenizer.ggml.token_type", .array(.int32, texts.indices.map { .int32($0 == 0 ? 2 : $0 < 3 ? 3 : 1) }))
        var output = ModelDraft.TensorDraft.random("output.weight", .f32, [TinyModel.width, rows], &random)
        if isFlat { output.content = .bytes([UInt8](repeating: 0, count: TinyModel.width * rows * 4)) }
        draft.tensors.append(output)
        change(&draft)
        try draft.write(to: path)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}
