public import Tensor

/// The keys and values of a stage's layers for a number of slots, each slot's positions one after another.
///
/// A row is one position's keys (or values) of all heads in F16; slot s's position p is row `s · contextLength + p`.
/// Rows are written by index and read from position 0 on, so what a query sums over, and in which order, is the same
/// in every slot.
public struct KVCache: Sendable {
    public struct Layer: Sendable {
        var name: String
        var keyRow: Int
        var valueRow: Int
        var rowCount: Int
        var buffer: any Buffer
        var keyOffset: Int
        var valueOffset: Int

        func keys(_ g: GraphBuilder) -> TensorID {
            g.placed("\(name).k", .f16, Shape(keyRow, rowCount), in: buffer, at: keyOffset)
        }

        func values(_ g: GraphBuilder) -> TensorID {
            g.placed("\(name).v", .f16, Shape(valueRow, rowCount), in: buffer, at: valueOffset)
        }
    }

    /// What a layer's keys and values take, each from a place on where the backend's tensors may begin.
    struct LayerSize {
        var keyByteCount: Int
        var valueByteCount: Int
        var byteCount: Int { keyByteCount + valueByteCount }

        /// Nil where that is more than can be counted.
        init?(_ h: Hyperparameters, slotCount: Int, contextLength: Int, alignment: Int) {
            let unit = max(64, alignment)
            let (rows, overflow) = slotCount.multipliedReportingOverflow(by: contextLength)
            func aligned(_ rowLength: Int) -> Int? {
                let (bytes, tooMany) = rows.multipliedReportingOverflow(by: rowLength * 2)
                let (end, tooLong) = bytes.addingReportingOverflow(unit - 1)
                return tooMany || tooLong ? nil : end & ~(unit - 1)
            }
            guard !overflow, let keys = aligned(h.keyLength * h.keyValueHeadCount),
                let values = aligned(h.valueLength * h.keyValueHeadCount), !keys.addingReportingOverflow(values).overflow
            else { return nil }
            (keyByteCount, valueByteCount) = (keys, values)
        }
    }

    public let slotCount: Int
    /// Positions per slot.
    public let contextLength: Int
    /// Bytes of all its layers, gaps for alignment included.
    public let byteCount: Int
    private let layers: [Layer]
    /// The model's number of the first.
    private let firstLayer: Int

    /// Takes its memory from `backend`; pages that are never written cost nothing there, where the system can do so.
    public init(
        _ h: Hyperparameters, layers range: Range<Int>, slotCount: Int, contextLength: Int, on backend: any Backend
    ) throws(BackendError) {
        // Positions are 32-bit numbers in graphs.
        guard slotCount > 0, (1...Int(Int32.max)).contains(contextLength) else {
            throw BackendError(.invalidArgument, "there is no cache of \(slotCount) slots of \(contextLength) tokens")
        }
        self.slotCount = slotCount
        self.contextLength = contextLength
        let keyRow = h.keyLength * h.keyValueHeadCount
        let valueRow = h.valueLength * h.keyValueHeadCount
        guard
            let size = LayerSize(h, slotCount: slotCount, contextLength: contextLength, alignment: backend.alignment),
            case (let total, let overflow) = size.byteCount.multipliedReportingOverflow(by: range.count), !overflow
        else {
            throw BackendError(.outOfMemory, "a cache of \(slotCount) slots of \(contextLength) tokens has no size")
        }
        let rowCount = slotCount * contextLength
        let layerBytes = size.byteCount
        byteCount = total
        firstLayer = range.lowerBound
        guard !range.isEmpty else {
            layers = []
            return
        }
        // As many layers together as fit one of the backend's buffers.
        let together = max(1, min(range.count, backend.largestBuffer / max(1, layerBytes)))
        var buffers: [any Buffer] = []
        for first in stride(from: 0, to: range.count, by: together) {
            buffers.append(try backend.allocate(byteCount: layerBytes * min(together, range.count - first)))
        }
        layers = range.map { index in
            let (number, place) = (index - range.lowerBound).quotientAndRemainder(dividingBy: together)
            let (buffer, start) = (buffers[number], place * layerBytes)
            return Layer(
                name: "cache.\(index)", keyRow: keyRow, valueRow: valueRow, rowCount: rowCount, buffer: buffer,
                keyOffset: start, valueOffset: start + size.keyByteCount)
        }
    }

    /// A layer by its number in the model.
    subscript(layer: Int) -> Layer { layers[layer - firstLayer] }

    /// The row of a slot's position.
    static func row(slot: Int, position: Int, contextLength: Int) -> Int64 { Int64(slot * contextLength + position) }

    /// What a group of queries reads: `[length, keys, heads, slots]`.
    func view(
        _ tensor: TensorID, length: Int, _ heads: Int, _ group: BatchLayout.Group, _ g: GraphBuilder
    ) -> TensorID {
        let row = length * heads * 2
        let slot = row * contextLength
        return g.view(
            of: tensor, shape: Shape(length, group.keyCount, heads, group.slotCount),
            strides: Strides(2, row, length * 2, slot), byteOffset: group.firstSlot * slot)
    }
}
