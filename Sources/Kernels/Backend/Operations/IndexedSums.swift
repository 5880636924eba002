internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

// Sums of rows that indices choose.
extension PlanBuilder {
    /// Rows `[k, used, tokens]`, to each of which the row of source 1 that source 2 `[used, tokens]` names is added: the
    /// biases of experts.
    mutating func addByID(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let b = try source(id, 1)
        let ids = try source(id, 2)
        guard a.n0 == b.n0, b.n2 == 1, b.n3 == 1, ids.type == .i32, a.n1 == ids.n0, a.n2 == ids.n1, ids.n2 == 1,
            ids.n3 == 1
        else { throw invalid(id, "\(b.shape) cannot be added to \(a.shape) by \(ids.type.name) \(ids.shape)") }
        guard a.type == .f32, b.type == .f32 else { throw unsupported(id) }
        let result = try floatOutput(id, a.shape)
        let left = try reader(id, a)
        let right = try reader(id, b)
        let offset = left.scratchCount
        try needScratch((offset + right.scratchCount) * 4)
        let add = vector.add
        let limit = b.n1
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) * 0.2 + 15, reads: a.ranges + b.ranges + ids.ranges,
            writes: result.ranges
        ) { worker, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: a.n1)
                let index = Int((ids.base + (i1 &* ids.s0 &+ (rest % a.n2) &* ids.s1)).load(as: Int32.self))
                guard index >= 0, index < limit else { return worker.report(index: index, limit: limit, at: id) }
                let x = left.row(row, worker.floats())
                let y = right.values(at: b.row3(index, 0, 0), worker.floats(offset))
                add(x, y, result.row(row).assumingMemoryBound(to: Float.self), a.n0)
            }
        }
    }

    /// Row r of the result `[k, m]` is the sum of those rows of `[k, n]` (F32 or F16) whose index is r: the
    /// gradient of picking rows. Rows past the last index are left out.
    mutating func addGetRowsBack(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let ids = try source(id, 1)
        guard ids.type == .i32, ids.shape == Shape(ids.n0), a.shape == Shape(a.n0, a.n1), ids.n0 <= a.n1,
            ids.s0 > 0 || ids.n0 <= 1
        else {
            throw invalid(id, "rows of \(a.shape) cannot be added up by \(ids.type.name) \(ids.shape)")
        }
        let limit = try output(id).n1
        let result = try floatOutput(id, Shape(a.n0, limit))
        guard a.type == .f32 || a.type == .f16, a.hasContiguousRows else { throw unsupported(id) }
        // Shared out by columns: each element's sum is in the order of the rows, whoever computes it.
        let length = 256
        try needScratch(length * 4)
        let (add, widen) = (vector.add, vector.f16ToF32)
        let isHalf = a.type == .f16
        addPhase(
            over: (a.n0 + length - 1) / length, costPerUnit: Double(length) * 0.2 * (Double(ids.n0) + Double(limit)) + 20,
            reads: a.ranges + ids.ranges, writes: result.ranges
        ) { worker, range in
            for part in range {
                let first = part &* length
                let count = min(length, a.n0 &- first)
                for row in 0..<limit {
                    (result.row(row).assumingMemoryBound(to: Float.self) + first).update(repeating: 0, count: count)
                }
                for row in 0..<ids.n0 {
                    let index = Int((ids.base + row &* ids.s0).load(as: Int32.self))
                    guard index >= 0, index < limit else { return worker.report(index: index, limit: limit, at: id) }
                    let target = result.row(index).assumingMemoryBound(to: Float.self) + first
                    var values = a.row(row).assumingMemoryBound(to: Float.self) + first
                    if isHalf {
                        values = worker.floats()
                        widen(a.row(row) + first &* 2, values, count)
                    }
                    add(UnsafePointer(target), UnsafePointer(values), target, count)
                }
            }
        }
    }
}
