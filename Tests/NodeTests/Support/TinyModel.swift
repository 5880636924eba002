import Foundation
import GGUF

/// A llama model of a few kilobytes with weights drawn from a seed, in a folder that goes away with it.
final class TinyModel: Sendable {
    let path: String
    private let folder: URL

    static let width = 32
    static let vocabulary = 24

    /// - Parameters:
    ///   - rows: tokens that the model computes with; its vocabulary has ``vocabulary``.
    ///   - isFlat: all logits are equal.
    init(rows: Int = TinyModel.vocabulary, layers: Int = 2, isFlat: Bool = false) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "tiny-model-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.appending(path: "tiny.gguf").path
        let width = TinyModel.width
        var writer = try GGUFWriter()
        try writer.add("general.architecture", .string("llama"))
        let counts = [
            ("embedding_length", width), ("block_count", layers), ("context_length", 256), ("vocab_size", rows),
            ("attention.head_count", 4), ("attention.head_count_kv", 2), ("feed_forward_length", width),
        ]
        for (key, count) in counts { try writer.add("llama.\(key)", .uint32(UInt32(count))) }
        try writer.add("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
        let texts = ["<unk>", "<s>", "</s>"] + (3..<TinyModel.vocabulary).map { "w\($0)" }
        try writer.add("tokenizer.ggml.model", .string("llama"))
        try writer.add("tokenizer.ggml.tokens", .array(.string, texts.map { .string($0) }))
        try writer.add("tokenizer.ggml.token_type", .array(.int32, texts.indices.map { .int32($0 == 0 ? 2 : $0 < 3 ? 3 : 1) }))

        var state: UInt32 = 2024
        func matrix(_ name: String, _ columns: Int, _ rows: Int = 1, isZero: Bool = false) throws {
            var bytes: [UInt8] = []
            for _ in 0..<(columns * rows) {
                state = state &* 1_664_525 &+ 1_013_904_223
                let value = isZero ? 0 : Float(state >> 8) / Float(1 << 23) - 1
                withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
            }
            try writer.add(tensor: "\(name).weight", .f32, rows == 1 ? [columns] : [columns, rows], .bytes(bytes))
        }
        try matrix("token_embd", width, rows)
        try matrix("output", width, rows, isZero: isFlat)
        try matrix("output_norm", width)
        for layer in 0..<layers {
            let block = "blk.\(layer)"
            for name in ["attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
                try matrix("\(block).\(name)", width, width)
            }
            for name in ["attn_k", "attn_v"] { try matrix("\(block).\(name)", width, width / 2) }
            for name in ["attn_norm", "ffn_norm"] { try matrix("\(block).\(name)", width) }
        }
        try writer.write(to: path)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}
