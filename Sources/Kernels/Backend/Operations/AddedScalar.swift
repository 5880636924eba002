internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// Source 1, a single value, added to every element of source 0, of any type that rows can be written in.
    mutating func addScalar(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let b = try source(id, 1)
        let result = try output(id)
        guard b.shape == Shape(1) else { throw invalid(id, "\(b.shape) is not one element") }
        guard result.shape == a.shape, result.type == a.type, !a.type.isInteger, b.type == .f32 || b.type == a.type,
            !b.type.isQuantized, result.hasContiguousRows, let write = rowWriter(result.type)
        else { throw unsupported(id) }
        let values = try reader(id, a)
        let scalar = try reader(id, b)
        let isDirect = result.type == .f32
        let sumOffset = values.scratchCount
        let scalarOffset = sumOffset + (isDirect ? 0 : (a.n0 + 15) & ~15)
        try needScratch((scalarOffset + 16) * 4)
        let scale = vector.scale
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) * (a.type.isQuantized ? 2 : 0.3) + 10,
            reads: a.ranges + b.ranges, writes: result.ranges
        ) { worker, range in
            // A copy, since results written in place of the sources must not change it.
            let value = scalar.row(0, worker.floats(scalarOffset))[0]
            for row in range {
                let x = values.row(row, worker.floats())
                if isDirect {
                    scale(x, result.row(row).assumingMemoryBound(to: Float.self), a.n0, 1, value)
                } else {
                    scale(x, worker.floats(sumOffset), a.n0, 1, value)
                    write(UnsafePointer(worker.floats(sumOffset)), result.row(row), a.n0)
                }
            }
        }
    }
}
