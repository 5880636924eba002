public import Tensor

/// Runs a model step by step through its stages: batches in, logits out, keys and values kept in between.
///
/// One caller at a time. Results do not depend on how tokens are spread over steps, slots and neighbours, nor layers over
/// stages: see contract 3 of the design page.
public final class ForwardPass {
    public let hyperparameters: Hyperparameters
    public let slotCount: Int
    /// Positions per slot.
    public let contextLength: Int
    /// What its caches keep.
    public let shape: CacheShape
    public let stages: [ForwardStage]
    /// For who takes one step at a time.
    private let step: ForwardStep
    private let hiddenType: ElementType
    private let columnLimit: Int?
    private let padding: PromptPadding

    /// - Parameters:
    ///   - stages: in order, all of the model together, with caches of the same slots.
    ///   - paddedBatchSize: tokens of a step at most, where prompts of similar lengths are to be made one length so that
    ///     graphs are used again; nil where every length is to have its own.
    ///   - padding: how far.
    public init(
        _ model: LanguageModel, stages: [ForwardStage], slotCount: Int, contextLength: Int, paddedBatchSize: Int? = nil,
        padding: PromptPadding = .generous
    ) {
        self.padding = padding
        shape = CacheShape(model.hyperparameters, slotCount: slotCount, contextLength: contextLength)
        // What stands for nothing would leave its trace in a state.
        columnLimit = model.hyperparameters.isRecurrent ? nil : paddedBatchSize.map { Batch.columnLimit(batchSize: $0) }
        hyperparameters = model.hyperparameters
        self.stages = stages
        self.slotCount = slotCount
        self.contextLength = contextLength
        hiddenType = stages.first?.hiddenType ?? .f32
        step = ForwardStep(model.hyperparameters, hiddenType)
    }

    /// The whole model on one backend.
    public convenience init(
        _ model: LanguageModel, on backend: any Backend, slotCount: Int, contextLength: Int
    ) throws(BackendError) {
        let whole = StageExtent(embeds: true, layers: 0..<model.hyperparameters.layerCount, hasOutput: true)
        let stage = try ForwardStage(model, whole, on: backend, slotCount: slotCount, contextLength: contextLength)
        self.init(model, stages: [stage], slotCount: slotCount, contextLength: contextLength)
    }

    /// Tokens of one slot that a step takes in, at most.
    public var pieceLimit: Int { shape.pieceLimit }

    /// Bytes of keys and values, in all stages.
    public var cacheByteCount: Int { stages.reduce(0) { $0 + $1.cache.byteCount } }

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
        if pieces.isEmpty { return }
        try begin(step, pieces, wantsCandidates: false)
        let (step, wanted) = (step, step.batch.wanted)
        try run(step) { range in
            for (row, output) in wanted[range].enumerated() {
                guard case .logits(let values) = step.result(row: row) else { continue }
                try each(output.slot, output.position, values)
            }
        }
    }

    // MARK: Many steps at once

    /// A step to be taken through the stages one by one, and then again.
    package func makeStep() -> ForwardStep { ForwardStep(hyperparameters, hiddenType) }

    /// Has a step begin with new pieces.
    ///
    /// - Parameter wantsCandidates: whether the likeliest tokens are enough.
    /// - Throws: ``ModelError`` for pieces that the model or the cache cannot take.
    package func begin(_ step: ForwardStep, _ pieces: [BatchPiece], wantsCandidates: Bool) throws(ModelError) {
        try check(pieces)
        step.begin(
            pieces, shape, wantsCandidates: wantsCandidates, columnLimit: columnLimit, padding: padding)
    }

    /// Takes a step through all stages; it holds the results of all its outputs then.
    package func run(_ step: ForwardStep) throws {
        for stage in stages { try stage.run(step) }
    }

    /// Takes a step through all stages, and lets results be used as they come, as ``ForwardStage`` does.
    package func run(_ step: ForwardStep, each: (Range<Int>) throws -> Void) throws {
        for stage in stages.dropLast() { try stage.run(step) }
        try stages.last?.run(step, each: each)
    }

    private func check(_ pieces: [BatchPiece]) throws(ModelError) {
        var seen = Set<Int>()
        for piece in pieces {
            guard (0..<slotCount).contains(piece.slot), seen.insert(piece.slot).inserted else {
                throw ModelError(.batch, "slot \(piece.slot) is not one of \(slotCount), or given twice")
            }
            guard !piece.tokens.isEmpty, piece.firstPosition >= 0,
                piece.tokens.count <= contextLength - piece.firstPosition
            else {
                throw ModelError(
                    .batch,
                    "\(piece.tokens.count) tokens at position \(piece.firstPosition) do not fit a context of \(contextLength)")
            }
            guard piece.tokens.count <= shape.pieceLimit else {
                throw ModelError(
                    .batch, "\(piece.tokens.count) tokens of one slot are more than \(shape.pieceLimit), which go into its cache at once")
            }
            for checkpoint in [piece.restores, piece.keeps] {
                guard let checkpoint, !(0..<shape.checkpointCount).contains(checkpoint) else { continue }
                throw ModelError(.batch, "checkpoint \(checkpoint) is not one of \(shape.checkpointCount)")
            }
            for token in piece.tokens where token < 0 || Int(token) >= hyperparameters.vocabularySize {
                throw ModelError(.batch, "token \(token) is not in a vocabulary of \(hyperparameters.vocabularySize)")
            }
        }
    }
}

extension Batch {
    /// A token whose result is wanted.
    package struct Wanted {
        package var slot: Int
        package var position: Int
    }

    /// The wanted tokens in the order of the batch's columns.
    package var wanted: [Wanted] {
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
