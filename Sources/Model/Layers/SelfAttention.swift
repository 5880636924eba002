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

    private var headCount: Int { heads.headCount }
    private var keyValueHeadCount: Int { heads.keyValueHeadCount }
    private var keyLength: Int { heads.keyLength }
    private var valueLength: Int { heads.valueLength }

    /// The tokens' keys and values are written to the cache on the way.
    func callAsFunction(_ x: TensorID, _ layer: LayerContext) -> TensorID {
        let (pass, g) = (layer.pass, layer.g)
        let tokens = pass.layout.tokenCount
        var q = g.reshape(query(x, g), Shape(keyLength, headCount, tokens))
        var k = g.reshape(key(x, g), Shape(keyLength, keyValueHeadCount, tokens))
        let v = value(x, g)
        if let queryNorm { q = queryNorm(q, g) }
        if let keyNorm { k = keyNorm(k, g) }
        let factors = ropeFactors.map { g.weight($0) }
        q = g.rope(q, positions: pass.positions, factors: factors, rope)
        k = g.rope(k, positions: pass.positions, factors: factors, rope)
        if queryScale != 1 { q = g.scale(q, by: queryScale) }

        let rows = Shape(keyLength * keyValueHeadCount, tokens)
        let keys = g.setRows(g.reshape(k, rows), at: pass.cacheRows, of: layer.cache.plane(0, g))
        let values = g.setRows(v, at: pass.cacheRows, of: layer.cache.plane(1, g))

        var attended: TensorID?
        for group in pass.groups {
            let part = attend(g.reshape(q, Shape(keyLength * headCount, tokens)), keys, values, group, pass)
            attended = attended.map { g.node("", .concat(dimension: 1), [$0, part]) } ?? part
        }
        return attended.map { output($0, g) } ?? x
    }

    /// The queries of one group, from `q` `[key length · heads, tokens]`, to `[value length · heads, the group's tokens]`.
    private func attend(
        _ q: TensorID, _ keys: TensorID, _ values: TensorID, _ inputs: ForwardContext.GroupInputs, _ pass: ForwardContext
    ) -> TensorID {
        let g = pass.g
        let group = inputs.group
        let rowLength = keyLength * headCount
        let stride = rowLength * 4
        var own = g.view(
            of: q, shape: Shape(rowLength, group.tokenCount),
            strides: Strides(4, stride, stride * group.tokenCount, stride * group.tokenCount),
            byteOffset: group.firstToken * stride)
        // Queries of live slots move to their slots' places, so that one operation serves every slot of the range.
        if let spread = inputs.spread { own = g.getRows(own, spread) }
        let split = g.reshape(own, Shape(keyLength, headCount, group.tokensPerSlot, group.slotCount))

        let attended = g.flashAttention(
            q: g.permute(split, (0, 2, 1, 3)), k: view(keys, length: keyLength, group, pass), v: view(values, length: valueLength, group, pass),
            mask: inputs.mask(window: window), FlashAttentionParameters(scale: productScale))
        let flat = g.reshape(attended, Shape(valueLength * headCount, group.tokensPerSlot * group.slotCount))
        return inputs.pick.map { g.getRows(flat, $0) } ?? flat
    }

    /// What a group of queries reads: `[length, keys, heads, slots]`.
    private func view(_ plane: TensorID, length: Int, _ group: BatchLayout.Group, _ pass: ForwardContext) -> TensorID {
        let row = length * keyValueHeadCount * 2
        let slot = row * pass.cache.contextLength
        return pass.g.view(
            of: plane, shape: Shape(length, group.keyCount, keyValueHeadCount, group.slotCount),
            strides: Strides(2, row, length * 2, slot), byteOffset: group.firstSlot * slot)
    }
}
