import Tensor

/// Attention over a cache of keys and values, with heads of queries sharing those in groups (Ainslie et al., 2023).
struct SelfAttention: Sendable {
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

    var headCount: Int
    var keyValueHeadCount: Int
    var keyLength: Int
    var valueLength: Int

    /// `[width, tokens]` to `[width, tokens]`; the tokens' keys and values are written to the cache on the way.
    func callAsFunction(_ x: TensorID, layer: Int, sliding: Bool, _ pass: ForwardContext) -> TensorID {
        let g = pass.g
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

        let cache = pass.cache[layer]
        let rows = Shape(keyLength * keyValueHeadCount, tokens)
        let keys = g.setRows(g.reshape(k, rows), at: pass.cacheRows, of: cache.keys(g))
        let values = g.setRows(v, at: pass.cacheRows, of: cache.values(g))

        var attended: TensorID?
        for group in pass.groups {
            let part = attend(g.reshape(q, Shape(keyLength * headCount, tokens)), keys, values, group, sliding, pass)
            attended = attended.map { g.node("", .concat(dimension: 1), [$0, part]) } ?? part
        }
        return attended.map { output($0, g) } ?? x
    }

    /// The queries of one group, from `q` `[key length · heads, tokens]`, to `[value length · heads, the group's tokens]`.
    private func attend(
        _ q: TensorID, _ keys: TensorID, _ values: TensorID, _ inputs: ForwardContext.GroupInputs, _ sliding: Bool,
        _ pass: ForwardContext
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
            q: g.permute(split, (0, 2, 1, 3)), k: pass.cache.view(keys, length: keyLength, keyValueHeadCount, group, g),
            v: pass.cache.view(values, length: valueLength, keyValueHeadCount, group, g),
            mask: sliding ? inputs.slidingMask : inputs.mask, FlashAttentionParameters(scale: productScale))
        let flat = g.reshape(attended, Shape(valueLength * headCount, group.tokensPerSlot * group.slotCount))
        return inputs.pick.map { g.getRows(flat, $0) } ?? flat
    }
}
