import Tensor

/// Qwen 2 and 2.5 (Alibaba, 2024): Llama's blocks, with biases on queries, keys and values.
enum Qwen2 {
    static let entry = ArchitectureEntry("qwen2") { (source) throws(ModelError) in
        try DecoderOnly(source) { (layer) throws(ModelError) in
            let heads = try HeadFigures(layer)
            let attention = try SelfAttention(layer, heads, rope: try RopeParameters(layer, mode: .neox, keyLength: heads.keyLength))
            let feedForward = try FeedForward(layer, hidden: try layer.feedForwardLength(), .swiglu)
            return try TransformerBlock(layer, attention, feedForward.without(scales: true, biases: true))
        }
    }
}

/// Qwen 3 (Alibaba, 2025): norms of queries and keys instead of biases; and its kind with experts.
enum Qwen3 {
    static let entry = ArchitectureEntry("qwen3") { (source) throws(ModelError) in
        try DecoderOnly(source) { (layer) throws(ModelError) in
            let feedForward = try FeedForward(layer, hidden: try layer.feedForwardLength(), .swiglu)
            return try TransformerBlock(layer, try attention(layer), feedForward.without(scales: false, biases: true))
        }
    }

    static let expertsEntry = ArchitectureEntry("qwen3moe") { (source) throws(ModelError) in
        try DecoderOnly(source) { (layer) throws(ModelError) in
            guard let experts = try ExpertFigures(layer) else { throw layer.metadata.missing("expert_count") }
            var hidden = try layer.feedForwardLength() / experts.usedCount
            if let own = try layer.count("expert_feed_forward_length") { hidden = own }
            return try TransformerBlock(layer, try attention(layer), try MixtureOfExperts(layer, experts, hidden: hidden))
        }
    }

    private static func attention(_ layer: LayerSource) throws(ModelError) -> SelfAttention {
        let heads = try HeadFigures(layer)
        let rope = try RopeParameters(layer, mode: .neox, keyLength: heads.keyLength)
        return try SelfAttention(layer, heads, rope: rope, hasNorms: true)
    }
}

/// Qwen 3.5 (Alibaba, 2026): gated delta nets, and every few layers attention whose result is gated, with a rope in sections.
enum Qwen35 {
    static let entry = ArchitectureEntry("qwen35") { (source) throws(ModelError) in
        let isRecurrent = try recurrentLayers(source)
        return try DecoderOnly(source) { (layer) throws(ModelError) in
            let mixer: any TokenMixer = isRecurrent[layer.index] ? try GatedDeltaNet(layer) : try attention(layer)
            let feedForward = try FeedForward(layer, hidden: try layer.feedForwardLength(), .swiglu)
            return try TransformerBlock(
                layer, mixer, feedForward.without(scales: false, biases: true), transformationNorm: "post_attention_norm")
        }
    }

    /// By layer: as the file says, else all but every n-th.
    private static func recurrentLayers(_ source: ModelSource) throws(ModelError) -> [Bool] {
        let count = source.hyperparameters.layerCount
        if let flags = try source.metadata.flags("attention.recurrent_layers", count: count) { return flags }
        let interval = try source.metadata.count("full_attention_interval", atMost: 1 << 16) ?? 4
        return (0..<count).map { ($0 + 1) % interval != 0 }
    }

    private static func attention(_ layer: LayerSource) throws(ModelError) -> SelfAttention {
        let heads = try HeadFigures(layer)
        var rope = try RopeParameters(layer, mode: .interleavedMulti, keyLength: heads.keyLength)
        rope.sections = try layer.metadata.ropeSections()
        var attention = try SelfAttention(layer, heads, rope: rope, hasNorms: true, isGated: true)
        if let scale = try layer.metadata.float("attention.scale"), scale != 0 { attention.productScale = scale }
        return attention
    }
}
