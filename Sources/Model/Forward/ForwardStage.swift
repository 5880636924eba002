public import Tensor

/// A run of a model's layers on one backend, with their keys and values.
///
/// One thread at a time. What it computes depends neither on where it runs nor on how the model is cut into stages.
public final class ForwardStage {
    public let extent: StageExtent
    public let backend: any Backend
    public let cache: StageCache
    private let masks: MaskBands
    /// What went through it, for any thread.
    public let meter = StageMeter()

    /// Graphs that are ready to run again.
    package var planCount: Int { plans.count }

    /// What hidden states are between this stage and others.
    let hiddenType: ElementType
    let hyperparameters: Hyperparameters
    private let architecture: any Architecture
    private var plans: PlanCache

    /// More outputs than this are turned into logits in pieces of as many, which bounds the memory that a row of
    /// logits per token would take.
    static let outputsAtOnce = 32

    /// - Parameter hiddenType: what hidden states are between this stage and others, the same for all stages of a pass: F32, or F16, which
    ///   is half as much to send, and rounds.
    /// - Throws: `BackendError` where there is no memory for the cache.
    public init(
        _ model: LanguageModel, _ extent: StageExtent, on backend: any Backend, slotCount: Int, contextLength: Int,
        hiddenType: ElementType = .f32
    ) throws(BackendError) {
        self.hiddenType = hiddenType
        self.extent = extent
        self.backend = backend
        architecture = model.architecture
        hyperparameters = model.hyperparameters
        let shape = CacheShape(model.hyperparameters, slotCount: slotCount, contextLength: contextLength)
        cache = try StageCache(model.hyperparameters, layers: extent.layers, shape, on: backend)
        masks = try MaskBands(model.hyperparameters, layers: extent.layers, shape, on: backend)
        try masks.write()
        plans = PlanCache(capacity: 128)
    }

    /// Takes a step through the stage: its tokens or hidden states become hidden states, or the results of all its outputs.
    package func run(_ step: ForwardStep) throws {
        try run(step, keepsAll: true) { _ in }
    }

    /// Takes a step through the stage, and lets results be used as they come.
    ///
    /// - Parameter each: called with a range of the outputs whenever the first rows of the step hold their results, each output once.
    package func run(_ step: ForwardStep, each: (Range<Int>) throws -> Void) throws {
        try run(step, keepsAll: false, each)
    }

    private func run(_ step: ForwardStep, keepsAll: Bool, _ each: (Range<Int>) throws -> Void) throws {
        meter.begin()
        if extent.isHead { return try runHead(step, keepsAll: keepsAll, each) }
        let layout = step.batch.layout
        let essence = extent.essence(of: layout, layerCount: hyperparameters.layerCount)
        let prepared = try plans.plan(for: .layers(essence)) { try prepare(essence) }
        let columns = StageExtent.columnCount(of: layout, after: extent.layers.upperBound, layerCount: hyperparameters.layerCount)

        let states = prepared.states.map { step.statesWrite($0) }
        var reads: [Step.Read] = []
        if essence.produces != .hiddenStates {
            step.reserveResults(columns: columns)
            if columns > 0 { reads = step.resultReads(prepared, count: columns, row: 0) }
        } else {
            // Where some go in, these take their place: there are never more.
            if states == nil { step.reserveStates(columns: columns) }
            reads = [step.statesRead(prepared.result, columns: columns)]
        }
        reads.removeAll { $0.bytes.isEmpty }
        let writes = (states.map { [$0] } ?? []) + step.inputs.writes(for: prepared.inputs)
        try meter.measure { () throws(BackendError) in try backend.run(Step(writes: writes, plan: prepared.plan, reads: reads)) }
        guard extent.hasOutput, columns > 0 else { return }
        if essence.produces == .hiddenStates {
            try runHead(step, keepsAll: keepsAll, each)
        } else {
            try each(0..<columns)
        }
    }

    /// Makes results of the step's hidden states, some columns at a time.
    private func runHead(_ step: ForwardStep, keepsAll: Bool, _ each: (Range<Int>) throws -> Void) throws {
        let count = step.batch.layout.outputCount
        let product: BatchLayout.Product = step.wantsCandidates ? .candidates : .logits
        step.reserveResults(columns: keepsAll ? count : min(count, ForwardStage.outputsAtOnce))
        for start in stride(from: 0, to: count, by: ForwardStage.outputsAtOnce) {
            let range = start..<min(start + ForwardStage.outputsAtOnce, count)
            let prepared = try plans.plan(for: .head(range.count, product)) { try prepareHead(range.count, product) }
            let writes = prepared.states.map { [step.statesWrite($0, range)] } ?? []
            let reads = step.resultReads(prepared, count: range.count, row: keepsAll ? start : 0)
            try meter.measure { () throws(BackendError) in try backend.run(Step(writes: writes, plan: prepared.plan, reads: reads)) }
            try each(range)
        }
    }

