import Tensor

/// What the layers of one graph share while it is built: the builder, the step's layout and its inputs.
final class ForwardContext {
    /// The inputs that belong to one group of the layout.
    struct GroupInputs: Sendable {
        var group: BatchLayout.Group
        /// F16 `[keys, tokens per slot, 1, slots]`: 0 where a query sees a key, -infinity where not.
        var mask: TensorID
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
    /// I32 `[tokens]`.
    let tokens: TensorID
    /// I32 `[tokens]`.
    let positions: TensorID
    /// I64 `[tokens]`: where keys and values go.
    let cacheRows: TensorID
    /// I32 `[outputs]`: whose results are wanted; nil if all are.
    let outputs: TensorID?
    let groups: [GroupInputs]

    init(_ layout: BatchLayout, _ cache: KVCache, slidingWindow: Bool) {
        self.layout = layout
        self.cache = cache
        let g = g
        let count = Shape(layout.tokenCount)
        tokens = g.input("tokens", .i32, count)
        positions = g.input("positions", .i32, count)
        cacheRows = g.input("cache rows", .i64, count)
        outputs =
            layout.outputCount == layout.tokenCount ? nil : g.input("outputs", .i32, Shape(layout.outputCount))
        groups = layout.groups.map { group in
            let shape = Shape(group.keyCount, group.tokensPerSlot, 1, group.slotCount)
            return GroupInputs(
                group: group, mask: g.input("mask", .f16, shape),
                slidingMask: slidingWindow ? g.input("sliding mask", .f16, shape) : nil,
                spread: group.hasGaps ? g.input("spread", .i32, Shape(group.slotCount)) : nil,
                pick: group.hasGaps ? g.input("pick", .i32, Shape(group.tokenCount)) : nil)
        }
    }

    /// The wanted tokens' columns of `x`.
    func keepingOutputs(_ x: TensorID) -> TensorID { outputs.map { g.getRows(x, $0) } ?? x }
}
