internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension PlanBuilder {
    /// Rows `[k, rows, b2, b3]` picked by ids `[n, b2, b3]`: `[k, n, b2, b3]` in F32, or I32 as they are.
    mutating func addGetRows(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let ids = try source(id, 1)
        guard ids.type == .i32, a.n2 == ids.n1, a.n3 == ids.n2, ids.n3 == 1 else {
            throw invalid(id, "rows of \(a.shape) cannot be picked by \(ids.type.name) \(ids.shape)")
        }
        let shape = Shape(a.n0, ids.n0, ids.n1, ids.n2)
        let isInteger = a.type == .i32
        let result = isInteger ? try output(id) : try floatOutput(id, shape)
        guard result.shape == shape, result.hasContiguousRows, a.hasContiguousRows else { throw unsupported(id) }
        guard !isInteger || result.type == .i32 else { throw unsupported(id) }
        let convert = tables.conversions[a.type.rawValue]?.toF32
        let isPlain = isInteger || a.type == .f32
        guard isPlain || convert != nil else { throw unsupported(id) }
        let limit = a.n1
        addPhase(
            over: result.rowCount, costPerUnit: Double(a.n0) * 0.3 + 20, reads: a.ranges + ids.ranges,
            writes: result.ranges
        ) { worker, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let index = Int((ids.base + (i1 &* ids.s0 &+ i2 &* ids.s1 &+ i3 &* ids.s2)).load(as: Int32.self))
                let target = result.row3(i1, i2, i3)
                guard index >= 0, index < limit else { return worker.report(index: index, limit: limit, at: id) }
                let source = a.row3(index, i2, i3)
                if isPlain {
                    memmove(target, source, result.n0 &* 4)
                } else {
                    convert?(source, target.assumingMemoryBound(to: Float.self), result.n0)
                }
            }
        }
    }

    /// Rows `[k, n, b2, b3]` (F32 or F16) written at indices `[n, i2, i3]` (I64 or I32) of source 2.
    mutating func addSetRows(_ id: TensorID) throws(BackendError) {
        let rows = try source(id, 0)
        let ids = try source(id, 1)
        let target = try output(id)
        guard rows.type == .f32 || rows.type == .f16, ids.type == .i64 || ids.type == .i32, rows.n0 == target.n0, rows.n2 == target.n2,
            rows.n3 == target.n3, rows.n1 == ids.n0, ids.n1 > 0, ids.n2 > 0, rows.n2 % ids.n1 == 0,
            rows.n3 % ids.n2 == 0, ids.n3 == 1, ids.s0 > 0 || ids.n0 <= 1
        else { throw invalid(id, "rows \(rows.shape) cannot be set in \(target.shape) by \(ids.shape)") }
        guard target.hasContiguousRows else { throw unsupported(id, "the target's rows have gaps") }
        // As they are, where no conversion is needed.
        let isPlain = rows.type == target.type && rows.hasContiguousRows
        let reader = try reader(id, rows)
        guard let convert = rowWriter(target.type) else { throw unsupported(id) }
        try needScratch(reader.scratchCount * 4)
        let isWide = ids.type == .i64
        let limit = target.n1
        addPhase(
            over: rows.rowCount, costPerUnit: Double(rows.n0) * (target.type.isQuantized ? 1 : 0.2) + 20,
            reads: rows.ranges + ids.ranges, writes: target.ranges
        ) { worker, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: rows.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: rows.n2)
                let entry = ids.base + (i1 &* ids.s0 &+ (i2 % ids.n1) &* ids.s1 &+ (i3 % ids.n2) &* ids.s2)
                let index = isWide ? Int(entry.load(as: Int64.self)) : Int(entry.load(as: Int32.self))
                guard index >= 0, index < limit else { return worker.report(index: index, limit: limit, at: id) }
                let place = target.row3(index, i2, i3)
                if isPlain {
                    memmove(place, rows.row3(i1, i2, i3), target.rowByteCount)
                } else {
                    convert(reader.row(row, worker.floats()), place, target.n0)
                }
            }
        }
    }

    /// What writes F32 values as `type`; nil if nothing does.
    func rowWriter(_ type: ElementType) -> (@Sendable (UnsafePointer<Float>, UnsafeMutableRawPointer, Int) -> Void)? {
        switch type {
        case .f32: { memmove($1, $0, $2 &* 4) }
        case .f16: vector.f32ToF16
        default: tables.conversions[type.rawValue]?.fromF32
        }
    }
}
