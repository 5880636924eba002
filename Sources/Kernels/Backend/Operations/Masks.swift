internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

// Matrices of which each row keeps one stretch of columns and gets one value in all others; F32.
extension PlanBuilder {
    /// Row r keeps the columns up to `past + r`: causal attention after `past` tokens.
    mutating func addDiagonalMask(_ id: TensorID, past: Int, value: Float) throws(BackendError) {
        guard past >= 0, past <= Int(Int32.max) else { throw invalid(id, "\(past) past columns") }
        try addKept(id, elsewhere: value) { row, count in (0, min(count, past &+ row &+ 1)) }
    }

    /// One triangle of each matrix, with the diagonal or without it, and zeros in the other.
    mutating func addTriangle(_ id: TensorID, _ kind: TriangleKind) throws(BackendError) {
        switch kind {
        case .upperWithDiagonal: try addKept(id, elsewhere: 0) { row, count in (min(row, count), count) }
        case .upper: try addKept(id, elsewhere: 0) { row, count in (min(row &+ 1, count), count) }
        case .lowerWithDiagonal: try addKept(id, elsewhere: 0) { row, count in (0, min(row &+ 1, count)) }
        case .lower: try addKept(id, elsewhere: 0) { row, count in (0, min(row, count)) }
        }
    }

    /// `columns(row, count)` is where the kept columns of a row of `count` begin and end.
    private mutating func addKept(
        _ id: TensorID, elsewhere value: Float, _ columns: @escaping (_ row: Int, _ count: Int) -> (Int, Int)
    ) throws(BackendError) {
        let a = try source(id, 0)
        guard a.type == .f32 else { throw unsupported(id) }
        let result = try floatOutput(id, a.shape)
        let reader = try reader(id, a)
        try needScratch(reader.scratchCount * 4)
        addPhase(
            over: a.rowCount, costPerUnit: 0.2 * Double(a.n0) + 10, reads: a.ranges, writes: result.ranges
        ) { worker, range in
            for row in range {
                let (begin, end) = columns(row % a.n1, a.n0)
                let values = reader.row(row, worker.floats())
                let target = result.row(row).assumingMemoryBound(to: Float.self)
                if values != UnsafePointer(target) { memmove(target + begin, values + begin, (end &- begin) &* 4) }
                target.update(repeating: value, count: begin)
                (target + end).update(repeating: value, count: a.n0 &- end)
            }
        }
    }
}
