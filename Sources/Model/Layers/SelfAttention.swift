import Tensor

/// Attention over a cache of keys and values, with heads of queries sharing those in groups (Ainslie et al., 2023).
struct SelfAttention: TokenMixer {
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

    /// With its matrices, and norms of queries and keys where the architecture has them.
    ///
    /// - Parameter queryScale: nil where products are scaled instead, by the root of the keys' length.
    init(
        _ source: LayerSource, _ heads: HeadFigures, rope: RopeParameters, hasNorms: Bool = false, queryScale: Float? = nil,
        window: Int? = nil
    ) throws(ModelError) {
        let width = source.width
        self.heads = heads
        self.rope = rope
        self.window = window
        self.queryScale = queryScale ?? 1
        productScale = queryScale == nil ? 1 / Float(heads.keyLength).squareRoot() : 1
        query = try source.linear("attn_q", from: width, to: heads.keyLength * heads.headCount)
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
            keyRow: heads.keyLength * heads.keyValueHeadCount, valueRow: heads.valueLength * heads.keyValueHeadCount, window: window)
    }

    /// The tokens' keys and values are written to the cache on the way.
    func callAsFunction(_ x: TensorID, _ layer: LayerContext) -> TensorID {
        let (pass, g) = (layer.pass, layer.g)
        let tokens = pass.layout.tokenCount
        var q = g.reshape(query(x, g), Shape(heads.keyLength, heads.headCount, tokens))
        var k = g.reshape(key(x, g), Shape(heads.keyLength, heads.keyValueHeadCount, tokens))
        let v = value(x, g)
        if let queryNorm { q = queryNorm(q, g) }
        if let keyNorm { k = keyNorm(k, g) }
        let factors = ropeFactors.map { g.weight($0) }
        q = g.rope(q, positions: pass.positions, factors: factors, rope)
        k = g.rope(k, positions: pass.positions, factors: factors, rope)
        if queryScale != 1 { q = g.scale(q, by: queryScale) }

        let rows = layer.cacheRows(window: window)
        let flat = g.reshape(k, Shape(heads.keyLength * heads.keyValueHeadCount, tokens))
        let keys = g.setRows(flat, at: rows, of: layer.plane(0))
        let values = g.setRows(v, at: rows, of: layer.plane(1))
        let attention = CachedAttention(
            headCount: heads.headCount, keyValueHeadCount: heads.keyValueHeadCount, keyLength: heads.keyLength,
            valueLength: heads.valueLength, scale: productScale, window: window)
        let queries = g.reshape(q, Shape(heads.keyLength * heads.headCount, tokens))
        let attended = attention(
            queries, keys: CachedAttention.Plane(tensor: keys), values: CachedAttention.Plane(tensor: values), layer)
        return attended.map { output($0, g) } ?? x
    }
}
