public import Tensor

/// Runs a model step by step on a backend: batches in, logits out, keys and values kept in between.
///
/// One caller at a time. Results do not depend on how tokens are spread over steps, slots and neighbours: see contract 4
/// of the design page.
public final class ForwardPass {
    public let hyperparameters: Hyperparameters
    public let cache: KVCache
    public let backend: any Backend

    private let architecture: any Architecture
    private var plans: PlanCache
    private var inputs = StepInputs()
    private var hiddenStates: [Float] = []
    private var logits: [Float] = []

    /// More outputs than this are turned into logits in pieces of as many, which bounds the memory that a row of
    /// logits per token would take.
    static let outputsAtOnce = 32

    public init(_ model: LanguageModel, slotCount: Int, contextLength: Int) throws(BackendError) {
        architecture = model.architecture
        hyperparameters = model.hyperparameters
        backend = model.backend
        cache = try KVCache(model.hyperparameters, slotCount: slotCount, contextLength: contextLength, on: model.backend)
        plans = PlanCache(capacity: 64)
    }

    /// Takes in the pieces and hands out each wanted row of logits, in no promised order.
    ///
    /// - Parameters:
    ///   - pieces: at most one for each slot, none empty.
    ///   - each: called with the piece's slot, the token's position and its logits, one for each token of the
    ///     vocabulary, valid during the call.
    /// - Throws: ``ModelError`` for pieces that the model or the cache cannot take, ``BackendError``, and what `each` throws.
    public func run(
        _ pieces: [BatchPiece],
        each: (_ slot: Int, _ position: Int, _ logits: UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        try check(pieces)
        if pieces.isEmpty { return }
        var batch = Batch(pieces, contextLength: cache.contextLength)
        if batch.layout.outputCount > ForwardPass.outputsAtOnce { batch.layout.produces = .hiddenStates }
        let prepared = try plans.plan(for: .layers(batch.layout)) { try prepare(batch.layout) }
        inputs.fill(batch, cache: cache, slidingWindow: hyperparameters.slidingWindow)

        let wanted = batch.wanted
        switch batch.layout.produces {
        case .logits:
            try runLayers(prepared, reading: &logits, wanted.count * hyperparameters.vocabularySize)
            try handOut(wanted[...], each)
        case .hiddenStates:
            try runLayers(prepared, reading: &hiddenStates, wanted.count * hyperparameters.embeddingLength)
            for start in stride(from: 0, to: wanted.count, by: ForwardPass.outputsAtOnce) {
                let end = min(start + ForwardPass.outputsAtOnce, wanted.count)
                try runHead(from: start, count: end - start)
                try handOut(wanted[start..<end], each)
            }
        }
    }

    private func check(_ pieces: [BatchPiece]) throws(ModelError) {
        var seen = Set<Int>()
        for piece in pieces {
            guard (0..<cache.slotCount).contains(piece.slot), seen.insert(piece.slot).inserted else {
                throw ModelError(.batch, "slot \(piece.slot) is not one of \(cache.slotCount), or given twice")
            }
            guard !piece.tokens.isEmpty, piece.firstPosition >= 0,
                piece.tokens.count <= cache.contextLength - piece.firstPosition
            else {
                throw ModelError(
                    .batch,
                    "\(piece.tokens.count) tokens at position \(piece.firstPosition) do not fit a context of \(cache.contextLength)")
            }
            for token in piece.tokens where token < 0 || Int(token) >= hyperparameters.vocabularySize {
                throw ModelError(.batch, "token \(token) is not in a vocabulary of \(hyperparameters.vocabularySize)")
            }
        }
    }

    private func runLayers(_ prepared: PreparedGraph, reading target: inout [Float], _ count: Int) throws {
        grow(&target, to: count)
        try target.withUnsafeMutableBytes { (bytes: UnsafeMutableRawBufferPointer) throws in
            let read = Step.Read(tensor: prepared.result, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<(count * 4)]))
            guard let forwardInputs = prepared.inputs else { return }
            try inputs.withWrites(forwardInputs) { (writes: [Step.Write]) throws(BackendError) in
                try backend.run(Step(writes: writes, plan: prepared.plan, reads: count == 0 ? [] : [read]))
            }
        }
    }

    private func runHead(from first: Int, count: Int) throws {
        let prepared = try plans.plan(for: .head(count)) { try prepareHead(count) }
        grow(&logits, to: count * hyperparameters.vocabularySize)
        let width = hyperparameters.embeddingLength * 4
        try hiddenStates.withUnsafeBytes { (states: UnsafeRawBufferPointer) throws in
            try logits.withUnsafeMutableBytes { (bytes: UnsafeMutableRawBufferPointer) throws in
                let rows = UnsafeRawBufferPointer(rebasing: states[(first * width)..<((first + count) * width)])
                let target = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(count * hyperparameters.vocabularySize * 4)])
                try backend.run(
                    Step(
                        writes: [Step.Write(tensor: prepared.headInput ?? prepared.result, bytes: rows)],
                        plan: prepared.plan, reads: [Step.Read(tensor: prepared.result, into: target)]))
            }
        }
    }

    private func handOut(
        _ wanted: ArraySlice<Batch.Wanted>,
        _ each: (_ slot: Int, _ position: Int, _ logits: UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        let size = hyperparameters.vocabularySize
        try logits.withUnsafeBufferPointer { buffer in
            for (row, output) in wanted.enumerated() {
                let values = UnsafeBufferPointer(rebasing: buffer[(row * size)..<((row + 1) * size)])
                try each(output.slot, output.position, values)
            }
        }
    }

    private func grow(_ array: inout [Float], to count: Int) {
        if array.count < count { array = [Float](repeating: 0, count: count) }
    }

    // MARK: Graphs

    private func prepare(_ layout: BatchLayout) throws -> PreparedGraph {
        let pass = ForwardContext(layout, cache, slidingWindow: hyperparameters.slidingWindow > 0)
        var x = architecture.embed(pass)
        for layer in 0..<architecture.layerCount { x = architecture.layer(layer, x, pass) }
        if layout.produces == .logits, layout.outputCount > 0 { x = architecture.logits(x, pass.g) }
        pass.g.markOutput(x)
        let plan = try backend.prepare(pass.g.finish())
        return PreparedGraph(plan: plan, inputs: ForwardInputs(pass), headInput: nil, result: x)
    }

    private func prepareHead(_ count: Int) throws -> PreparedGraph {
        let g = GraphBuilder()
        let states = g.input("hidden states", .f32, Shape(hyperparameters.embeddingLength, count))
        let x = architecture.logits(states, g)
        g.markOutput(x)
        return PreparedGraph(plan: try backend.prepare(g.finish()), inputs: nil, headInput: states, result: x)
    }
}

/// A graph that a backend has made ready, and where it takes and leaves things.
struct PreparedGraph {
    var plan: any Plan
    var inputs: ForwardInputs?
    var headInput: TensorID?
    var result: TensorID
}

/// Prepared graphs by what they are for; the one unused for longest makes room.
struct PlanCache {
    enum Key: Hashable {
        case layers(BatchLayout)
        case head(Int)
    }

    private var entries: [Key: (graph: PreparedGraph, lastUse: Int)] = [:]
    private var uses = 0
    private let capacity: Int

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

extension Batch {
    /// A token whose result is wanted.
    struct Wanted {
        var slot: Int
        var position: Int
    }

    /// The wanted tokens in the order of the batch's columns.
    var wanted: [Wanted] {
        pieces.flatMap { piece -> [Wanted] in
            let end = piece.firstPosition + piece.tokens.count
            switch piece.outputs {
            case .none: return []
            case .last: return [Wanted(slot: piece.slot, position: end - 1)]
            case .all: return (piece.firstPosition..<end).map { Wanted(slot: piece.slot, position: $0) }
            }
        }
    }
}
