internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

// Results whose elements come from parameters or from a few values.
extension PlanBuilder {
    /// The same value everywhere; F32 or F16.
    mutating func addFill(_ id: TensorID, value: Float) throws(BackendError) {
        let result = try output(id)
        guard result.type == .f32 || result.type == .f16, result.hasContiguousRows else { throw unsupported(id) }
        let isHalf = result.type == .f16
        let half = Float16(value).bitPattern
        let stretches = RowStretches(result.n0)
        addPhase(
            over: result.rowCount * stretches.perRow,
            costPerUnit: 0.1 * Double(min(result.n0, RowStretches.length)) + 5, reads: [], writes: result.ranges
        ) { _, range in
            for index in range {
                let (row, first, count) = stretches.stretch(index)
                let target = result.row(row)
                if isHalf {
                    (target.assumingMemoryBound(to: UInt16.self) + first).update(repeating: half, count: count)
                } else {
                    (target.assumingMemoryBound(to: Float.self) + first).update(repeating: value, count: count)
                }
            }
        }
    }

    /// `start`, `start + step`, `start + 2 · step` and so on.
    mutating func addArange(_ id: TensorID, start: Float, step: Float) throws(BackendError) {
        let result = try output(id)
        guard result.type == .f32, result.hasContiguousRows, result.shape == Shape(result.n0) else {
            throw unsupported(id)
        }
        addPhase(over: result.n0, costPerUnit: 0.4, reads: [], writes: result.ranges) { _, range in
            let target = result.base.assumingMemoryBound(to: Float.self)
            for i in range { target[i] = start + step * Float(i) }
        }
    }

    /// Rows `[n, 1, b2, b3]` as the diagonals of matrices `[n, n, b2, b3]` of zeros; F32.
    mutating func addDiagonal(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        guard a.type == .f32, a.n1 == 1 else { throw unsupported(id) }
        let result = try floatOutput(id, Shape(a.n0, a.n0, a.n2, a.n3))
        addPhase(
            over: result.rowCount, costPerUnit: 0.1 * Double(a.n0) + 10, reads: a.ranges, writes: result.ranges
        ) { _, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let target = result.row3(i1, i2, i3).assumingMemoryBound(to: Float.self)
                let value = (a.row3(0, i2, i3) + i1 &* a.s0).load(as: Float.self)
                target.update(repeating: 0, count: result.n0)
                target[i1] = value
            }
        }
    }
}
