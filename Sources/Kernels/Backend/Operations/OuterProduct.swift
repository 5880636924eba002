internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// Sums of outer products: a `[m, k, a2, a3]` of any type, b `[n, k, b2, b3]`: `[m, n, b2, b3]`, a repeated over b's
    /// outer dimensions. Every result row adds up a's rows in their order.
    mutating func addOuterProduct(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let b = try source(id, 1)
        guard a.n1 == b.n1, a.n2 > 0, a.n3 > 0, b.n2 % a.n2 == 0, b.n3 % a.n3 == 0 else {
            throw invalid(id, "\(a.shape) and \(b.shape) have no outer product")
        }
        let result = try floatOutput(id, Shape(a.n0, b.n0, b.n2, b.n3))
        if result.isEmpty { return }
        guard b.type == .f32 else { throw unsupported(id) }
        let reader = try reader(id, a)
        try needScratch(reader.scratchCount * 4)
        let addScaled = recurrence.addScaled
        // Rows of a are read once for as many result rows as stay in cache.
        let block = max(1, min(b.n0, 16, (64 << 10) / max(1, a.n0)))
        let blocks = (b.n0 + block - 1) / block
        let (outer2, outer3) = (b.n2 / a.n2, b.n3 / a.n3)
        // Short rows cost what calling for them does.
        let perRow = Double(a.n0) * (Double(block) * 0.1 + 0.5) + 3 * Double(block) + 6
        addPhase(
            over: blocks * b.n2 * b.n3, costPerUnit: Double(a.n1) * perRow + Double(block * a.n0) * 0.1 + 20,
            reads: a.ranges + b.ranges, writes: result.ranges
        ) { worker, range in
            for unit in range {
                let (matrix, part) = unit.quotientAndRemainder(dividingBy: blocks)
                let (i3, i2) = matrix.quotientAndRemainder(dividingBy: b.n2)
                let rows = (part &* block)..<min(b.n0, (part &+ 1) &* block)
                for i1 in rows {
                    result.row3(i1, i2, i3).assumingMemoryBound(to: Float.self).update(repeating: 0, count: a.n0)
                }
                for k in 0..<a.n1 {
                    let values = reader.values(at: a.row3(k, i2 / outer2, i3 / outer3), worker.floats())
                    let factors = b.row3(k, i2, i3)
                    for i1 in rows {
                        let factor = (factors + i1 &* b.s0).load(as: Float.self)
                        addScaled(values, factor, result.row3(i1, i2, i3).assumingMemoryBound(to: Float.self), a.n0)
                    }
                }
            }
        }
    }
}
