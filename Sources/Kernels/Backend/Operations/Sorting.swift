internal import Tensor

extension PlanBuilder {
    /// The indices that sort each row; equal values keep their order, and what is no number comes last.
    mutating func addArgsort(_ id: TensorID, _ order: SortOrder) throws(BackendError) {
        let a = try source(id, 0)
        let result = try indexOutput(id, a.shape)
        let reader = try reader(id, a)
        try needScratch(reader.scratchCount * 4)
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) * 25 + 20, reads: a.ranges, writes: result.ranges
        ) { worker, range in
            for row in range {
                let values = reader.row(row, worker.floats())
                var indices = UnsafeMutableBufferPointer(
                    start: result.row(row).assumingMemoryBound(to: Int32.self), count: a.n0)
                for i in 0..<a.n0 { indices[i] = Int32(truncatingIfNeeded: i) }
                indices.sort { RowOrder.precedes($0, $1, values, order) }
            }
        }
    }

    /// The indices of the `count` largest of each row, largest first.
    mutating func addTopK(_ id: TensorID, count: Int) throws(BackendError) {
        let a = try source(id, 0)
        guard count >= 0, count <= a.n0 else { throw invalid(id, "\(count) of the \(a.n0) values of a row") }
        let result = try indexOutput(id, Shape(count, a.n1, a.n2, a.n3))
        let reader = try reader(id, a)
        try needScratch(reader.scratchCount * 4 + a.n0 * 4 + 64)
        let offset = reader.scratchCount
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) * 25 + 20, reads: a.ranges, writes: result.ranges
        ) { worker, range in
            for row in range {
                let values = reader.row(row, worker.floats())
                let start = UnsafeMutableRawPointer(worker.floats(offset)).assumingMemoryBound(to: Int32.self)
                var indices = UnsafeMutableBufferPointer(start: start, count: a.n0)
                for i in 0..<a.n0 { indices[i] = Int32(truncatingIfNeeded: i) }
                indices.sort { RowOrder.precedes($0, $1, values, .descending) }
                result.row(row).assumingMemoryBound(to: Int32.self).update(from: start, count: count)
            }
        }
    }

    private func indexOutput(_ id: TensorID, _ shape: Shape) throws(BackendError) -> Operand {
        let result = try output(id)
        guard result.type == .i32, result.hasContiguousRows else { throw unsupported(id, "the result must be I32 rows") }
        guard result.shape == shape else { throw invalid(id, "its shape \(result.shape) should be \(shape)") }
        guard shape[0] <= Int(Int32.max) else { throw unsupported(id, "its rows are too long") }
        return result
    }
}

/// A strict order of a row's elements, in which NaN comes last.
private enum RowOrder {
    @inline(__always)
    static func precedes(_ i: Int32, _ j: Int32, _ values: UnsafePointer<Float>, _ order: SortOrder) -> Bool {
        let (x, y) = (values[Int(i)], values[Int(j)])
        if x.isNaN || y.isNaN { return x.isNaN == y.isNaN ? i < j : y.isNaN }
        if x == y { return i < j }
        return order == .ascending ? x < y : x > y
    }
}
