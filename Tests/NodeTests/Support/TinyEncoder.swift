import Foundation
import GGUF

/// A BERT of a few kilobytes with weights drawn from a seed, in a folder that goes away with it.
final class TinyEncoder: Sendable {
    let path: String
    private let folder: URL

    static let width = 32
    /// All words of the vocabulary are one token.
    static let texts = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + (0..<20).map { "▁w\($0)" }

    /// - Parameters:
    ///   - context: positions; the first ones are the same whatever this is.
    ///   - pooling: the number that the file has; nil for none.
    init(context: Int = 64, pooling: UInt32? = 1, isCausal: Bool = false, leavingOut: String? = nil) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "tiny-encoder-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        path = folder.appending(path: "encoder.gguf").path
        let (width, texts) = (TinyEncoder.width, TinyEncoder.texts)
        var writer = try GGUFWriter()
        try writer.add("general.architecture", .string("bert"))
        let counts = [
            ("embedding_length", width), ("block_count", 2), ("context_length", context), ("attention.head_count", 4),
            ("feed_forward_length", 2 * width),
        ]
        for (key, count) in counts { try writer.add("bert.\(key)", .uint32(UInt32(count))) }
        if let pooling { try writer.add("bert.pooling_type", .uint32(pooling)) }
        try writer.add("bert.attention.causal", .bool(isCausal))
        try writer.add("bert.attention.layer_norm_epsilon", .float32(1e-12))
        try writer.add("tokenizer.ggml.model", .string("bert"))
        try writer.add("tokenizer.ggml.tokens", .array(.string, texts.map { .string($0) }))
        try writer.add("tokenizer.ggml.token_type", .array(.int32, texts.indices.map { .int32($0 < 5 ? 3 : 1) }))
        for (key, id) in [("bos", 2), ("seperator", 3), ("unknown", 1), ("padding", 0), ("mask", 4)] {
            try writer.add("tokenizer.ggml.\(key)_token_id", .uint32(UInt32(id)))
        }

        func tensor(_ name: String, _ extents: Int...) throws {
            if name == leavingOut { return }
            // Of each tensor's own seed, so that longer ones begin as shorter ones do.
            var seed = name.utf8.reduce(UInt32(7)) { $0 &* 31 &+ UInt32($1) }
            var bytes: [UInt8] = []
            for _ in 0..<extents.reduce(1, *) {
                seed = seed &* 1_664_525 &+ 1_013_904_223
                withUnsafeBytes(of: Float(seed >> 8) / Float(1 << 23) - 1) { bytes.append(contentsOf: $0) }
            }
            try writer.add(tensor: name, .f32, extents, .bytes(bytes))
        }
        func norm(_ name: String) throws {
            try tensor("\(name).weight", width)
            try tensor("\(name).bias", width)
        }
        try tensor("token_embd.weight", width, texts.count)
        try tensor("position_embd.weight", width, context)
        try tensor("token_types.weight", width, 2)
        try norm("token_embd_norm")
        for layer in 0..<2 {
            let block = "blk.\(layer)"
            for name in ["attn_q", "attn_k", "attn_v", "attn_output"] {
                try tensor("\(block).\(name).weight", width, width)
                try tensor("\(block).\(name).bias", width)
            }
            try norm("\(block).attn_output_norm")
            try tensor("\(block).ffn_up.weight", width, 2 * width)
            try tensor("\(block).ffn_down.weight", 2 * width, width)
            try norm("\(block).layer_output_norm")
        }
        try writer.write(to: path)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}
