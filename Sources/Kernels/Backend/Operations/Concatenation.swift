internal import Tensor

extension PlanBuilder {
    /// Source 1 behind source 0 along one dimension.
    mutating func addConcat(_ id: TensorID, dimension: Int) throws(BackendError) {
        let a = try source(id, 0)
        let b = try source(id, 1)
        let result = try output(id)
        guard dimension >= 0, dimension < Shape.rank else { throw invalid(id, "there is no dimension \(dimension)") }
        var shape = a.shape
        let (sum, overflow) = shape[dimension].addingReportingOverflow(b.shape[dimension])
        shape[dimension] = sum
        var rest = b.shape
        rest[dimension] = a.shape[dimension]
        guard !overflow, rest == a.shape, result.shape == shape else {
            throw invalid(id, "\(a.shape) and \(b.shape) do not make \(result.shape)")
        }
        let unit = a.type.elementsPerBlock
        guard a.type == b.type, a.type == result.type, a.n0 % unit == 0, b.n0 % unit == 0 else { throw unsupported(id) }
        let size = a.type.bytesPerBlock
        let (first, second) = (a.n0 / unit, b.n0 / unit)
        func copy(_ source: UnsafeMutableRawPointer, _ stride: Int, _ target: UnsafeMutableRawPointer, _ count: Int) {
            Units.copy(
                from: source, stride: stride, to: target, targetStride: result.s0, size: size, count: count)
        }
        let limit = a.shape[dimension]
        addPhase(
            over: result.rowCount, costPerUnit: Double(result.rowByteCount) * 0.06 + 10, reads: a.ranges + b.ranges,
            writes: result.ranges
        ) { _, range in
            for row in range {
                let target = result.row(row)
                if dimension == 0 {
                    copy(a.row(row), a.s0, target, first)
                    copy(b.row(row), b.s0, target + first &* result.s0, second)
                    continue
                }
                let (rest, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let index = dimension == 1 ? i1 : (dimension == 2 ? i2 : i3)
                if index < limit {
                    copy(a.row3(i1, i2, i3), a.s0, target, first)
                } else {
                    let source = b.row3(
                        dimension == 1 ? i1 &- limit : i1, dimension == 2 ? i2 &- limit : i2,
                        dimension == 3 ? i3 &- limit : i3)
                    copy(source, b.s0, target, second)
                }
            }
        }
    }
}
