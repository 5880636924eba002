import Tensor

/// Attention of a step's queries over what slots have cached, group by group: the part that every kind of attention shares.
struct CachedAttention: Sendable {
    var headCount: Int
    /// Heads of keys and values.
    var keyValueHeadCount: Int
    var keyLength: Int
    var valueLength: Int
    /// Multiplies the products of queries and keys.
    var scale: Float
    /// Positions that a query sees, itself included; nil for all before it.
    var window: Int?

    /// From queries `[key length · heads, tokens]` to `[value length · heads, tokens]`.
    func callAsFunction(_ q: TensorID, keys: TensorID, values: TensorID, _ layer: LayerContext) -> TensorID? {
        var attended: TensorID?
        for group in layer.pass.groups {
            let part = attend(q, keys, values, group, layer)
            attended = attended.map { layer.g.node("", .concat(dimension: 1), [$0, part]) } ?? part
        }
        return attended
    }

    private func attend(
        _ q: TensorID, _ keys: TensorID, _ values: TensorID, _ inputs: ForwardContext.GroupInputs, _ layer: LayerContext
    ) -> TensorID {
        let g = layer.g
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
            q: g.permute(split, (0, 2, 1, 3)), k: view(keys, length: keyLength, group, layer),
            v: view(values, length: valueLength, group, layer), mask: window == nil ? inputs.mask : inputs.slidingMask,
            FlashAttentionParameters(scale: scale))
        let flat = g.reshape(attended, Shape(valueLength * headCount, group.tokensPerSlot * group.slotCount))
        return inputs.pick.map { g.getRows(flat, $0) } ?? flat
    }

    /// What a group of queries reads: `[length, keys, heads, slots]`.
    private func view(_ plane: TensorID, length: Int, _ group: BatchLayout.Group, _ layer: LayerContext) -> TensorID {
        let g = layer.g
        let tensor = g[plane]
        let (element, row) = (tensor.strides[0], tensor.strides[1])
        let slot = row * layer.positionsPerSlot(window: window)
        return g.view(
            of: plane, shape: Shape(length, layer.keyCount(of: group, window: window), keyValueHeadCount, group.slotCount),
            strides: Strides(element, row, length * element, slot), byteOffset: group.firstSlot * slot)
    }
}
