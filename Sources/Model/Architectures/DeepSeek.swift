import Tensor

/// DeepSeek V2 and V3 (2024) and those built like them: latent attention, a few dense layers, then experts of which some are shared
/// by all tokens.
enum DeepSeek2 {
    static let entry = ArchitectureEntry("deepseek2") { (source) throws(ModelError) in
        let metadata = source.metadata
        let dense = try metadata.count("leading_dense_block_count", atMost: 4096, allowingZero: true) ?? 0
        return try DecoderOnly(source) { (layer) throws(ModelError) in
            let rotated = try layer.requiredCount("rope.dimension_count", atMost: 1 << 16)
            let rope = try RopeParameters(layer, mode: .normal, keyLength: rotated)
            // Files hold a tenth of what is meant.
            let logFactor = (try metadata.float("rope.scaling.yarn_log_multiplier") ?? 0) * 10
            let attention = try LatentAttention(layer, rope: rope, logFactor: logFactor)
            let transformation: any TokenTransformation =
                layer.index < dense
                ? try FeedForward(layer, hidden: try layer.feedForwardLength(), .swiglu).without(scales: true, biases: true)
                : try experts(layer)
            return try TransformerBlock(layer, attention, transformation)
        }
    }

    private static func experts(_ layer: LayerSource) throws(ModelError) -> any TokenTransformation {
        guard let figures = try ExpertFigures(layer) else { throw layer.metadata.missing("expert_count") }
        let hidden = try layer.requiredCount("expert_feed_forward_length")
        var experts = try MixtureOfExperts(layer, figures, hidden: hidden).withoutScales()
        experts.routing = try ExpertRouting(layer, figures)
        experts.selectionBias = try layer.optional("exp_probs_b.bias", Shape(figures.count))
        let shared = try layer.requiredCount("expert_shared_count", atMost: 1024)
        let always = try FeedForward(layer, hidden: hidden * shared, .swiglu, suffix: "_shexp")
        return SharedExperts(routed: experts, shared: always.without(scales: true, biases: true))
    }
}
