import Tensor

/// One layer of a model that generates: what it computes, and what it remembers.
protocol Block: Sendable {
    /// What it remembers of the tokens that went through.
    var state: LayerState { get }

    /// The first half, over all tokens of a step: from hidden states `[width, tokens]` to whatever the second half needs of each
    /// token, every tensor with a column for each.
    func mix(_ x: TensorID, _ layer: LayerContext) -> [TensorID]

    /// The second half, token by token: to hidden states `[width, tokens]`. In the last layer the tokens are only those whose
    /// results are wanted.
    func transform(_ mixed: [TensorID], _ layer: LayerContext) -> TensorID
}

/// What of a layer brings tokens together: attention, a recurrence. `[width, tokens]` to `[width, tokens]`.
protocol TokenMixer: Sendable {
    var state: LayerState { get }
    func callAsFunction(_ x: TensorID, _ layer: LayerContext) -> TensorID
}

/// What of a layer takes each token by itself. `[width, tokens]` to `[width, tokens]`.
protocol TokenTransformation: Sendable {
    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID
}

/// Most models' layer: what mixes tokens and what transforms them, each behind a norm and added to what went in (Xiong et al.,
/// "On Layer Normalization in the Transformer Architecture", 2020), with norms behind them too where there are any.
struct TransformerBlock: Block {
    var mixerNorm: RMSNorm
    var mixer: any TokenMixer
    var mixerPostNorm: RMSNorm?
    var transformationNorm: RMSNorm
    var transformation: any TokenTransformation
    var transformationPostNorm: RMSNorm?

    /// With norms of the names that most files have.
    init(
        _ source: LayerSource, _ mixer: any TokenMixer, _ transformation: any TokenTransformation, transformationNorm: String = "ffn_norm"
    ) throws(ModelError) {
        self.mixer = mixer
        self.transformation = transformation
        mixerNorm = try source.norm("attn_norm", source.width)
        self.transformationNorm = try source.norm(transformationNorm, source.width)
    }

    var state: LayerState { mixer.state }

    func mix(_ x: TensorID, _ layer: LayerContext) -> [TensorID] {
        let g = layer.g
        var mixed = mixer(mixerNorm(x, g), layer)
        if let mixerPostNorm { mixed = mixerPostNorm(mixed, g) }
        return [g.add(mixed, x)]
    }

    func transform(_ mixed: [TensorID], _ layer: LayerContext) -> TensorID {
        let g = layer.g
        let x = mixed[0]
        var transformed = transformation(transformationNorm(x, g), g)
        if let transformationPostNorm { transformed = transformationPostNorm(transformed, g) }
        return g.add(transformed, x)
    }
}
