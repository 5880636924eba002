#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import KernelTable
internal import Tensor

// Attention within windows of an image, with biases by relative position (Kirillov et al., "Segment Anything", 2023).
extension PlanBuilder {
    /// `[embedding, columns, rows]` cut into windows `[embedding, window, window, windows]`; zeros past the edges.
    mutating func addWindows(_ id: TensorID, columnCount: Int32, rowCount: Int32, window: Int32) throws(BackendError) {
        let a = try source(id, 0)
        let size = Int(window)
        let (columns, rows) = (Int(columnCount), Int(rowCount))
        let (count, overflow) = columns.multipliedReportingOverflow(by: rows)
        guard size > 0, columns >= 0, rows >= 0, !overflow, a.n3 == 1 else {
            throw invalid(id, "\(columns) by \(rows) windows of \(size)")
        }
        let result = try floatOutput(id, Shape(a.n0, size, size, count))
        guard a.type == .f32, a.hasContiguousRows else { throw unsupported(id) }
        let bytes = a.rowByteCount
        addPhase(
            over: result.rowCount, costPerUnit: Double(bytes) * 0.06 + 15, reads: a.ranges, writes: result.ranges
        ) { _, range in
            for row in range {
                let (rest, r1) = row.quotientAndRemainder(dividingBy: size)
                let (place, r2) = rest.quotientAndRemainder(dividingBy: size)
                let (y, x) = place.quotientAndRemainder(dividingBy: columns)
                let (i1, i2) = (x &* size &+ r1, y &* size &+ r2)
                let target = result.row3(r1, r2, place)
                if i1 < a.n1, i2 < a.n2 {
                    memmove(target, a.row3(i1, i2, 0), bytes)
                } else {
                    memset(target, 0, bytes)
                }
            }
        }
    }

    /// Windows put together again to `[embedding, columns, rows]`; what was past the edges is left out.
    mutating func addWindowsJoined(_ id: TensorID, window: Int32) throws(BackendError) {
        let a = try source(id, 0)
        let size = Int(window)
        let shape = try output(id).shape
        let result = try floatOutput(id, shape)
        guard size > 0, shape[3] == 1 else { throw invalid(id, "windows of \(size)") }
        func count(_ extent: Int) -> Int { extent / size + (extent % size == 0 ? 0 : 1) }
        let columns = count(shape[1])
        let (windows, overflow) = columns.multipliedReportingOverflow(by: count(shape[2]))
        guard !overflow, a.shape == Shape(shape[0], size, size, windows) else {
            throw invalid(id, "windows \(a.shape) do not make up \(shape)")
        }
        guard a.type == .f32, a.hasContiguousRows else { throw unsupported(id) }
        let bytes = a.rowByteCount
        addPhase(
            over: result.rowCount, costPerUnit: Double(bytes) * 0.06 + 15, reads: a.ranges, writes: result.ranges
        ) { _, range in
            for row in range {
                let (i2, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (y, r2) = i2.quotientAndRemainder(dividingBy: size)
                let (x, r1) = i1.quotientAndRemainder(dividingBy: size)
                memmove(result.row3(i1, i2, 0), a.row3(r1, r2, y &* columns &+ x), bytes)
            }
        }
    }

    /// Of rows `[embedding, 2n - 1]`, for each two of n positions that of their difference: `[embedding, n, n]`.
    mutating func addRelativePositions(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        let n = a.n1 / 2 + 1
        guard a.n1 % 2 == 1, a.n2 == 1, a.n3 == 1, result.shape == Shape(a.n0, n, n), result.type == a.type else {
            throw invalid(id, "\(a.shape) has no row for each difference of \(result.shape)")
        }
        guard a.type == .f16, a.hasContiguousRows, result.hasContiguousRows else { throw unsupported(id) }
        let bytes = a.rowByteCount
        addPhase(
            over: result.rowCount, costPerUnit: Double(bytes) * 0.06 + 15, reads: a.ranges, writes: result.ranges
        ) { _, range in
            for row in range {
                let (i2, i1) = row.quotientAndRemainder(dividingBy: n)
                memmove(result.row3(i1, i2, 0), a.row3(n &- 1 &- i1 &+ i2, 0, 0), bytes)
            }
        }
    }

    /// Scores `[k · k, …]` plus, for each key's column and row, an element of `[k, …]` (sources 1 and 2).
    mutating func addRelativeBias(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let columns = try source(id, 1)
        let rows = try source(id, 2)
        let result = try floatOutput(id, a.shape)
        let k = columns.n0
        let (square, overflow) = k.multipliedReportingOverflow(by: k)
        guard columns.shape == rows.shape, !overflow, square == a.n0, columns.rowCount == a.rowCount else {
            throw invalid(id, "relative positions \(columns.shape) and \(rows.shape) do not fit \(a.shape)")
        }
        guard a.type == .f32, columns.type == .f32, rows.type == .f32, a.hasContiguousRows, columns.hasContiguousRows,
            rows.hasContiguousRows
        else { throw unsupported(id) }
        let (add, scale) = (vector.add, vector.scale)
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) * 0.4 + 20, reads: a.ranges + columns.ranges + rows.ranges,
            writes: result.ranges
        ) { _, range in
            for row in range {
                let values = UnsafePointer(a.row(row).assumingMemoryBound(to: Float.self))
                let byColumn = UnsafePointer(columns.row(row).assumingMemoryBound(to: Float.self))
                let byRow = UnsafePointer(rows.row(row).assumingMemoryBound(to: Float.self))
                let out = result.row(row).assumingMemoryBound(to: Float.self)
                for y in 0..<k {
                    let part = out + y &* k
                    scale(values + y &* k, part, k, 1, byRow[y])
                    add(UnsafePointer(part), byColumn, part, k)
                }
            }
        }
    }
}
