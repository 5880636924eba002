import GGUF
import Tensor

/// A model's file before it is written: metadata and tensors that can be changed at will, sensibly or not.
struct ModelDraft {
    struct Entry {
        var key: String
        var value: GGUFWriter.Value
    }

    struct TensorDraft {
        var name: String
        var type: ElementType
        var extents: [Int]
        var content: GGUFWriter.Content
    }

    var architecture: String
    var metadata: [Entry] = []
    var tensors: [TensorDraft] = []

    mutating func set(_ key: String, _ value: GGUFWriter.Value?) {
        metadata.removeAll { $0.key == key }
        if let value { metadata.append(Entry(key: key, value: value)) }
    }

    /// Sets a key of the architecture's own.
    mutating func set(own key: String, _ value: GGUFWriter.Value?) { set("\(architecture).\(key)", value) }

    func write(to path: String) throws {
        var writer = try GGUFWriter()
        for entry in metadata { try writer.add(entry.key, entry.value) }
        for tensor in tensors { try writer.add(tensor: tensor.name, tensor.type, tensor.extents, tensor.content) }
        try writer.write(to: path)
    }
}

extension ModelDraft {
    /// What `file` holds.
    init(_ file: GGUFFile, architecture: String) {
        self.architecture = architecture
        metadata = file.metadata.entries.map { Entry(key: $0.key, value: .copy($0.value)) }
        tensors = file.tensors.map { tensor in
            TensorDraft(
                name: tensor.name, type: tensor.type, extents: (0..<Shape.rank).map { tensor.shape[$0] },
                content: .region(file.region(of: tensor)))
        }
    }
}

/// The figures of a made-up model. Its tensors have the shapes that follow from them, so whatever is odd in the figures
/// is not caught by a tensor of the wrong shape.
struct ModelFigures {
    var architecture = "llama"
    var width = 32
    var layers = 1
    var vocabulary = 17
    var heads = 2
    var keyValueHeads = 1
    var keyLength = 16
    var valueLength = 16
    var rotated = 16
    var hidden = 32
    /// 0 for a dense model.
    var experts = 0
    var usedExperts = 0
    var slidingWindow = 0
    var context = 64

    /// A draft with weights drawn from `random`: matrices of `type` where their rows allow it, else F32.
    func draft<R: RandomNumberGenerator>(_ type: ElementType = .f32, _ random: inout R) -> ModelDraft {
        var draft = ModelDraft(architecture: architecture)
        draft.set("general.architecture", .string(architecture))
        let counts = [
            ("embedding_length", width), ("block_count", layers), ("context_length", context), ("vocab_size", vocabulary),
            ("attention.head_count", heads), ("attention.head_count_kv", keyValueHeads),
            ("attention.key_length", keyLength), ("attention.value_length", valueLength),
            ("rope.dimension_count", rotated), ("feed_forward_length", hidden),
        ]
        for (key, count) in counts { draft.set(own: key, .uint32(UInt32(count))) }
        draft.set(own: "attention.layer_norm_rms_epsilon", .float32(1e-5))
        if experts > 0 {
            draft.set(own: "expert_count", .uint32(UInt32(experts)))
            draft.set(own: "expert_used_count", .uint32(UInt32(usedExperts)))
        }
        if slidingWindow > 0 { draft.set(own: "attention.sliding_window", .uint32(UInt32(slidingWindow))) }

        func matrix(_ name: String, _ extents: Int...) {
            let fits = extents[0] % type.elementsPerBlock == 0
            draft.tensors.append(.random("\(name).weight", fits ? type : .f32, extents, &random))
        }
        func norm(_ name: String, _ length: Int) { draft.tensors.append(.random("\(name).weight", .f32, [length], &random)) }
        matrix("token_embd", width, vocabulary)
        norm("output_norm", width)
        for layer in 0..<layers {
            let block = "blk.\(layer)"
            matrix("\(block).attn_q", width, keyLength * heads)
            matrix("\(block).attn_k", width, keyLength * keyValueHeads)
            matrix("\(block).attn_v", width, valueLength * keyValueHeads)
            matrix("\(block).attn_output", valueLength * heads, width)
            norm("\(block).attn_norm", width)
            norm("\(block).ffn_norm", width)
            if architecture == "gemma3" {
                norm("\(block).attn_q_norm", keyLength)
                norm("\(block).attn_k_norm", keyLength)
                norm("\(block).post_attention_norm", width)
                norm("\(block).post_ffw_norm", width)
            }
            if experts > 0 {
                matrix("\(block).ffn_gate_inp", width, experts)
                matrix("\(block).ffn_gate_exps", width, hidden, experts)
                matrix("\(block).ffn_up_exps", width, hidden, experts)
                matrix("\(block).ffn_down_exps", hidden, width, experts)
            } else {
                matrix("\(block).ffn_gate", width, hidden)
                matrix("\(block).ffn_up", width, hidden)
                matrix("\(block).ffn_down", hidden, width)
            }
        }
        return draft
    }
}

extension ModelDraft.TensorDraft {
    /// Floats between -1 and 1, or any bytes for other types.
    static func random<R: RandomNumberGenerator>(
        _ name: String, _ type: ElementType, _ extents: [Int], _ random: inout R
    ) -> ModelDraft.TensorDraft {
        let elements = extents.reduce(1, *)
        var bytes: [UInt8] = []
        if type == .f32 {
            for _ in 0..<elements {
                withUnsafeBytes(of: Float.random(in: -1...1, using: &random)) { bytes.append(contentsOf: $0) }
            }
        } else {
            for _ in 0..<(type.byteCount(elements: elements) ?? 0) { bytes.append(UInt8.random(in: 0...255, using: &random)) }
        }
        return ModelDraft.TensorDraft(name: name, type: type, extents: extents, content: .bytes(bytes))
    }
}

/// Random numbers that are the same at every run: small, fast (Steele, Lea & Flood's SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
