internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Rows cut into stretches of whole vectors, so that few long rows are shared out as well as many short ones. Where a
/// row is cut depends on its length alone.
struct RowStretches {
    static let length = 8192
    let perRow: Int
    let rowLength: Int
    /// Values of all stretches but a row's last.
    let longest: Int

    /// `longest` is a whole number of every type's blocks.
    init(_ rowLength: Int, longest: Int = RowStretches.length) {
        self.rowLength = rowLength
        self.longest = longest
        perRow = rowLength <= longest ? 1 : (rowLength - 1) / longest + 1
    }

    /// The row, the first element and the count of stretch `index`.
    @inline(__always)
    func stretch(_ index: Int) -> (row: Int, first: Int, count: Int) {
        if perRow == 1 { return (index, 0, rowLength) }
        let (row, part) = index.quotientAndRemainder(dividingBy: perRow)
        let first = part &* longest
        return (row, first, min(longest, rowLength &- first))
    }
}

/// Writes stretches of F32 values to a result of any type and strides: kernels write in place where the result is rows
/// of F32, otherwise to thread memory that is converted behind them.
struct StretchWriter {
    let result: Operand
    let isDirect: Bool
    private let write: @Sendable (UnsafePointer<Float>, UnsafeMutableRawPointer, Int) -> Void

    init(_ result: Operand, _ write: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutableRawPointer, Int) -> Void) {
        self.result = result
        self.write = write
        isDirect = result.type == .f32 && result.hasContiguousRows
    }

    /// Writes `values` as the stretch of row `row` from value `first` on. `packed` holds as many bytes.
    func put(
        _ values: UnsafePointer<Float>, _ row: Int, _ first: Int, _ count: Int, _ packed: UnsafeMutableRawPointer
    ) {
        let type = result.type
        let target = result.row(row)
        if result.hasContiguousRows {
            return write(values, target + first / type.elementsPerBlock &* type.bytesPerBlock, count)
        }
        write(values, packed, count)
        let size = type.bytesPerBlock
        let stride = result.s0
        let start = target + first &* stride
        for i in 0..<count { memcpy(start + i &* stride, packed + i &* size, size) }
    }
}

/// A stretch of a result and the thread memory to compute it with.
struct Stretch {
    let row: Int
    let first: Int
    let count: Int
    let target: UnsafeMutablePointer<Float>
    fileprivate let scratch: UnsafeMutablePointer<Float>
    fileprivate let slotLength: Int

    /// Thread memory for `count` values, the `index`-th such.
    @inline(__always)
    func slot(_ index: Int) -> UnsafeMutablePointer<Float> { scratch + index &* slotLength }
}

extension PlanBuilder {
    /// A result of shape `shape` and any type that F32 is converted to.
    func convertedOutput(_ id: TensorID, _ shape: Shape) throws(BackendError) -> Operand {
        let result = try output(id)
        guard result.shape == shape else { throw invalid(id, "its shape \(result.shape) should be \(shape)") }
        guard rowWriter(result.type) != nil, result.hasContiguousRows || !result.type.isQuantized else {
            throw unsupported(id, "the result cannot be written from F32")
        }
        return result
    }

    /// A phase over the stretches of `result`, each computed by `body` with `slots` slots of thread memory.
    mutating func addStretches(
        _ id: TensorID, of result: Operand, reads: [Range<UInt>], costPerElement: Double, slots: Int,
        _ body: @escaping (Worker, Stretch) -> Void
    ) throws(BackendError) {
        if result.isEmpty { return }
        guard let write = rowWriter(result.type) else { throw unsupported(id) }
        let writer = StretchWriter(result, write)
        let isDirect = writer.isDirect
        // What passes through thread memory should stay in the innermost cache.
        let stretches = RowStretches(result.n0, longest: slots == 0 && isDirect ? RowStretches.length : 2048)
        let longest = min(result.n0, stretches.longest)
        let slotLength = (longest + 31) & ~15
        try needScratch((slots + (isDirect ? 0 : 2)) * slotLength * 4)
        addPhase(
            over: result.rowCount * stretches.perRow, costPerUnit: costPerElement * Double(longest) + 5, reads: reads,
            writes: result.ranges
        ) { worker, range in
            let scratch = worker.floats()
            let values = scratch + slots &* slotLength
            for index in range {
                let (row, first, count) = stretches.stretch(index)
                let target = isDirect ? result.row(row).assumingMemoryBound(to: Float.self) + first : values
                body(
                    worker,
                    Stretch(row: row, first: first, count: count, target: target, scratch: scratch, slotLength: slotLength))
                if !isDirect { writer.put(values, row, first, count, values + slotLength) }
            }
        }
    }
}

extension Operand {
    /// A packed one as a single row.
    var asRow: Operand {
        Operand(id, Tensor(name: "", type: type, shape: Shape(elementCount)), at: base, writable: isWritable)
    }
}
