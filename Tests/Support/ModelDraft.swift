package import GGUF
package import Tensor

/// A model's file before it is written: metadata and tensors that can be changed at will, sensibly or not.
package struct ModelDraft {
    package struct Entry {
        package var key: String
        package var value: GGUFWriter.Value
    }

    package struct TensorDraft {
        package var name: String
        package var type: ElementType
        package var extents: [Int]
        package var content: GGUFWriter.Content
    }

    package var architecture: String
    package var metadata: [Entry] = []
    package var tensors: [TensorDraft] = []

    package mutating func set(_ key: String, _ value: GGUFWriter.Value?) {
        metadata.removeAll { $0.key == key }
        if let value { metadata.append(Entry(key: key, value: value)) }
    }

    /// Sets a key of the architecture's own.
    package mutating func set(own key: String, _ value: GGUFWriter.Value?) { set("\(architecture).\(key)", value) }

    package func write(to path: String) throws {
        var writer = try GGUFWriter()
        for entry in metadata { try writer.add(entry.key, entry.value) }
        for tensor in tensors { try writer.add(tensor: tensor.name, tensor.type, tensor.extents, tensor.content) }
        try writer.write(to: path)
    }
}

extension ModelDraft {
    /// What `file` holds.
    package init(_ file: GGUFFile, architecture: String) {
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
package struct ModelFigures {
    package var architecture = "llama"
    package var width = 32
    package var layers = 1
    package var vocabulary = 17
    package var heads = 2
    package var keyValueHeads = 1
    package var keyLength = 16
    package var valueLength = 16
    package var rotated = 16
    package var hidden = 32
    /// 0 for a dense model.
    package var experts = 0
    package var usedExperts = 0
    package var slidingWindow = 0
    package var context = 64
    /// Of layers with a state space: its kernel, width, state, heads and groups.
    package var stateSpace = (kernel: 4, inner: 32, state: 16, heads: 4, groups: 2)
    /// Of delta nets: kernel, length of a head, heads of values and of keys; every second layer is one, from the first on.
    package var deltaNet = (kernel: 4, length: 8, heads: 4, keyHeads: 2)
    /// Of layers with latent attention: the compressed width, and that of the queries.
    package var compressed = 24
    package var narrowQueries = 20

    package init(_ change: (inout ModelFigures) -> Void = { _ in }) { change(&self) }

    private var hasStateSpace: Bool { ["mamba2", "falcon-h1"].contains(architecture) }
    private var hasLatentAttention: Bool { architecture == "deepseek2" }
    private var hasDeltaNets: Bool { architecture == "qwen35" }
    private func isDeltaNet(_ layer: Int) -> Bool { hasDeltaNets && layer % 2 == 0 }
    private func hasAttention(_ layer: Int) -> Bool { architecture != "mamba2" && !hasLatentAttention && !isDeltaNet(layer) }

    /// A draft with weights drawn from `random`: matrices of `type` where their rows allow it, else F32.
    package func draft<R: RandomNumberGenerator>(_ type: ElementType = .f32, _ random: inout R) -> ModelDraft {
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
        if architecture == "qwen3moe" { draft.set(own: "expert_feed_forward_length", .uint32(UInt32(hidden))) }
        if slidingWindow > 0 { draft.set(own: "attention.sliding_window", .uint32(UInt32(slidingWindow))) }
        if hasStateSpace {
            let counts = [
                ("conv_kernel", stateSpace.kernel), ("inner_size", stateSpace.inner), ("state_size", stateSpace.state),
                ("time_step_rank", stateSpace.heads), ("group_count", stateSpace.groups),
            ]
            for (key, count) in counts { draft.set(own: "ssm.\(key)", .uint32(UInt32(count))) }
        }
        if hasLatentAttention {
            let counts = [
                ("attention.key_length_mla", keyLength), ("attention.value_length_mla", valueLength),
                ("attention.kv_lora_rank", compressed),
                ("attention.q_lora_rank", narrowQueries), ("rope.dimension_count", rotated / 2), ("leading_dense_block_count", 1),
                ("expert_feed_forward_length", hidden), ("expert_shared_count", 1), ("expert_gating_func", 2),
            ]
            for (key, count) in counts { draft.set(own: key, .uint32(UInt32(count))) }
            draft.set(own: "expert_weights_norm", .bool(true))
            draft.set(own: "expert_weights_scale", .float32(1.5))
        }

        if hasDeltaNets {
            let counts = [
                ("ssm.conv_kernel", deltaNet.kernel), ("ssm.inner_size", deltaNet.length * deltaNet.heads),
                ("ssm.state_size", deltaNet.length),
                ("ssm.time_step_rank", deltaNet.heads), ("ssm.group_count", deltaNet.keyHeads), ("full_attention_interval", 2),
            ]
            for (key, count) in counts { draft.set(own: key, .uint32(UInt32(count))) }
            draft.set(own: "rope.dimension_sections", .array(.int32, [3, 3, 2, 0].map { .int32($0) }))
        }

        func matrix(_ name: String, _ extents: Int...) {
            let fits = extents[0] % type.elementsPerBlock == 0
            draft.tensors.append(.random("\(name).weight", fits ? type : .f32, extents, &random))
        }
        func norm(_ name: String, _ length: Int) { draft.tensors.append(.random("\(name).weight", .f32, [length], &random)) }
        matrix("token_embd", width, vocabulary)
        norm("output_norm", width)
        for layer in 0..<layers {
            let block = "blk.\(layer)"
            norm("\(block).attn_norm", width)
            if hasAttention(layer) {
                // With a gate behind each head's queries.
                matrix("\(block).attn_q", width, keyLength * heads * (hasDeltaNets ? 2 : 1))
                matrix("\(block).attn_k", width, keyLength * keyValueHeads)
                matrix("\(block).attn_v", width, valueLength * keyValueHeads)
                matrix("\(block).attn_output", valueLength * heads, width)
            }
            if hasStateSpace { stateSpaceTensors(block, width, &draft, &random) }
            if architecture == "mamba2" { continue }
            if hasLatentAttention { latentTensors(block, width, &draft, &random) }
            if isDeltaNet(layer) { deltaNetTensors(block, width, &draft, &random) }
            norm("\(block).\(hasDeltaNets ? "post_attention_norm" : "ffn_norm")", width)
            if ["gemma3", "qwen3", "qwen3moe"].contains(architecture) || hasDeltaNets && !isDeltaNet(layer) {
                norm("\(block).attn_q_norm", keyLength)
                norm("\(block).attn_k_norm", keyLength)
            }
            if architecture == "gemma3" {
                norm("\(block).post_attention_norm", width)
                norm("\(block).post_ffw_norm", width)
            }
            if experts > 0, !hasLatentAttention || layer > 0 {
                matrix("\(block).ffn_gate_inp", width, experts)
                matrix("\(block).ffn_gate_exps", width, hidden, experts)
                matrix("\(block).ffn_up_exps", width, hidden, experts)
                matrix("\(block).ffn_down_exps", hidden, width, experts)
                if hasLatentAttention {
                    draft.tensors.append(.random("\(block).exp_probs_b.bias", .f32, [experts], &random))
                    matrix("\(block).ffn_gate_shexp", width, hidden)
                    matrix("\(block).ffn_up_shexp", width, hidden)
                    matrix("\(block).ffn_down_shexp", hidden, width)
                }
            } else {
                matrix("\(block).ffn_gate", width, hidden)
                matrix("\(block).ffn_up", width, hidden)
                matrix("\(block).ffn_down", hidden, width)
            }
        }
        return draft
    }

    private func stateSpaceTensors<R: RandomNumberGenerator>(_ block: String, _ width: Int, _ draft: inout ModelDraft, _ random: inout R) {
        let (kernel, inner, state, heads, groups) = stateSpace
        let channels = inner + 2 * groups * state
        func add(_ name: String, _ extents: [Int]) { draft.tensors.append(.random("\(block).\(name)", .f32, extents, &random)) }
        add("ssm_in.weight", [width, inner + channels + heads])
        add("ssm_conv1d.weight", [kernel, channels])
        add("ssm_conv1d.bias", [channels])
        add("ssm_dt.bias", [heads])
        draft.tensors.append(.decays("\(block).ssm_a", [1, heads]))
        add("ssm_d", [1, heads])
        add("ssm_norm.weight", [inner / groups, groups])
        add("ssm_out.weight", [inner, width])
    }

    private func deltaNetTensors<R: RandomNumberGenerator>(_ block: String, _ width: Int, _ draft: inout ModelDraft, _ random: inout R) {
        let (kernel, length, heads, keyHeads) = deltaNet
        let channels = length * (heads + 2 * keyHeads)
        func add(_ name: String, _ extents: [Int]) { draft.tensors.append(.random("\(block).\(name)", .f32, extents, &random)) }
        add("attn_qkv.weight", [width, channels])
        add("attn_gate.weight", [width, length * heads])
        add("ssm_conv1d.weight", [kernel, channels])
        add("ssm_beta.weight", [width, heads])
        add("ssm_alpha.weight", [width, heads])
        add("ssm_dt.bias", [heads])
        draft.tensors.append(.decays("\(block).ssm_a", [heads]))
        add("ssm_norm.weight", [length])
        add("ssm_out.weight", [length * heads, width])
    }

    private func latentTensors<R: RandomNumberGenerator>(_ block: String, _ width: Int, _ draft: inout ModelDraft, _ random: inout R) {
        func add(_ name: String, _ extents: [Int]) { draft.tensors.append(.random("\(block).\(name).weight", .f32, extents, &random)) }
        let plain = keyLength - rotated / 2
        add("attn_q_a", [width, narrowQueries])
        add("attn_q_a_norm", [narrowQueries])
        add("attn_q_b", [narrowQueries, heads * keyLength])
        add("attn_kv_a_mqa", [width, compressed + rotated / 2])
        add("attn_kv_a_norm", [compressed])
        add("attn_k_b", [plain, compressed, heads])
        add("attn_v_b", [compressed, valueLength, heads])
        add("attn_output", [heads * valueLength, width])
    }
}

extension ModelDraft.TensorDraft {
    /// Figures below 0, as those are that states decay by wherever nothing is odd.
    package static func decays(_ name: String, _ extents: [Int]) -> ModelDraft.TensorDraft {
        var bytes: [UInt8] = []
        for index in 0..<extents.reduce(1, *) {
            withUnsafeBytes(of: -Float(index + 1) / 4) { bytes.append(contentsOf: $0) }
        }
        return ModelDraft.TensorDraft(name: name, type: .f32, extents: extents, content: .bytes(bytes))
    }

    /// Floats between -1 and 1, or any bytes for other types.
    package static func random<R: RandomNumberGenerator>(
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
