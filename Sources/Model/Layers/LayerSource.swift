import Tensor

/// What an architecture is made of: a file's metadata, and its weights wherever they are.
struct ModelSource {
    let metadata: ModelMetadata
    let weights: any ModelWeights
    let hyperparameters: Hyperparameters

    init(_ metadata: ModelMetadata, _ weights: any ModelWeights) throws(ModelError) {
        self.metadata = metadata
        self.weights = weights
        hyperparameters = try Hyperparameters(metadata)
    }

    func layer(_ index: Int) -> LayerSource { LayerSource(self, index) }
}

/// What one layer is made of. Figures that a file gives once hold for every layer, those that it gives as a list are its own.
struct LayerSource {
    let model: ModelSource
    let index: Int
    let weights: any WeightSource

    init(_ model: ModelSource, _ index: Int) {
        self.model = model
        self.index = index
        weights = model.weights.weights(of: .layer(index))
    }

    /// Width of the hidden state.
    var width: Int { model.hyperparameters.embeddingLength }
    var metadata: ModelMetadata { model.metadata }

    // MARK: Weights, by their names within the layer

    func name(_ name: String) -> String { "blk.\(index).\(name)" }

    func linear(
        _ name: String, from input: Int, to output: Int, scaling: Linear.Scaling = .product
    ) throws(ModelError) -> Linear {
        try Linear(weights, self.name(name), from: input, to: output, scaling: scaling)
    }

    func norm(_ name: String, _ length: Int) throws(ModelError) -> RMSNorm {
        try RMSNorm(weights, self.name(name), length, epsilon: try metadata.requiredFloat("attention.layer_norm_rms_epsilon"))
    }

    func required(_ name: String, _ shape: Shape) throws(ModelError) -> Weight { try weights.required(self.name(name), shape) }

    func optional(_ name: String, _ shape: Shape) throws(ModelError) -> Weight? { try weights.optional(self.name(name), shape) }

    func has(_ name: String) -> Bool { weights.weight(named: self.name(name)) != nil }

    // MARK: Figures

    /// A whole number that every file of the architecture has.
    func requiredCount(_ key: String, atMost limit: Int = 1 << 24) throws(ModelError) -> Int {
        guard let count = try count(key, atMost: limit) else { throw metadata.missing(key) }
        return count
    }

    /// A whole number, nil if the file has none.
    func count(_ key: String, atMost limit: Int = 1 << 24, allowingZero: Bool = false) throws(ModelError) -> Int? {
        try metadata.count(key, ofLayer: index, atMost: limit, allowingZero: allowingZero)
    }

    /// The width between the two halves of a feed-forward network.
    func feedForwardLength() throws(ModelError) -> Int { try requiredCount("feed_forward_length") }
}

/// How a layer's attention is divided into heads.
struct HeadFigures: Hashable, Sendable {
    var headCount: Int
    /// Heads of keys and values; queries share them in groups.
    var keyValueHeadCount: Int
    var keyLength: Int
    var valueLength: Int

    init(_ source: LayerSource) throws(ModelError) {
        headCount = try source.requiredCount("attention.head_count")
        keyValueHeadCount = try source.count("attention.head_count_kv") ?? headCount
        guard headCount % keyValueHeadCount == 0 else {
            throw ModelError(.metadata, "\(headCount) heads cannot share \(keyValueHeadCount) heads of keys and values")
        }
        keyLength = try source.count("attention.key_length", atMost: 1 << 16) ?? source.width / headCount
        valueLength = try source.count("attention.value_length", atMost: 1 << 16) ?? source.width / headCount
        guard keyLength > 0, valueLength > 0 else {
            throw ModelError(.metadata, "\(headCount) heads cannot share a width of \(source.width)")
        }
    }
}

/// How many experts a layer has, and how many of them a token uses.
struct ExpertFigures: Hashable, Sendable {
    var count: Int
    var usedCount: Int

    /// Nil for models without.
    init?(_ source: LayerSource) throws(ModelError) {
        count = try source.count("expert_count", atMost: 1024, allowingZero: true) ?? 0
        usedCount = try source.count("expert_used_count", atMost: 1024, allowingZero: true) ?? 0
        guard usedCount <= count, (usedCount > 0) == (count > 0) else {
            throw ModelError(.metadata, "\(usedCount) of \(count) experts cannot be used")
        }
        if count == 0 { return nil }
    }
}
