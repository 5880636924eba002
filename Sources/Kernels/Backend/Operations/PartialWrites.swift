internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

// Results that are source 0 but for a part: a place in it, given by strides and an offset, that source 1 goes to.
extension PlanBuilder {
    /// Source 1 added to its part of source 0; F32.
    mutating func addAcc(_ id: TensorID, _ parameters: SetParameters) throws(BackendError) {
        let b = try source(id, 1)
        let (result, part) = try addWhole(id, b, parameters)
        guard result.type == .f32, b.type == .f32 else { throw unsupported(id) }
        if b.isEmpty { return }
        let reader = try reader(id, b)
        try needScratch(reader.scratchCount * 4)
        let add = vector.add
        addPart(part, costPerRow: Double(b.n0) * 0.2 + 10, reads: b.ranges + result.ranges) { worker, row in
            let target = part.row(row).assumingMemoryBound(to: Float.self)
            add(UnsafePointer(target), reader.row(row, worker.floats()), target, part.n0)
        }
    }

    /// Source 1 in place of its part of source 0; of any type but blocks.
    mutating func addSet(_ id: TensorID, _ parameters: SetParameters) throws(BackendError) {
        let b = try source(id, 1)
        let (_, part) = try addWhole(id, b, parameters)
        if b.isEmpty { return }
        let size = b.type.bytesPerBlock
        let bytes = b.rowByteCount
        addPart(part, costPerRow: Double(b.n0) * 0.3 + 10, reads: b.ranges) { _, row in
            if b.hasContiguousRows {
                memmove(part.row(row), b.row(row), bytes)
            } else {
                StridedCopy.elements(from: b.row(row), stride: b.s0, to: part.row(row), size: size, count: b.n0)
            }
        }
    }

    /// Makes the result a copy of source 0, unless it is source 0 itself, and finds the part of it that is written.
    private mutating func addWhole(
        _ id: TensorID, _ b: Operand, _ parameters: SetParameters
    ) throws(BackendError) -> (result: Operand, part: Operand) {
        let a = try source(id, 0)
        let result = try output(id)
        guard a.shape == result.shape, a.type == result.type, b.type == a.type, !a.type.isQuantized, a.isPacked,
            result.isPacked
        else { throw unsupported(id) }
        let strides = Strides(a.type.bytesPerBlock, parameters.stride1, parameters.stride2, parameters.stride3)
        let offset = parameters.byteOffset
        let tensor = Tensor(name: "", type: a.type, shape: b.shape, strides: strides)
        guard offset >= 0, offset <= result.extent, let extent = tensor.checkedByteExtent,
            extent <= result.extent - offset
        else { throw invalid(id, "\(b.shape) at byte \(offset) by \(strides) leaves \(result.shape)") }
        var lowBits = b.isEmpty ? 0 : offset
        for dimension in 0..<Shape.rank where b.shape[dimension] > 1 { lowBits |= strides[dimension] }
        guard b.isEmpty || lowBits & (a.type.bytesPerBlock - 1) == 0 else {
            throw invalid(id, "byte \(offset) and strides \(strides) are not aligned for \(a.type.name)")
        }
        let part = Operand(id, tensor, at: result.base + offset, writable: true)
        // Else a few bytes could stand for any number of rows.
        guard part.isEmpty || part.extent / part.rowCount >= part.rowByteCount else {
            throw invalid(id, "the rows of \(b.shape) by \(strides) overlap")
        }
        if a.base != result.base {
            let bytes = a.rowByteCount
            addPhase(
                over: a.rowCount, costPerUnit: Double(bytes) * 0.06 + 5, reads: a.ranges, writes: result.ranges
            ) { _, range in
                for row in range { memmove(result.row(row), a.row(row), bytes) }
            }
        }
        return (result, part)
    }

    /// A phase over the part's rows; one after the other where rows share bytes, so that the last always wins.
    private mutating func addPart(
        _ part: Operand, costPerRow: Double, reads: [Range<UInt>], _ body: @escaping (Worker, Int) -> Void
    ) {
        var next = part.rowByteCount
        var areApart = true
        for (count, stride) in [(part.n1, part.s1), (part.n2, part.s2), (part.n3, part.s3)] where count > 1 {
            if stride < next { areApart = false }
            next = stride &* count
        }
        let rows = part.rowCount
        addPhase(
            over: areApart ? rows : 1, costPerUnit: areApart ? costPerRow : costPerRow * Double(rows), reads: reads,
            writes: part.ranges
        ) { worker, range in
            for row in areApart ? range : 0..<rows { body(worker, row) }
        }
    }
}
