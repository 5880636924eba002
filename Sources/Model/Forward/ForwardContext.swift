import Tensor

/// What the layers of one graph share while it is built: the builder, the step's layout and its inputs.
///
/// There are only inputs that the stage reads: each is sent anew with every step. Masks are made of the little that is
/// sent: see ``MaskBands``.
final class ForwardContext {
    /// The inputs that belong to one group of the layout.
    struct GroupInputs: Sendable {
        var group: BatchLayout.Group
        /// For each window that layers of the stage have, F16 `[keys, tokens per slot, 1, slots]`: 0 where a query sees a key,
        /// -infinity where not.
        var masks: [Int?: TensorID]
        /// For each slot of the range, the group's token that it has, or any.
        var spread: TensorID?
        /// For each token of the group, its slot's place in the range.
        var pick: TensorID?

        /// The mask of layers that see so many positions, or, if nil, all.
        func mask(window: Int?) -> TensorID? { masks[window] }
    }

    let g = GraphBuilder()
    let layout: BatchLayout
    let cache: StageCache
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
        _ layout: BatchLayout, _ extent: StageExtent, _ cache: StageCache, _ masks: MaskBands, _ h: Hyperparameters
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
                group: group, masks: masks.masks(from: starts, of: group, g),
                spread: group.hasGaps ? spreads.next() : nil, pick: group.hasGaps ? picks.next() : nil)
        }
    }

    /// I32 `[tokens]`.
    var tokens: TensorID { first }

    /// The wanted tokens' columns of `x`.
    func keepingOutputs(_ x: TensorID) -> TensorID { outputs.map { g.getRows(x, $0) } ?? x }
}

/// What a layer is given of the graph that it becomes a part of.
struct LayerContext {
    let pass: ForwardContext
    /// Its number in the model.
    let index: Int

    var g: GraphBuilder { pass.g }
    /// Where what it remembers is.
    var cache: LayerCache { pass.cache[index] }
}
