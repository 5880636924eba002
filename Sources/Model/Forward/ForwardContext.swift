import Tensor

/// What the layers of one graph share while it is built: the builder, the step's layout and its inputs.
///
/// There are only inputs that the stage reads: each is sent anew with every step.
final class ForwardContext {
    /// The inputs that belong to one group of the layout.
    struct GroupInputs: Sendable {
        var group: BatchLayout.Group
        /// F16 `[keys, tokens per slot, 1, slots]`: 0 where a query sees a key, -infinity where not. Nil where all layers
        /// have a sliding window.
        var mask: TensorID?
        /// The same for layers with a sliding window, if there are any.
        var slidingMask: TensorID?
        /// For each slot of the range, the group's token that it has, or any.
        var spread: TensorID?
        /// For each token of the group, its slot's place in the range.
        var pick: TensorID?
    }

    let g = GraphBuilder()
    let layout: BatchLayout
    let cache: KVCache
    /// I32 `[tokens]`, or, where the stage does not begin with tokens, F32 `[width, columns]`.
    let first: TensorID
    /// I32 `[tokens]`.
    let positions: TensorID
    /// I64 `[tokens]`: where keys and values go.
    let cacheRows: TensorID
    /// I32 `[outputs]`: whose results are wanted; nil if all are, or if the stage does not drop any.
    let outputs: TensorID?
    let groups: [GroupInputs]
    let extent: StageExtent

    init(_ layout: BatchLayout, _ extent: StageExtent, _ cache: KVCache, _ h: Hyperparameters) {
        self.layout = layout
        self.extent = extent
        self.cache = cache
        let g = g
        let count = Shape(layout.tokenCount)
        if extent.embeds {
            first = g.input("tokens", .i32, count)
        } else {
            let columns = StageExtent.columnCount(of: layout, after: extent.layers.lowerBound, layerCount: h.layerCount)
            first = g.input("hidden states", .f32, Shape(h.embeddingLength, columns))
        }
        guard !extent.layers.isEmpty else {
            (positions, cacheRows, outputs, groups) = (first, first, nil, [])
            return
        }
        positions = g.input("positions", .i32, count)
        cacheRows = g.input("cache rows", .i64, count)
        let drops = extent.layers.upperBound == h.layerCount && layout.outputCount != layout.tokenCount
        outputs = drops ? g.input("outputs", .i32, Shape(layout.outputCount)) : nil
        let hasSliding = extent.layers.contains { h.isSliding[$0] }
        let hasFull = extent.layers.contains { !h.isSliding[$0] }
        groups = layout.groups.map { group in
            let shape = Shape(group.keyCount, group.tokensPerSlot, 1, group.slotCount)
            return GroupInputs(
                group: group, mask: hasFull ? g.input("mask", .f16, shape) : nil,
                slidingMask: hasSliding ? g.input("sliding mask", .f16, shape) : nil,
                spread: group.hasGaps ? g.input("spread", .i32, Shape(group.slotCount)) : nil,
                pick: group.hasGaps ? g.input("pick", .i32, Shape(group.tokenCount)) : nil)
        }
    }

    /// I32 `[tokens]`.
    var tokens: TensorID { first }

    /// The wanted tokens' columns of `x`.
    func keepingOutputs(_ x: TensorID) -> TensorID { outputs.map { g.getRows(x, $0) } ?? x }
}
