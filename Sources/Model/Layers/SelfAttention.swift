import Tensor

/// Attention over a cache of keys and values, with heads of queries sharing those in groups (Ainslie et al., 2023).
struct SelfAttention: TokenMixer {
    /// With a gate of the same length behind each head's queries, where the result is gated.
    var query: Linear
    var key: Linear
    var value: Linear
    var output: Linear
    /// Norms of each head's queries and keys before they are rotated, in architectures that have them.
    var queryNorm: RMSNorm?
    var keyNorm: RMSNorm?
    var rope: RopeParameters
    /// Multiplies the queries before they meet the keys.
    var queryScale: Float
    /// Multiplies the products of queries and keys.
    var productScale: Float
    /// The file's factors on the rotation's frequencies (Llama 3.1), `[dimensions / 2]`.
    var ropeFactors: Weight?

    var heads: HeadFigures
    /// Positions that a query sees, itself included; nil for all before it.
    var window: Int?
    /// Whether each token says how much of what it attended to goes on.
    var isGated: Bool

    /// With its matrices, and norms of queries and keys where the architecture has them.
    ///
    /// - Parameter queryScale: nil where products are scaled instead, by the root of the keys' length.
    init(
        _ source: LayerSource, _ heads: HeadFigures, rope: RopeParameters, hasNorms: Bool = false, queryScale: Float? = nil,
        window: Int? = nil, isGated: Bool = false
    ) throws(ModelError) {
        let width = source.width
        self.heads = heads
        self.rope = rope
        self.window = window
        self.isGated = isGated
        guard !isGated || heads.keyLength == heads.valueLength else {
            throw ModelError(.metadata, "gates of \(heads.keyLength) do not fit values of \(heads.valueLength)")
        }
        self.queryScale = queryScale ?? 1
        productScale = queryScale == nil ? 1 / Float(heads.keyLength).squareRoot() : 1
        query = try source.linear("attn_q", from: width, to: heads.keyLength * heads.headCount * (isGated ? 2 : 1))
        key = try source.linear("attn_k", from: width, to: heads.keyLength * heads.keyValueHeadCount)
        value = try source.linear("attn_v", from: width, to: heads.valueLength * heads.keyValueHeadCount)
        output = try source.linear("attn_output", from: heads.valueLength * heads.headCount, to: width)
        if hasNorms {
            queryNorm = try source.norm("attn_q_norm", heads.keyLength)
            keyNorm = try source.norm("attn_k_norm", heads.keyLength)
        }
    }

    var state: LayerState {
        .attention(
            keyRow: heads.keyLength * heads.keyValueHeadCount, valueRow: heads.valueLength * heads.keyValueHeadCount, window: window,
            hasSections: rope.hasSections)
    }

    /// The tokens' keys and values are written to the cache on the way.
    func callAsFunction(_ x: TensorID, _ layer: LayerContext) -> TensorID {
        let (pass, g) = (layer.pass, layer.g)
        let tokens = pass.layout.tokenCount
        let (projected, gate) = queries(of: x, tokens, g)
        var q = projected
        var k = g.reshape(key(x, g), Shape(heads.keyLength, heads.keyValueHeadCount, tokens))
        let v = value(x, g)
        if let queryNorm { q = queryNorm(q, g) }
        if let keyNorm { k = keyNorm(k, g) }
        let factors = ropeFactors.map { g.weight($0) }
        let positions = rope.hasSections ? pass.sectionPositions : pass.positions
        q = g.rope(q, positions: positions, factors: factors, rope)
        k = g.rope(k, positions: positions, factors: factors, rope)
        if queryScale != 1 { q = g.scale(q, by: queryScale) }

        let rows = layer.cacheRows(window: window)
        let flat = g.reshape(k, Shape(heads.keyLength * heads.keyValueHeadCount, tokens))
        let keys = g.setRows(flat, at: rows, of: layer.plane(0))
        let values = g.setRows(v, at: rows, of: layer.plane(1))
        let attention = CachedAttention(
            headCount: heads.headCount, keyValueHeadCount: heads.keyValueHeadCount, keyLength: heads.keyLength,
            valueLength: heads.valueLength, scale: productScale, window: window)
        let queries = g.reshape(q, Shape(heads.keyLength * heads.headCount, tokens))
        guard
            var attended = attention(
                queries, keys: keys, values: values, layer)
        else { return x }
        if let gate { attended = g.mul(attended, g.unary(.sigmoid, gate)) }
        return output(attended, g)
    }

    /// Each head's queries, `[length, heads, tokens]`, and what gates the result, `[length · heads, tokens]`.
    private func queries(of x: TensorID, _ tokens: Int, _ g: GraphBuilder) -> (TensorID, gate: TensorID?) {
        let shape = Shape(heads.keyLength, heads.headCount, tokens)
        guard isGated else { return (g.reshape(query(x, g), shape), nil) }
        let both = g.reshape(query(x, g), Shape(2 * heads.keyLength, heads.headCount, tokens))
        let strides = g[both].strides
        let gate = g.contiguous(g.view(of: both, shape: shape, strides: strides, byteOffset: heads.keyLength * 4))
        return (g.view(of: both, shape: shape, strides: strides), g.reshape(gate, Shape(heads.keyLength * heads.headCount, tokens)))
    }
}
