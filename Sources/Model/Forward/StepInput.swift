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
    static func values(of batch: Batch, _ cache: CacheShape) -> [Value]
}

/// The tokens, for who looks up their embeddings.
enum TokenInput: StepInput {
    static let name = "tokens"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        extent.embeds ? [Shape(layout.tokenCount)] : []
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
        // Padding is the piece's last token again.
        batch.pieces.flatMap { $0.tokens + repeatElement($0.tokens.last ?? 0, count: $0.padding) }
    }
}

/// Each token's position, for ropes.
enum PositionInput: StepInput {
    static let name = "positions"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        h.needs(extent).hasSinglePositions ? [Shape(layout.tokenCount)] : []
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
        batch.pieces.flatMap { $0.positions.map { Int32($0) } }
    }
}

/// Each token's four positions, for ropes in sections: all tokens' first ones, then all second ones. In text time, height and width
/// are one, and the fourth is not used.
enum SectionPositionInput: StepInput {
    static let name = "section positions"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        h.needs(extent).hasSections ? [Shape(4 * layout.tokenCount)] : []
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
        let positions = PositionInput.values(of: batch, cache)
        return positions + positions + positions + [Int32](repeating: 0, count: positions.count)
    }
}

/// The rows of the cache that take each token's keys and values, in layers that keep all positions.
enum CacheRowInput: StepInput {
    static let name = "cache rows"
    static let type = ElementType.i64

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        h.needs(extent).hasFull ? [Shape(layout.tokenCount)] : []
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int64] { batch.rows(in: cache, isRing: false) }
}

/// The same in layers with a sliding window.
enum RingRowInput: StepInput {
    static let name = "ring rows"
    static let type = ElementType.i64

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        h.needs(extent).hasRing ? [Shape(layout.tokenCount)] : []
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int64] { batch.rows(in: cache, isRing: true) }
}

/// The columns whose results are wanted, for the layer that drops the others.
enum OutputInput: StepInput {
    static let name = "outputs"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        let drops = !extent.layers.isEmpty && extent.layers.upperBound == h.layerCount && layout.outputCount != layout.tokenCount
        return drops ? [Shape(layout.outputCount)] : []
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
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

/// For each query of each group, slot by slot, where in a ``MaskBand`` its mask begins, in layers that see all before it.
package enum MaskInput: StepInput {
    static let name = "mask starts"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        h.needs(extent).hasFull ? layout.groups.map { Shape($0.tokensPerSlot * $0.slotCount) } : []
    }

    package static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
        batch.queryPositions.map { MaskBand.start(position: $0, contextLength: cache.contextLength) }
    }
}

/// The same in layers with a sliding window.
package enum RingMaskInput: StepInput {
    static let name = "sliding mask starts"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        h.needs(extent).hasRing ? layout.groups.map { Shape($0.tokensPerSlot * $0.slotCount) } : []
    }

    package static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
        batch.queryPositions.map { MaskBand.ringStart(position: $0, cache) }
    }
}

/// For each slot of a range with gaps, the group's token that it has, or any.
enum SpreadInput: StepInput {
    static let name = "spread"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        !h.needs(extent).hasPositions ? [] : layout.groups.filter(\.hasGaps).map { Shape($0.slotCount) }
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
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
        !h.needs(extent).hasPositions ? [] : layout.groups.filter(\.hasGaps).map { Shape($0.tokenCount) }
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
        guard let group = batch.groupWithGaps else { return [] }
        return batch.pieces.prefix(group.tokenCount).map { Int32($0.slot - group.firstSlot) }
    }
}

/// Where each sequence of each group has its state from, in recurrent layers.
enum StateSourceInput: StepInput {
    static let name = "state sources"
    static let type = ElementType.i32

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        h.needs(extent).isRecurrent ? layout.groups.map { Shape($0.sequenceCount) } : []
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int32] {
        batch.pieces.map { piece in
            if piece.firstPosition == 0 { return Int32(cache.zeroRow) }
            return Int32(piece.restores.map { cache.checkpointRow(slot: piece.slot, $0) } ?? piece.slot)
        }
    }
}

/// Where its state goes.
enum StateTargetInput: StepInput {
    static let name = "state targets"
    static let type = ElementType.i64

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        StateSourceInput.shapes(layout, extent, h)
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int64] { batch.pieces.map { Int64($0.slot) } }
}

/// Where a copy of it goes, for those that come back to it.
enum CheckpointInput: StepInput {
    static let name = "checkpoints"
    static let type = ElementType.i64

    static func shapes(_ layout: BatchLayout, _ extent: StageExtent, _ h: Hyperparameters) -> [Shape] {
        StateSourceInput.shapes(layout, extent, h)
    }

    static func values(of batch: Batch, _ cache: CacheShape) -> [Int64] {
        batch.pieces.map { piece in Int64(piece.keeps.map { cache.checkpointRow(slot: piece.slot, $0) } ?? cache.wasteRow) }
    }
}

extension BatchPiece {
    /// Those of the tokens, then of the padding.
    fileprivate var positions: Range<Int> { firstPosition..<firstPosition + columnCount }
}

extension Batch {
    /// Only the group of single tokens can have gaps, and it comes first.
    fileprivate var groupWithGaps: BatchLayout.Group? { layout.groups.first.flatMap { $0.hasGaps ? $0 : nil } }

    fileprivate func rows(in cache: CacheShape, isRing: Bool) -> [Int64] {
        pieces.flatMap { piece in piece.positions.map { cache.row(slot: piece.slot, position: $0, isRing: isRing) } }
    }

    /// For each query of each group, slot by slot, its position; nil for slots without a token: they see nothing, and nobody looks at
    /// what comes of it.
    fileprivate var queryPositions: [Int?] {
        var pieces = pieces[...]
        return layout.groups.flatMap { group -> [Int?] in
            if group.slotCount == 1 {
                guard let piece = pieces.popFirst() else { return [] }
                return piece.positions.map { $0 }
            }
            var positions = [Int?](repeating: nil, count: group.slotCount)
            for piece in pieces.prefix(group.tokenCount) { positions[piece.slot - group.firstSlot] = piece.firstPosition }
            pieces = pieces.dropFirst(group.tokenCount)
            return positions
        }
    }
}
