import Tensor

/// What the layers of one graph share while it is built: the builder, the step's layout and its inputs.
///
/// There are only inputs that the stage reads: each is sent anew with every step. Masks are made of the little that is
/// sent: see ``MaskBands``.
final class ForwardContext {
    /// The inputs that belong to one group of the layout. There are only those that layers of the stage read.
    struct GroupInputs: Sendable {
        var group: BatchLayout.Group
        /// F16 `[keys, tokens per slot, 1, slots]`: 0 where a query sees a key, -infinity where not.
        var mask: TensorID?
        /// The same for layers with a sliding window.
        var slidingMask: TensorID?
        /// For each slot of the range, the group's token that it has, or any.
        var spread: TensorID?
        /// For each token of the group, its slot's place in the range.
        var pick: TensorID?
        /// Where recurrent layers have their states.
        var states: StateRows?
    }

    /// Rows of the planes with a row for each slot, by sequence of a group.
    struct StateRows: Sendable {
        var count: Int
        /// I32.
        var sources: TensorID
        /// I64, twice.
        var targets: TensorID
        var checkpoints: TensorID

        /// Writes states `[row length, sequences]` to their places, and their copies.
        func keep(_ states: TensorID, in plane: TensorID, _ g: GraphBuilder) -> TensorID {
            g.setRows(states, at: checkpoints, of: g.setRows(states, at: targets, of: plane))
        }
    }

    let g = GraphBuilder()
    let layout: BatchLayout
    let cache: StageCache
    /// I32 `[tokens]`, or, where the stage does not begin with tokens, F32 `[width, columns]`.
    let first: TensorID
    /// Where hidden states go in, `[width, columns]`; nil where the stage begins with tokens.
    let states: TensorID?
    /// I32 `[tokens]`.
    let positions: TensorID
    /// I32 `[4 · tokens]`, for ropes in sections.
    let sectionPositions: TensorID
    /// I64 `[tokens]`: where keys and values go, in layers that keep all positions.
    let cacheRows: TensorID
    /// The same in layers with a sliding window.
    let ringRows: TensorID
    /// I32 `[outputs]`: whose results are wanted; nil if all are, or if the stage does not drop any.
    let outputs: TensorID?
    let groups: [GroupInputs]
    let extent: StageExtent

    /// What of the graph is written with every step, hidden states apart.
    let inputs: InputTensors

    init(
        _ layout: BatchLayout, _ extent: StageExtent, _ cache: StageCache, _ masks: MaskBands, _ h: Hyperparameters,
        _ hiddenType: ElementType
    ) {
        self.layout = layout
        self.extent = extent
        self.cache = cache
        let g = g
        var states: TensorID?
        if !extent.embeds {
            let columns = StageExtent.columnCount(of: layout, after: extent.layers.lowerBound, layerCount: h.layerCount)
            states = g.input("hidden states", hiddenType, Shape(h.embeddingLength, columns))
        }
        inputs = InputTensors(layout, extent, h, g)
        self.states = states
        first = states.map { g.received($0) } ?? inputs[TokenInput.self].first ?? TensorID(0)
        positions = inputs[PositionInput.self].first ?? first
        sectionPositions = inputs[SectionPositionInput.self].first ?? first
        cacheRows = inputs[CacheRowInput.self].first ?? first
        ringRows = inputs[RingRowInput.self].first ?? first
        outputs = inputs[OutputInput.self].first
        var (spreads, picks) = (inputs[SpreadInput.self].makeIterator(), inputs[PickInput.self].makeIterator())
        var (starts, ringStarts) = (inputs[MaskInput.self].makeIterator(), inputs[RingMaskInput.self].makeIterator())
        var sources = inputs[StateSourceInput.self].makeIterator()
        var (targets, checkpoints) = (inputs[StateTargetInput.self].makeIterator(), inputs[CheckpointInput.self].makeIterator())
        groups = layout.groups.map { group in
            var own = GroupInputs(group: group)
            if let start = starts.next() { own.mask = masks.all?.mask(from: start, of: group, g) }
            if let start = ringStarts.next() { own.slidingMask = masks.ring?.mask(from: start, of: group, g) }
            if group.hasGaps { (own.spread, own.pick) = (spreads.next(), picks.next()) }
            if let source = sources.next(), let target = targets.next(), let checkpoint = checkpoints.next() {
                own.states = StateRows(count: group.sequenceCount, sources: source, targets: target, checkpoints: checkpoint)
            }
            return own
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
    /// Which of the layer's planes is the first of what computes now: mixers side by side have theirs one behind the other.
    var firstPlane = 0

    var g: GraphBuilder { pass.g }

    /// Where what it remembers is, `[row length, rows]`.
    func plane(_ number: Int) -> TensorID { pass.cache[index].plane(firstPlane + number, g) }

    /// Where tokens' keys and values go.
    func cacheRows(window: Int?) -> TensorID { window == nil ? pass.cacheRows : pass.ringRows }

    /// Rows that a slot has.
    func positionsPerSlot(window: Int?) -> Int { pass.cache.shape.positionsPerSlot(isRing: window != nil) }

    /// Rows that a group's queries read of each slot.
    func keyCount(of group: BatchLayout.Group, window: Int?) -> Int { min(group.keyCount, positionsPerSlot(window: window)) }
}
