#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// The mean over rows of `-Σ label · log softmax(logit)`: one element.
    mutating func addCrossEntropyLoss(_ id: TensorID) throws(BackendError) {
        let logits = try source(id, 0)
        let labels = try source(id, 1)
        let result = try scalarOutput(id, .f32)
        guard logits.shape == labels.shape else { throw invalid(id, "logits \(logits.shape), labels \(labels.shape)") }
        try checkDistinct(id, logits)
        guard let exp = vector.unary[Int(UnaryKind.exp.rawValue)] else { throw unsupported(id) }
        let (scale, mul, sum) = (vector.scale, vector.mul, vector.sum)
        let left = try reader(id, logits)
        let right = try reader(id, labels)
        let labelOffset = left.scratchCount
        let offset = labelOffset + right.scratchCount
        let length = (logits.n0 + 15) & ~15
        try needScratch((offset + 2 * length) * 4)
        let count = logits.n0
        let rows = Float(logits.rowCount)
        try addRowTotal(
            of: logits, costPerElement: 2, reads: logits.ranges + labels.ranges, into: result,
            { worker, row in
                let x = left.row(row, worker.floats())
                let weights = right.row(row, worker.floats(labelOffset))
                let shifted = worker.floats(offset)
                let other = shifted + length
                scale(x, shifted, count, 1, -RowScan.largest(x, count))
                exp(UnsafePointer(shifted), other, count)
                scale(UnsafePointer(shifted), shifted, count, 1, -logf(sum(UnsafePointer(other), count)))
                mul(UnsafePointer(shifted), weights, other, count)
                return Double(sum(UnsafePointer(other), count))
            },
            finish: { total in result.base.storeBytes(of: -Float(total) / rows, as: Float.self) })
    }

    /// Sources: the gradient of the loss, logits, labels. `(softmax(logits) - labels) · gradient / rows`.
    mutating func addCrossEntropyLossBack(_ id: TensorID) throws(BackendError) {
        let gradient = try source(id, 0)
        let logits = try source(id, 1)
        let labels = try source(id, 2)
        let result = try floatOutput(id, logits.shape)
        guard gradient.type == .f32, gradient.shape == Shape(1) else {
            throw invalid(id, "a gradient of \(gradient.shape) is not one F32")
        }
        // Read before any row is written, for rows may be written over it.
        let place = try temporary(4)
        guard let factor = place.baseAddress else { return }
        let rows = Float(logits.rowCount)
        addPhase(over: 1, costPerUnit: 5, reads: gradient.ranges, writes: [place.addresses]) { _, _ in
            factor.storeBytes(of: gradient.base.load(as: Float.self) / rows, as: Float.self)
        }
        let (softMax, sub, scale) = (vector.softMax, vector.sub, vector.scale)
        try addRowPairs(id, logits, labels, into: result, reads: [place.addresses], costPerElement: 1.5) {
            logits, labels, out, count, values, _ in
            softMax(logits, nil, 1, -.infinity, values, count, 1)
            sub(UnsafePointer(values), labels, values, count)
            scale(UnsafePointer(values), out, count, factor.load(as: Float.self), 0)
        }
    }
}
