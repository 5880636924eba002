import Tensor

/// Gemma 3 (Google, 2025): norms before and after each block, normed queries and keys, and layers of which most see
/// only a sliding window, with a rope of their own.
enum Gemma3 {
    static let entry = ArchitectureEntry("gemma3") { (source) throws(ModelError) in
        let metadata = source.metadata
        let h = source.hyperparameters
        let window = try metadata.count("attention.sliding_window", atMost: 1 << 31, allowingZero: true) ?? 0
        let isSliding = try metadata.slidingLayers(count: h.layerCount, defaultPattern: 6).map { $0 && window > 0 }
        var model = try DecoderOnly(source) { (layer) throws(ModelError) in
            try block(layer, window: isSliding[layer.index] ? window : nil)
        }
        model.embeddingScale = Float(h.embeddingLength).squareRoot()
        model.logitCap = try metadata.float("final_logit_softcapping") ?? 0
        return model
    }

    private static func block(_ layer: LayerSource, window: Int?) throws(ModelError) -> any Block {
        let heads = try HeadFigures(layer)
        var rope = try RopeParameters(layer, mode: .neox, keyLength: heads.keyLength)
        if window != nil {
            rope.frequencyBase = try layer.metadata.float("rope.freq_base_swa") ?? 10000
            rope.frequencyScale = 1
        }
        // The 27B model scales its queries by the width per head, the others by the head's own length.
        let perHead = layer.model.hyperparameters.layerCount == 62 ? layer.width / heads.headCount : heads.keyLength
        let attention = try SelfAttention(
            layer, heads, rope: rope, hasNorms: true, queryScale: 1 / Float(perHead).squareRoot(), window: window)
        let feedForward = try FeedForward(layer, hidden: try layer.feedForwardLength(), .geglu).without(scales: true, biases: true)
        var block = try TransformerBlock(layer, attention, feedForward)
        block.mixerPostNorm = try layer.norm("post_attention_norm", layer.width)
        block.transformationPostNorm = try layer.norm("post_ffw_norm", layer.width)
        return block
    }
}
