internal import KernelTable
internal import Tensor

// Gradients of operations on rows.
extension PlanBuilder {
    /// Each row of two sources of one shape to a row of the result, with two rows of thread memory besides.
    mutating func addRowPairs(
        _ id: TensorID, _ a: Operand, _ b: Operand, into result: Operand, reads: [Range<UInt>] = [],
        costPerElement: Double,
        _ body:
            @escaping (
                _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int,
                _ first: UnsafeMutablePointer<Float>, _ second: UnsafeMutablePointer<Float>
            ) -> Void
    ) throws(BackendError) {
        guard a.shape == b.shape else { throw invalid(id, "\(a.shape) and \(b.shape) differ") }
        let left = try reader(id, a)
        let right = try reader(id, b)
        let rightOffset = left.scratchCount
        let firstOffset = rightOffset + right.scratchCount
        let length = (a.n0 + 15) & ~15
        try needScratch((firstOffset + 2 * length) * 4)
        addPhase(
            over: a.rowCount, costPerUnit: costPerElement * Double(a.n0) + 20, reads: a.ranges + b.ranges + reads,
            writes: result.ranges
        ) { worker, range in
            let first = worker.floats(firstOffset)
            for row in range {
                let x = left.row(row, worker.floats())
                let y = right.row(row, worker.floats(rightOffset))
                body(x, y, result.row(row).assumingMemoryBound(to: Float.self), a.n0, first, first + length)
            }
        }
    }

    /// Source 0 is the gradient of the normed rows, source 1 the rows that were normed.
    mutating func addRMSNormBack(_ id: TensorID, epsilon: Float) throws(BackendError) {
        let gradient = try source(id, 0)
        let x = try source(id, 1)
        let result = try floatOutput(id, gradient.shape)
        let (add, mul, scale, sum) = (vector.add, vector.mul, vector.scale, vector.sum)
        try addRowPairs(id, gradient, x, into: result, costPerElement: 0.8) { dz, x, out, count, squares, products in
            mul(x, x, squares, count)
            mul(x, dz, products, count)
            let length = sum(UnsafePointer(squares), count) + epsilon * Float(count)
            let weight = -sum(UnsafePointer(products), count) / length
            scale(x, products, count, weight, 0)
            add(dz, UnsafePointer(products), products, count)
            scale(UnsafePointer(products), out, count, 1 / (length / Float(count)).squareRoot(), 0)
        }
    }

    /// Source 0 is the gradient of the softmax, source 1 what the softmax gave: `(dy - y · dy) · y`, scaled.
    mutating func addSoftMaxBack(_ id: TensorID, scale factor: Float, maxBias: Float) throws(BackendError) {
        let gradient = try source(id, 0)
        let y = try source(id, 1)
        let result = try floatOutput(id, gradient.shape)
        guard maxBias == 0 else { throw unsupported(id, "its bias is \(maxBias)") }
        let (mul, scale, sum) = (vector.mul, vector.scale, vector.sum)
        try addRowPairs(id, gradient, y, into: result, costPerElement: 0.7) { dy, y, out, count, products, _ in
            mul(dy, y, products, count)
            let product = sum(UnsafePointer(products), count)
            scale(dy, products, count, factor, -factor * product)
            mul(UnsafePointer(products), y, out, count)
        }
    }

    /// Source 0 is the gradient of the SiLU, source 1 its argument: `dy · s · (1 + x · (1 - s))`, `s` the sigmoid of x.
    mutating func addSiLUBack(_ id: TensorID) throws(BackendError) {
        let gradient = try source(id, 0)
        let x = try source(id, 1)
        let result = try floatOutput(id, gradient.shape)
        let (mul, scale) = (vector.mul, vector.scale)
        guard let sigmoid = vector.unary[Int(UnaryKind.sigmoid.rawValue)] else { throw unsupported(id) }
        try addRowPairs(id, gradient, x, into: result, costPerElement: 1.5) { dy, x, out, count, s, slope in
            sigmoid(x, s, count)
            scale(UnsafePointer(s), slope, count, -1, 1)
            mul(x, UnsafePointer(slope), slope, count)
            scale(UnsafePointer(slope), slope, count, 1, 1)
            mul(dy, UnsafePointer(s), s, count)
            mul(UnsafePointer(s), UnsafePointer(slope), out, count)
        }
    }
}
