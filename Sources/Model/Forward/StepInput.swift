import Tensor

/// One kind of thing that steps bring to graphs, hidden states apart: which graphs take it, in tensors of which shapes,
/// and how its values follow from a batch.
///
/// To add one: a type below, a line in ``StepInputs/kinds``, and who reads it in ``ForwardContext``.
protocol StepInput: Sendable {
    associatedtype Value: BitwiseCopyable

    /// What its tensors are called and hold.
    static var name: String { get }
    static var type: ElementType { get }

    /// The tensors in which a stage's graph takes it; none where nothing in the graph reads it.
    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape]

    /// Values for these tensors, one tensor's after the other's.
    static func values(of batch: Batch, contextLength: Int) -> [Value]
}

/// The tokens, for who looks up their embeddings.
enum TokenInput: StepInput {
    static let name = "tokens"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        extent.embeds ? [Shape(layout.tokenCount)] : []
    }

    static func values(of batch: Batch, contextLength: Int) -> [Int32] {
        // Padding is the piece's last token again.
        batch.pieces.flatMap { $0.tokens + repeatElement($0.tokens.last ?? 0, count: $0.padding) }
    }
}

/// Each token's position, for ropes.
enum PositionInput: StepInput {
    static let name = "positions"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        extent.layers.isEmpty ? [] : [Shape(layout.tokenCount)]
    }

    static func values(of batch: Batch, contextLength: Int) -> [Int32] {
        batch.pieces.flatMap { $0.positions.map { Int32($0) } }
    }
}

/// The rows of the cache that take each token's keys and values.
enum CacheRowInput: StepInput {
    static let name = "cache rows"
    static let type = ElementType.i64

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        extent.layers.isEmpty ? [] : [Shape(layout.tokenCount)]
    }

    static func values(of batch: Batch, contextLength: Int) -> [Int64] {
        batch.pieces.flatMap { piece in
            piece.positions.map { StageCache.row(slot: piece.slot, position: $0, contextLength: contextLength) }
        }
    }
}

/// The columns whose results are wanted, for the layer that drops the others.
enum OutputInput: StepInput {
    static let name = "outputs"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        let drops = !extent.layers.isEmpty && extent.layers.upperBound == h.layerCount && layout.outputCount != layout.tokenCount
        return drops ? [Shape(layout.outputCount)] : []
    }

    static func values(of batch: Batch, contextLength: Int) -> [Int32] {
        var outputs: [Int32] = []
        var first: Int32 = 0
        for piece in batch.pieces {
            let end = first + Int32(piece.tokens.count)
            switch piece.outputs {
            case .none: break
            case .last: outputs.append(end - 1)
            case .all: outputs += first..<end
            }
            first += Int32(piece.columnCount)
        }
        return outputs
    }
}

/// For each query of each group, slot by slot, where in a ``MaskBand`` its mask begins.
package enum MaskInput: StepInput {
    static let name = "mask starts"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        extent.layers.isEmpty ? [] : layout.groups.map { Shape($0.tokensPerSlot * $0.slotCount) }
    }

    package static func values(of batch: Batch, contextLength: Int) -> [Int32] {
        var pieces = batch.pieces[...]
        return batch.layout.groups.flatMap { group -> [Int32] in
            if group.slotCount == 1 {
                guard let piece = pieces.popFirst() else { return [] }
                return piece.positions.map { MaskBand.start(position: $0, contextLength: contextLength) }
            }
            // Slots without a token see nothing, and nobody looks at what comes of it.
            var starts = [Int32](
                repeating: MaskBand.start(position: nil, contextLength: contextLength), count: group.slotCount)
            for piece in pieces.prefix(group.tokenCount) {
                starts[piece.slot - group.firstSlot] = MaskBand.start(position: piece.firstPosition, contextLength: contextLength)
            }
            pieces = pieces.dropFirst(group.tokenCount)
            return starts
        }
    }
}

/// For each slot of a range with gaps, the group's token that it has, or any.
enum SpreadInput: StepInput {
    static let name = "spread"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        extent.layers.isEmpty ? [] : layout.groups.filter(\.hasGaps).map { Shape($0.slotCount) }
    }

    static func values(of batch: Batch, contextLength: Int) -> [Int32] {
        guard let group = batch.groupWithGaps else { return [] }
        var spread = [Int32](repeating: 0, count: group.slotCount)
        for (index, piece) in batch.pieces.prefix(group.tokenCount).enumerated() {
            spread[piece.slot - group.firstSlot] = Int32(index)
        }
        return spread
    }
}

/// For each token of a group with gaps, its slot's place in the range.
enum PickInput: StepInput {
    static let name = "pick"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        extent.layers.isEmpty ? [] : layout.groups.filter(\.hasGaps).map { Shape($0.tokenCount) }
    }

    static func values(of batch: Batch, contextLength: Int) -> [Int32] {
        guard let group = batch.groupWithGaps else { return [] }
        return batch.pieces.prefix(group.tokenCount).map { Int32($0.slot - group.firstSlot) }
    }
}

extension BatchPiece {
    /// Those of the tokens, then of the padding.
    fileprivate var positions: Range<Int> { firstPosition..<firstPosition + columnCount }
}

extension Batch {
    /// Only the group of single tokens can have gaps, and it comes first.
    fileprivate var groupWithGaps: BatchLayout.Group? { layout.groups.first.flatMap { $0.hasGaps ? $0 : nil } }
}
