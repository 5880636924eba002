import Tensor

/// The bytes that one step writes into a plan's inputs, in memory that is used again from step to step.
struct StepInputs {
    private var tokens: [Int32] = []
    private var positions: [Int32] = []
    private var cacheRows: [Int64] = []
    private var outputs: [Int32] = []
    private var spread: [Int32] = []
    private var pick: [Int32] = []
    /// F16 bit patterns, group after group.
    private var masks: [UInt16] = []
    private var slidingMasks: [UInt16] = []

    private static let hidden: UInt16 = 0xfc00

    /// Fills in what `batch` needs.
    mutating func fill(_ batch: Batch, contextLength: Int, slidingWindow: Int) {
        tokens.removeAll(keepingCapacity: true)
        positions.removeAll(keepingCapacity: true)
        cacheRows.removeAll(keepingCapacity: true)
        outputs.removeAll(keepingCapacity: true)
        for piece in batch.pieces {
            for (offset, token) in piece.tokens.enumerated() {
                let position = piece.firstPosition + offset
                let isWanted = piece.outputs == .all || (piece.outputs == .last && offset == piece.tokens.count - 1)
                if isWanted { outputs.append(Int32(tokens.count)) }
                tokens.append(token)
                positions.append(Int32(position))
                cacheRows.append(KVCache.row(slot: piece.slot, position: position, contextLength: contextLength))
            }
            let end = piece.firstPosition + piece.tokens.count
            for position in end..<end + piece.padding {
                tokens.append(piece.tokens.last ?? 0)
                positions.append(Int32(position))
                cacheRows.append(KVCache.row(slot: piece.slot, position: position, contextLength: contextLength))
            }
        }
        fillSlots(batch)
        fillMasks(batch, slidingWindow: slidingWindow)
    }

    /// Which slot of a group's range each token belongs to, and the other way round.
    private mutating func fillSlots(_ batch: Batch) {
        spread.removeAll(keepingCapacity: true)
        pick.removeAll(keepingCapacity: true)
        // Only the group of single tokens can have gaps, and it comes first.
        guard let group = batch.layout.groups.first, group.hasGaps else { return }
        spread = [Int32](repeating: 0, count: group.slotCount)
        for (index, piece) in batch.pieces.prefix(group.tokenCount).enumerated() {
            spread[piece.slot - group.firstSlot] = Int32(index)
            pick.append(Int32(piece.slot - group.firstSlot))
        }
    }

    private mutating func fillMasks(_ batch: Batch, slidingWindow: Int) {
        let size = batch.layout.groups.reduce(0) { $0 + $1.keyCount * $1.tokensPerSlot * $1.slotCount }
        refill(&masks, size)
        refill(&slidingMasks, slidingWindow > 0 ? size : 0)
        var start = 0
        var piece = 0
        for group in batch.layout.groups {
            if group.slotCount == 1 {
                let first = batch.pieces[piece].firstPosition
                for token in 0..<group.tokenCount {
                    show(start + token * group.keyCount, position: first + token, slidingWindow)
                }
                piece += 1
            } else {
                for _ in 0..<group.tokenCount {
                    let row = batch.pieces[piece].slot - group.firstSlot
                    show(start + row * group.keyCount, position: batch.pieces[piece].firstPosition, slidingWindow)
                    piece += 1
                }
            }
            start += group.keyCount * group.tokensPerSlot * group.slotCount
        }
    }

    private func refill(_ mask: inout [UInt16], _ count: Int) {
        mask.removeAll(keepingCapacity: true)
        mask.append(contentsOf: repeatElement(StepInputs.hidden, count: count))
    }

    /// Lets the query at `position`, whose row begins at `row`, see the keys it may.
    private mutating func show(_ row: Int, position: Int, _ slidingWindow: Int) {
        masks.withUnsafeMutableBufferPointer { $0[row...(row + position)].update(repeating: 0) }
        if slidingWindow > 0 {
            let first = max(0, position - slidingWindow + 1)
            slidingMasks.withUnsafeMutableBufferPointer { $0[(row + first)...(row + position)].update(repeating: 0) }
        }
    }

