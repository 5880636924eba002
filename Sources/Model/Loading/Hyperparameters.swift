public import Tensor

/// The figures of a transformer as its file's metadata gives them, checked against sane limits.
///
/// Names and defaults are those of the GGUF specification; the keys carry the architecture's name as prefix.
public struct Hyperparameters: Hashable, Sendable {
    public var architecture: String
    /// Width of the hidden state.
    public var embeddingLength: Int
    public var layerCount: Int
    /// Tokens the model was trained to attend over.
    public var trainedContext: Int
    public var vocabularySize: Int
    public var headCount: Int
    /// Heads of keys and values; queries share them in groups.
    public var keyValueHeadCount: Int
    public var keyLength: Int
    public var valueLength: Int
    public var feedForwardLength: Int
    public var normEpsilon: Float

    public var rope: RopeParameters
    /// The rope of layers with a sliding window, where it differs.
    public var slidingRope: RopeParameters
    /// Positions a sliding-window layer sees, itself included; 0 for none.
    public var slidingWindow: Int
    /// For each layer, whether it has the window.
    public var isSliding: [Bool]

    public var expertCount: Int
    public var usedExpertCount: Int
    public var finalLogitSoftcap: Float

    /// Bytes of keys and values that one token takes in all layers at F16.
    public var cacheByteCountPerToken: Int { layerCount * keyValueHeadCount * (keyLength + valueLength) * 2 }
}

extension Hyperparameters {
    /// - Parameter slidingPattern: every how many-th layer sees everything, where the file does not say.
    init(_ metadata: ModelMetadata, rope mode: RopeParameters.Mode, slidingPattern: Int) throws(ModelError) {
        architecture = metadata.architecture
        embeddingLength = try metadata.requiredCount("embedding_length", atMost: 1 << 20)
        layerCount = try metadata.requiredCount("block_count", atMost: 4096)
        trainedContext = try metadata.requiredCount("context_length", atMost: 1 << 31)
        vocabularySize = try metadata.vocabularySize()
        headCount = try metadata.perLayerCount("attention.head_count", layers: layerCount)
        keyValueHeadCount =
            try metadata.optionalPerLayerCount("attention.head_count_kv", layers: layerCount) ?? headCount
        guard headCount % keyValueHeadCount == 0 else {
            throw ModelError(.metadata, "\(headCount) heads cannot share \(keyValueHeadCount) heads of keys and values")
        }
        keyLength = try metadata.count("attention.key_length", atMost: 1 << 16) ?? embeddingLength / headCount
        valueLength = try metadata.count("attention.value_length", atMost: 1 << 16) ?? embeddingLength / headCount
        guard keyLength > 0, valueLength > 0 else {
            throw ModelError(.metadata, "\(headCount) heads cannot share a width of \(embeddingLength)")
        }
        feedForwardLength = try metadata.perLayerCount("feed_forward_length", layers: layerCount)
        normEpsilon = try metadata.requiredFloat("attention.layer_norm_rms_epsilon")

        expertCount = try metadata.count("expert_count", atMost: 1024, allowingZero: true) ?? 0
        usedExpertCount = try metadata.count("expert_used_count", atMost: 1024, allowingZero: true) ?? 0
        guard usedExpertCount <= expertCount, (usedExpertCount > 0) == (expertCount > 0) else {
            throw ModelError(.metadata, "\(usedExpertCount) of \(expertCount) experts cannot be used")
        }
        finalLogitSoftcap = try metadata.float("final_logit_softcapping") ?? 0

        rope = try RopeParameters(metadata, mode: mode, keyLength: keyLength, trainedContext: trainedContext)
        slidingRope = rope
        slidingRope.frequencyBase = try metadata.float("rope.freq_base_swa") ?? 10000
        slidingRope.frequencyScale = 1

        slidingWindow = try metadata.count("attention.sliding_window", atMost: 1 << 31, allowingZero: true) ?? 0
        isSliding = try metadata.slidingLayers(count: layerCount, defaultPattern: slidingPattern)
        if slidingWindow == 0 { isSliding = [Bool](repeating: false, count: layerCount) }
    }
}

extension RopeParameters {
    /// Frequency base, linear and YaRN scaling as the file's metadata gives them.
    ///
    /// YaRN (Peng et al., 2023) also scales the attention by a factor of the stretch, `0.1 · ln(s) + 1`. The rotation
    /// kernel applies that factor itself whenever it extrapolates; only what the file adds to it is put here. Keys for
    /// YaRN's other figures exist, but are other architectures': the reference does not read them for these.
    init(_ metadata: ModelMetadata, mode: Mode, keyLength: Int, trainedContext: Int) throws(ModelError) {
        let dimensions = try metadata.count("rope.dimension_count", atMost: keyLength) ?? keyLength
        guard dimensions % 2 == 0 else {
            throw ModelError(.metadata, "an odd number of \(dimensions) dimensions cannot be rotated in pairs")
        }
        let scaling = try metadata.string("rope.scaling.type") ?? "linear"
        guard ["none", "linear", "yarn"].contains(scaling) else {
            throw ModelError(.unsupported, "rope scaling \"\(scaling)\" is not supported: none, linear and yarn are")
        }
        // The second key is that of old files.
        let older = try metadata.float("rope.scale_linear")
        let factor = try metadata.float("rope.scaling.factor") ?? older ?? 0
        guard factor >= 0, factor.isFinite else { throw ModelError(.metadata, "a rope scaling factor of \(factor)") }
        let stretches = factor > 0 && scaling != "none"
        self.init(
            dimensions: dimensions, mode: mode,
            originalContext: try metadata.count("rope.scaling.original_context_length", atMost: 1 << 31) ?? trainedContext,
            frequencyBase: try metadata.float("rope.freq_base") ?? 10000,
            frequencyScale: stretches ? 1 / factor : 1,
            extrapolationFactor: scaling == "yarn" ? 1 : 0,
            attentionFactor: try metadata.float("rope.scaling.attn_factor") ?? 1)
    }
}
