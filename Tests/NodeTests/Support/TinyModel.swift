import Foundation
import GGUF

/// A model of a few kilobytes with weights drawn from a seed, in a folder that goes away with it.
final class TinyModel: Sendable {
    let path: String
    private let folder: URL

    /// Architectures whose layers remember texts in different ways.
    enum Kind: String, Sendable, CaseIterable {
        /// All keys and values.
        case llama
        /// Those of a window of 8.
        case gemma3
        /// Keys and values, and a state.
        case falconH1 = "falcon-h1"
    }

    static let width = 32
    static let vocabulary = 24

    /// - Parameters:
    ///   - rows: tokens that the model computes with; its vocabulary has ``vocabulary``.
    ///   - isFlat: all logits are equal.
    ///   - kind: what its layers remember.
    init(rows: Int = TinyModel.vocabulary, layers: Int = 2, isFlat: Bool = false, kind: Kind = .llama) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "tiny-model-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.appending(path: "tiny.gguf").path
        let width = TinyModel.width
        var writer = try GGUFWriter()
        let name = kind.rawValue
        try writer.add("general.architecture", .string(name))
        let counts = [
            ("embedding_length", width), ("block_count", layers), ("context_length", 256), ("vocab_size", rows),
            ("attention.head_count", 4), ("attention.head_count_kv", 2), ("feed_forward_length", width),
        ]
        for (key, count) in counts { try writer.add("\(name).\(key)", .uint32(UInt32(count))) }
        try writer.add("\(name).attention.layer_norm_rms_epsilon", .float32(1e-5))
        if kind == .gemma3 { try writer.add("gemma3.attention.sliding_window", .uint32(8)) }
        let (kernel, heads, state) = (4, 4, 8)
        let channels = width + 2 * state
        if kind == .falconH1 {
            let figures = [
                ("conv_kernel", kernel), ("inner_size", width), ("state_size", state), ("time_step_rank", heads), ("group_count", 1),
            ]
            for (key, count) in figures { try writer.add("\(name).ssm.\(key)", .uint32(UInt32(count))) }
        }
        let texts = ["<unk>", "<s>", "</s>"] + (3..<TinyModel.vocabulary).map { "w\($0)" }
        try writer.add("tokenizer.ggml.model", .string("llama"))
        try writer.add("tokenizer.ggml.tokens", .array(.string, texts.map { .string($0) }))
        try writer.add("tokenizer.ggml.token_type", .array(.int32, texts.indices.map { .int32($0 == 0 ? 2 : $0 < 3 ? 3 : 1) }))

        var seed: UInt32 = 2024
        func tensor(_ name: String, _ extents: [Int], isZero: Bool = false, isNegative: Bool = false) throws {
            var bytes: [UInt8] = []
            for _ in 0..<extents.reduce(1, *) {
                seed = seed &* 1_664_525 &+ 1_013_904_223
                let value = isZero ? 0 : Float(seed >> 8) / Float(1 << 23) - 1
                withUnsafeBytes(of: isNegative ? -abs(value) : value) { bytes.append(contentsOf: $0) }
            }
            try writer.add(tensor: name, .f32, extents, .bytes(bytes))
        }
        func matrix(_ name: String, _ columns: Int, _ rows: Int = 1, isZero: Bool = false) throws {
            try tensor("\(name).weight", rows == 1 ? [columns] : [columns, rows], isZero: isZero)
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
            switch kind {
            case .llama: break
            case .gemma3:
                for name in ["post_attention_norm", "post_ffw_norm"] { try matrix("\(block).\(name)", width) }
                for name in ["attn_q_norm", "attn_k_norm"] { try matrix("\(block).\(name)", width / 4) }
            case .falconH1:
                try matrix("\(block).ssm_in", width, width + channels + heads)
                try tensor("\(block).ssm_conv1d.weight", [kernel, channels])
                try tensor("\(block).ssm_dt.bias", [heads])
                try tensor("\(block).ssm_a", [1, heads], isNegative: true)
                try tensor("\(block).ssm_d", [1, heads])
                try matrix("\(block).ssm_out", width, width)
            }
        }
        try writer.write(to: path)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}
