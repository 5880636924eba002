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
