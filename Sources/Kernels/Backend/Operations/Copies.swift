#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// A copy with another type, other strides or another shape of as many elements.
    mutating func addCopy(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        guard a.shape.checkedElementCount != nil, a.elementCount == result.elementCount else {
            throw invalid(id, "\(a.shape) cannot be copied to \(result.shape)")
        }
        if result.isEmpty { return }
        if a.shape != result.shape { return try addReshapingCopy(id, a, result) }
        if a.type == result.type, a.hasContiguousRows, result.hasContiguousRows {
            let bytes = a.rowByteCount
            addPhase(
                over: a.rowCount, costPerUnit: Double(bytes) * 0.06 + 5, reads: a.ranges, writes: result.ranges
            ) { _, range in
                for row in range { memmove(result.row(row), a.row(row), bytes) }
            }
            return
        }
        if a.type == result.type, !a.type.isQuantized, result.hasContiguousRows {
            let size = a.type.bytesPerBlock
            addPhase(
                over: a.rowCount, costPerUnit: Double(a.n0) + 5, reads: a.ranges, writes: result.ranges
            ) { _, range in
                for row in range {
                    StridedCopy.elements(from: a.row(row), stride: a.s0, to: result.row(row), size: size, count: a.n0)
                }
            }
            return
        }
        try addConvertingCopy(id, a, result)
    }

    /// Row by row through F32.
    private mutating func addConvertingCopy(_ id: TensorID, _ a: Operand, _ result: Operand) throws(BackendError) {
        let reader = try reader(id, a)
        guard let write = rowWriter(result.type) else { throw unsupported(id) }
        let isPacked = result.hasContiguousRows
        guard isPacked || !result.type.isQuantized else { throw unsupported(id, "the result's rows have gaps") }
        let size = result.type.bytesPerBlock
        let offset = reader.scratchCount
        try needScratch((offset + (isPacked ? 0 : a.n0 + 16)) * 4)
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) + 5, reads: a.ranges, writes: result.ranges
        ) { worker, range in
            for row in range {
                let values = reader.row(row, worker.floats())
                if isPacked {
                    write(values, result.row(row), a.n0)
                    continue
                }
                let packed = UnsafeMutableRawPointer(worker.floats(offset))
                write(values, packed, a.n0)
                let target = result.row(row)
                for i in 0..<a.n0 { memcpy(target + i &* result.s0, packed + i &* size, size) }
            }
        }
    }

    /// Elements in ggml's order, whatever the two shapes.
    private mutating func addReshapingCopy(_ id: TensorID, _ a: Operand, _ result: Operand) throws(BackendError) {
        // Through a contiguous copy of the source, which then is read under the result's shape.
        guard !a.type.isQuantized || a.type == result.type else { throw unsupported(id, "the shapes differ") }
        guard !a.type.isQuantized || (a.hasContiguousRows && result.hasContiguousRows) else { throw unsupported(id) }
        let rowBytes = a.rowByteCount
        let (bytes, overflow) = rowBytes.multipliedReportingOverflow(by: a.rowCount)
        guard !overflow else { throw invalid(id, "its source is too large") }
        let place = try temporary(bytes)
        guard let base = place.baseAddress else { return }
        let size = a.type.bytesPerBlock
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) + 5, reads: a.ranges, writes: [place.addresses]
        ) { _, range in
            for row in range {
                let target = base + row &* rowBytes
                if a.hasContiguousRows {
                    memcpy(target, a.row(row), rowBytes)
                } else {
                    StridedCopy.elements(from: a.row(row), stride: a.s0, to: target, size: size, count: a.n0)
                }
            }
        }
        guard result.n0 % a.type.elementsPerBlock == 0 else { throw unsupported(id, "the shapes differ") }
        let packed = Operand(a.id, Tensor(name: "", type: a.type, shape: result.shape), at: base, writable: true)
        if a.type == result.type, result.hasContiguousRows {
            let bytes = result.rowByteCount
            addPhase(
                over: result.rowCount, costPerUnit: Double(bytes) * 0.06 + 5, reads: [place.addresses],
                writes: result.ranges
            ) { _, range in
                for row in range { memcpy(result.row(row), packed.row(row), bytes) }
            }
        } else {
            try addConvertingCopy(id, packed, result)
        }
    }

    /// Source 0 again and again until the result is full.
    mutating func addRepeat(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        guard a.shape.repeats(into: result.shape) else { throw invalid(id, "\(a.shape) cannot fill \(result.shape)") }
        if result.isEmpty { return }
        guard a.type == result.type, a.hasContiguousRows, result.hasContiguousRows else { throw unsupported(id) }
        let bytes = a.rowByteCount
        let times = result.n0 / a.n0
        addPhase(
            over: result.rowCount, costPerUnit: Double(result.rowByteCount) * 0.06 + 10, reads: a.ranges,
            writes: result.ranges
        ) { _, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let source = a.row3(i1 % a.n1, i2 % a.n2, i3 % a.n3)
                let target = result.row(row)
                for time in 0..<times { memcpy(target + time &* bytes, source, bytes) }
            }
        }
    }

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
        guard a.type == b.type, a.type == result.type, a.hasContiguousRows, b.hasContiguousRows, result.hasContiguousRows
        else { throw unsupported(id) }
        let (first, second) = (a.rowByteCount, b.rowByteCount)
        let limit = a.shape[dimension]
        addPhase(
            over: result.rowCount, costPerUnit: Double(result.rowByteCount) * 0.06 + 10, reads: a.ranges + b.ranges,
            writes: result.ranges
        ) { _, range in
            for row in range {
                let target = result.row(row)
                if dimension == 0 {
                    memcpy(target, a.row(row), first)
                    memcpy(target + first, b.row(row), second)
                    continue
                }
                let (rest, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let index = dimension == 1 ? i1 : (dimension == 2 ? i2 : i3)
                if index < limit {
                    memcpy(target, a.row3(i1, i2, i3), first)
                } else {
                    let source = b.row3(
                        dimension == 1 ? i1 &- limit : i1, dimension == 2 ? i2 &- limit : i2,
                        dimension == 3 ? i3 &- limit : i3)
                    memcpy(target, source, second)
                }
            }
        }
    }
}
