import Tensor

/// Llama 1 to 3 (Meta, 2023-2024) and its many kin, Mixtral's mixture of experts among them.
enum Llama {
    static let entry = ArchitectureEntry("llama") { (source) throws(ModelError) in
        let window = try source.metadata.count("attention.sliding_window", atMost: 1 << 31, allowingZero: true) ?? 0
        guard window == 0 else { throw ModelError(.unsupported, "a llama model with a sliding window is not supported") }
        return try DecoderOnly(source) { (layer) throws(ModelError) in
            let heads = try HeadFigures(layer)
            let rope = try RopeParameters(layer, mode: .normal, keyLength: heads.keyLength)
            guard rope.dimensions == heads.keyLength else {
                throw ModelError(.metadata, "llama rotates whole heads, but \(rope.dimensions) of \(heads.keyLength) are given")
            }
            var attention = try SelfAttention(layer, heads, rope: rope)
            attention.ropeFactors = try layer.weights.optional("rope_freqs.weight", Shape(rope.dimensions / 2))
            return try TransformerBlock(layer, attention, try feedForward(layer))
        }
    }

    private static func feedForward(_ layer: LayerSource) throws(ModelError) -> any TokenTransformation {
        let hidden = try layer.feedForwardLength()
        guard let experts = try ExpertFigures(layer) else { return try FeedForward(layer, hidden: hidden, .swiglu) }
        return try MixtureOfExperts(layer, experts, hidden: hidden)
    }
}
