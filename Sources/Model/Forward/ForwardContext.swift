import Tensor

/// What the layers of one graph share while it is built: the builder, the step's layout and its inputs.
///
/// There are only inputs that the stage reads: each is sent anew with every step. Masks are made of the little that is
/// sent: see ``MaskBands``.
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

    /// What of the graph is written with every step, hidden states apart.
    let inputs: InputTensors

    init(
        _ layout: BatchLayout, _ extent: StageExtent, _ cache: KVCache, _ masks: MaskBands, _ h: Hyperparameters
    ) {
        self.layout = layout
        self.extent = extent
        self.cache = cache
        let g = g
        var states: TensorID?
        if !extent.embeds {
            let columns = StageExtent.columnCount(of: layout, after: extent.layers.lowerBound, layerCount: h.layerCount)
            states = g.input("hidden states", .f32, Shape(h.embeddingLength, columns))
        }
        inputs = InputTensors(layout, extent, h, g)
        first = states ?? inputs[TokenInput.self].first ?? TensorID(0)
        positions = inputs[PositionInput.self].first ?? first
        cacheRows = inputs[CacheRowInput.self].first ?? first
        outputs = inputs[OutputInput.self].first
        var (spreads, picks) = (inputs[SpreadInput.self].makeIterator(), inputs[PickInput.self].makeIterator())
        groups = zip(layout.groups, inputs[MaskInput.self]).map { group, starts in
            GroupInputs(
                group: group, mask: masks.all?.mask(from: starts, of: group, g),
                slidingMask: masks.sliding?.mask(from: starts, of: group, g),
                spread: group.hasGaps ? spreads.next() : nil, pick: group.hasGaps ? picks.next() : nil)
        }
    }

    /// I32 `[tokens]`.
    var tokens: TensorID { first }

    /// The wanted tokens' columns of `x`.
    func keepingOutputs(_ x: TensorID) -> TensorID { outputs.map { g.getRows(x, $0) } ?? x }
}
