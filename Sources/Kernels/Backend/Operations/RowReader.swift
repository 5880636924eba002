internal import KernelTable
internal import Tensor

/// Reads a tensor's rows as contiguous F32, whatever their type and strides; in place where they are that already.
struct RowReader {
    let operand: Operand
    /// Whether rows are in place.
    let isDirect: Bool
    private let convert: (@Sendable (UnsafeRawPointer, UnsafeMutablePointer<Float>, Int) -> Void)?

    /// Nil if there is no conversion from the tensor's type.
    init?(_ operand: Operand, _ tables: ProductTable) {
        self.operand = operand
        isDirect = operand.type == .f32 && operand.hasContiguousRows
        convert = tables.conversions[operand.type.rawValue]?.toF32
        if operand.type == .f32 { return }
        guard convert != nil else { return nil }
        // Elements of a block cannot be apart from each other.
        if operand.type.isQuantized, !operand.hasContiguousRows { return nil }
    }

    /// Values of thread memory that reading needs.
    var scratchCount: Int { isDirect ? 0 : (operand.n0 + 15) & ~15 }

    /// The `operand.n0` values of row `row`; in `scratch` if they are not in place.
    @inline(__always)
    func row(_ row: Int, _ scratch: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
        values(at: operand.row(row), scratch)
    }

    /// The values of the row that begins at `source`.
    @inline(__always)
    func values(at source: UnsafeMutableRawPointer, _ scratch: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
        if isDirect { return UnsafePointer(source.assumingMemoryBound(to: Float.self)) }
        gather(source, scratch, operand.n0)
        return UnsafePointer(scratch)
    }

    /// `count` values from value `first` on of the row that begins at `source`; of a quantized row, whole blocks.
    @inline(__always)
    func values(
        at source: UnsafeMutableRawPointer, from first: Int, _ count: Int, _ scratch: UnsafeMutablePointer<Float>
    ) -> UnsafePointer<Float> {
        if isDirect { return UnsafePointer(source.assumingMemoryBound(to: Float.self) + first) }
        let type = operand.type
        let offset = type.isQuantized ? first / type.elementsPerBlock &* type.bytesPerBlock : first &* operand.s0
        gather(source + offset, scratch, count)
        return UnsafePointer(scratch)
    }

    private func gather(_ source: UnsafeMutableRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
        let stride = operand.s0
        if operand.type == .f32 {
            for i in 0..<count { target[i] = source.load(fromByteOffset: i &* stride, as: Float.self) }
        } else if operand.hasContiguousRows {
            convert?(source, target, count)
        } else {
            for i in 0..<count { convert?(source + i &* stride, target + i, 1) }
        }
    }
}

extension PlanBuilder {
    func reader(_ id: TensorID, _ operand: Operand) throws(BackendError) -> RowReader {
        guard let reader = RowReader(operand, tables) else {
            throw unsupported(id, "\(operand.type.name) cannot be read as F32 with these strides")
        }
        return reader
    }

    /// A result that kernels write: F32 of the shape that it must have, in contiguous rows unless said otherwise.
    func floatOutput(_ id: TensorID, _ shape: Shape, mayHaveGaps: Bool = false) throws(BackendError) -> Operand {
        let result = try output(id)
        guard result.type == .f32, result.hasContiguousRows || mayHaveGaps else { throw unsupported(id, "the result must be F32 rows") }
        guard result.shape == shape else { throw invalid(id, "its shape \(result.shape) should be \(shape)") }
        return result
    }
}