    /// Calls `body` with the writes for a graph's inputs.
    ///
    /// - Parameter states: the write of hidden states, for graphs that do not begin with tokens.
    func withWrites<E: Error>(
        _ inputs: ForwardInputs, states: Step.Write?, _ body: ([Step.Write]) throws(E) -> Void
    ) throws(E) {
        // One closure per array keeps every pointer valid for exactly as long as `body` runs.
        var writes: [Step.Write] = states.map { [$0] } ?? []
        try withBytes(tokens) { (tokens: UnsafeRawBufferPointer) throws(E) in
            if let id = inputs.tokens { writes.append(Step.Write(tensor: id, bytes: tokens)) }
            try withBytes(positions) { (positions: UnsafeRawBufferPointer) throws(E) in
                if let id = inputs.positions { writes.append(Step.Write(tensor: id, bytes: positions)) }
                try withBytes(cacheRows) { (rows: UnsafeRawBufferPointer) throws(E) in
                    if let id = inputs.cacheRows { writes.append(Step.Write(tensor: id, bytes: rows)) }
                    try withBytes(outputs) { (outputs: UnsafeRawBufferPointer) throws(E) in
                        if let id = inputs.outputs { writes.append(Step.Write(tensor: id, bytes: outputs)) }
                        try withGroupWrites(inputs, &writes, body)
                    }
                }
            }
        }
    }

    private func withGroupWrites<E: Error>(
        _ inputs: ForwardInputs, _ writes: inout [Step.Write], _ body: ([Step.Write]) throws(E) -> Void
    ) throws(E) {
        try withBytes(masks) { (all: UnsafeRawBufferPointer) throws(E) in
            try withBytes(slidingMasks) { (sliding: UnsafeRawBufferPointer) throws(E) in
                try withBytes(spread) { (spread: UnsafeRawBufferPointer) throws(E) in
                    try withBytes(pick) { (pick: UnsafeRawBufferPointer) throws(E) in
                        var start = 0
                        for group in inputs.groups {
                            let layout = group.group
                            let count = 2 * layout.keyCount * layout.tokensPerSlot * layout.slotCount
                            let range = start..<(start + count)
                            if let id = group.mask {
                                writes.append(Step.Write(tensor: id, bytes: UnsafeRawBufferPointer(rebasing: all[range])))
                            }
                            if let id = group.slidingMask {
                                writes.append(
                                    Step.Write(tensor: id, bytes: UnsafeRawBufferPointer(rebasing: sliding[range])))
                            }
                            if let id = group.spread { writes.append(Step.Write(tensor: id, bytes: spread)) }
                            if let id = group.pick { writes.append(Step.Write(tensor: id, bytes: pick)) }
                            start += count
                        }
                        try body(writes)
                    }
                }
            }
        }
    }

    private func withBytes<T, E: Error>(
        _ array: [T], _ body: (UnsafeRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        try array.withUnsafeBufferPointer { (buffer: UnsafeBufferPointer<T>) throws(E) in
            try body(UnsafeRawBufferPointer(buffer))
        }
    }
}

/// Where a prepared graph takes its inputs; nil where it has no such input.
struct ForwardInputs: Sendable {
    var tokens: TensorID?
    var positions: TensorID?
    var cacheRows: TensorID?
    var outputs: TensorID?
    var groups: [ForwardContext.GroupInputs] = []

    /// For graphs that take nothing but hidden states.
    init() {}

    init(_ pass: ForwardContext) {
        if pass.extent.embeds { tokens = pass.tokens }
        if pass.extent.layers.isEmpty { return }
        positions = pass.positions
        cacheRows = pass.cacheRows
        outputs = pass.outputs
        groups = pass.groups
    }
}