    // MARK: Graphs

    /// Has the backend prepare the largest steps once, so that it finds the memory for them now.
    public func prepareLargest(_ bounds: ModelOutline.StepBounds) throws {
        for layout in bounds.largestLayouts(pieceLimit: cache.shape.pieceLimit) {
            var layout = layout
            if extent.isHead {
                _ = try prepareHead(layout.outputCount, .logits)
            } else {
                if !extent.hasOutput { layout.produces = .hiddenStates }
                _ = try prepare(extent.essence(of: layout, layerCount: hyperparameters.layerCount))
            }
        }
    }

    private func prepare(_ layout: BatchLayout) throws -> PreparedGraph {
        let (pass, result, tokens) = architecture.drawing(layout, extent, cache, masks, hiddenType)
        return PreparedGraph(
            plan: try backend.prepare(pass.g.finish()), inputs: pass.inputs,
            states: pass.states, result: result, tokens: tokens)
    }

    private func prepareHead(_ count: Int, _ product: BatchLayout.Product) throws -> PreparedGraph {
        let g = GraphBuilder()
        let states = g.input("hidden states", hiddenType, Shape(hyperparameters.embeddingLength, count))
        let (result, tokens) = architecture.results(g.received(states), product, g)
        return PreparedGraph(
            plan: try backend.prepare(g.finish()), inputs: InputTensors(), states: states, result: result, tokens: tokens)
    }
}

extension Architecture {
    /// The graph of one stage and where its results are: hidden states or logits, and the tokens of candidates.
    func drawing(
        _ layout: BatchLayout, _ extent: StageExtent, _ cache: StageCache, _ masks: MaskBands, _ hiddenType: ElementType
    ) -> (context: ForwardContext, result: TensorID, tokens: TensorID?) {
        let pass = ForwardContext(layout, extent, cache, masks, hyperparameters, hiddenType)
        var x = extent.embeds ? embed(pass) : pass.first
        for layer in extent.layers { x = self.layer(layer, x, pass) }
        if extent.hasOutput, layout.produces != .hiddenStates, layout.outputCount > 0 {
            let (result, tokens) = results(x, layout.produces, pass.g)
            return (pass, result, tokens)
        }
        let sent = pass.g.sent(x, as: hiddenType)
        pass.g.markOutput(sent)
        return (pass, sent, nil)
    }

    /// From hidden states to logits, or to the likeliest tokens `[count, n]` and their logits.
    func results(
        _ states: TensorID, _ product: BatchLayout.Product, _ g: GraphBuilder
    ) -> (result: TensorID, tokens: TensorID?) {
        let logits = logits(states, g)
        let (size, columns) = (g[logits].shape[0], g[logits].shape[1])
        guard product == .candidates else {
            g.markOutput(logits)
            return (logits, nil)
        }
        let best = g.node("", .topK(count: min(BatchLayout.candidateCount, size)), [logits])
        let picked = g.getRows(g.reshape(logits, Shape(1, size, columns)), best)
        g.markOutput(best)
        g.markOutput(picked)
        return (picked, best)
    }
}

extension GraphBuilder {
    /// Hidden states as they leave a stage. Some models have values that F16 has not; the largest that it has are near enough.
    func sent(_ states: TensorID, as type: ElementType) -> TensorID {
        type == .f32 ? states : cast(clamp(states, -65504, 65504), to: type)
    }

    /// Hidden states that have come from another stage, to compute with.
    func received(_ states: TensorID) -> TensorID { self[states].type == .f32 ? states : cast(states, to: .f32) }
}

/// A graph that a backend has made ready, and where it takes and leaves things.
struct PreparedGraph {
    var plan: any Plan
    var inputs: InputTensors
    /// Where hidden states go in.
    var states: TensorID?
    var result: TensorID
    /// Where the tokens of candidates come out.
    var tokens: TensorID?
}

/// Prepared graphs by what they are for; the one unused for longest makes room.
struct PlanCache {
    enum Key: Hashable {
        case layers(BatchLayout)
        case head(Int, BatchLayout.Product)
    }

    private var entries: [Key: (graph: PreparedGraph, lastUse: Int)] = [:]
    private var uses = 0
    private let capacity: Int

    var count: Int { entries.count }

    init(capacity: Int) { self.capacity = capacity }

    /// O(1) for what is there; O(capacity) beside `make` for what is not.
    mutating func plan(for key: Key, _ make: () throws -> PreparedGraph) rethrows -> PreparedGraph {
        uses += 1
        if let entry = entries[key] {
            entries[key]?.lastUse = uses
            return entry.graph
        }
        if entries.count >= capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            entries.removeValue(forKey: oldest.key)
        }
        let graph = try make()
        entries[key] = (graph, uses)
        return graph
    }
}
