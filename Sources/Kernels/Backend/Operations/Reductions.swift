internal import KernelTable
internal import Tensor

// Rows, or a whole tensor, to one value.
extension PlanBuilder {
    /// Each row's sum or mean.
    mutating func addSum(_ id: TensorID, mean: Bool) throws(BackendError) {
        let a = try source(id, 0)
        let result = try floatOutput(id, Shape(1, a.n1, a.n2, a.n3))
        let sum = vector.sum
        try addRowwise(id, into: result, costPerElement: 0.15) { values, out, count, _ in
            let total = sum(values, count)
            out[0] = mean ? total / Float(count) : total
        }
    }

    /// The sum of all elements: one, of source 0's type.
    ///
    /// As in ggml's CPU backend, whose results others are held against, the elements of a row are taken to lie together
    /// whatever their stride: of a transposed matrix, other elements are summed than those of the matrix.
    mutating func addTotal(_ id: TensorID) throws(BackendError) {
        let given = try source(id, 0)
        let a = packedRows(of: given)
        let result = try scalarOutput(id, a.type)
        let reader = try reader(id, a)
        try checkDistinct(id, given)
        guard !a.type.isQuantized, let write = rowWriter(result.type) else { throw unsupported(id) }
        try needScratch(reader.scratchCount * 4)
        let sum = vector.sum
        try addRowTotal(
            of: a, costPerElement: 0.2, reads: given.ranges, into: result,
            { worker, row in Double(sum(reader.row(row, worker.floats()), a.n0)) },
            finish: { total in
                var value = Float(total)
                write(&value, result.base, 1)
            })
    }

    /// The operand with its rows' elements together, where that leaves none outside of the memory that it has.
    private func packedRows(of a: Operand) -> Operand {
        guard !a.isEmpty, a.s0 > a.type.bytesPerBlock, !a.type.isQuantized else { return a }
        let strides = Strides(a.type.bytesPerBlock, a.s1, a.s2, a.s3)
        let tensor = Tensor(name: "", type: a.type, shape: a.shape, strides: strides)
        return Operand(a.id, tensor, at: a.base, writable: false)
    }

    /// Sums of each element and all before it in its row.
    mutating func addCumulativeSum(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let result = try floatOutput(id, a.shape)
        try addRowwise(id, into: result, costPerElement: 1.2) { values, out, count, _ in
            var sum: Float = 0
            for i in 0..<count {
                sum += values[i]
                out[i] = sum
            }
        }
    }

    /// The index of each row's largest value; the last of equal ones, as in ggml.
    mutating func addArgmax(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        guard result.type == .i32, result.shape == Shape(a.n1), a.n2 == 1, a.n3 == 1 else {
            throw invalid(id, "\(result.shape) are not the indices of the largest of each row of \(a.shape)")
        }
        let reader = try reader(id, a)
        try needScratch(reader.scratchCount * 4)
        addPhase(
            over: a.n1, costPerUnit: Double(a.n0) * 0.6 + 10, reads: a.ranges, writes: result.ranges
        ) { worker, range in
            for row in range {
                let values = reader.row(row, worker.floats())
                let top = RowScan.largest(values, a.n0)
                var index = a.n0 &- 1
                while index > 0, values[index] != top { index &-= 1 }
                (result.base + row &* result.s0).storeBytes(of: Int32(truncatingIfNeeded: max(index, 0)), as: Int32.self)
            }
        }
    }

    /// How many elements of two tensors of integers are equal.
    mutating func addCountEqual(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let b = try source(id, 1)
        let result = try scalarOutput(id, .i64)
        guard a.shape == b.shape else { throw invalid(id, "\(a.shape) and \(b.shape) differ") }
        guard a.type == .i32, b.type == .i32 else { throw unsupported(id) }
        try checkDistinct(id, a)
        try addRowTotal(
            of: a, costPerElement: 1, reads: a.ranges + b.ranges, into: result,
            { _, row in
                let (x, y) = (a.row(row), b.row(row))
                var count = 0
                for i in 0..<a.n0 {
                    let left = x.load(fromByteOffset: i &* a.s0, as: Int32.self)
                    let right = y.load(fromByteOffset: i &* b.s0, as: Int32.self)
                    count &+= left == right ? 1 : 0
                }
                // Exact, since there are fewer than 2⁵³ elements.
                return Double(count)
            },
            finish: { total in result.base.storeBytes(of: Int64(total), as: Int64.self) })
    }

    /// One element of the given type.
    func scalarOutput(_ id: TensorID, _ type: ElementType) throws(BackendError) -> Operand {
        let result = try output(id)
        guard result.type == type, result.shape == Shape(1) else {
            throw invalid(id, "its \(result.shape) of \(result.type.name) should be one \(type.name)")
        }
        return result
    }

    /// That a source has no more elements than its memory holds. Where the result is one element, nothing else bounds them.
    func checkDistinct(_ id: TensorID, _ a: Operand) throws(BackendError) {
        guard a.isEmpty || a.extent / a.rowCount >= a.rowByteCount else {
            throw invalid(id, "the elements of source 0 overlap: shape \(a.shape) in \(a.extent) bytes")
        }
    }

    /// Adds up what `value` gives for each row of `a`, in F64 and in one order: rows by stretches, then the stretches.
    ///
    /// - Parameter finish: writes the total to `result`.
    mutating func addRowTotal(
        of a: Operand, costPerElement: Double, reads: [Range<UInt>], into result: Operand,
        _ value: @escaping (Worker, _ row: Int) -> Double, finish: @escaping (Double) -> Void
    ) throws(BackendError) {
        let rows = a.isEmpty ? 0 : a.rowCount
        let perStretch = max(1, 16384 / max(1, a.n0))
        let stretches = (rows + perStretch - 1) / perStretch
        let place = try temporary(stretches * 8)
        guard let base = place.baseAddress else { return }
        let cost = (Double(a.n0) * costPerElement + 15) * Double(perStretch)
        addPhase(over: stretches, costPerUnit: cost, reads: reads, writes: [place.addresses]) { worker, range in
            for stretch in range {
                let first = stretch &* perStretch
                var sum = 0.0
                for row in first..<min(first &+ perStretch, rows) { sum += value(worker, row) }
                base.storeBytes(of: sum, toByteOffset: stretch &* 8, as: Double.self)
            }
        }
        addPhase(over: 1, costPerUnit: Double(stretches), reads: [place.addresses], writes: result.ranges) { _, _ in
            var total = 0.0
            for stretch in 0..<stretches { total += base.load(fromByteOffset: stretch &* 8, as: Double.self) }
            finish(total)
        }
    }
}

/// Looks through a row.
enum RowScan {
    static let width = 16

    /// Whether any of the next ``width`` values is above `limit`.
    @inline(__always)
    static func exceeds(_ values: UnsafePointer<Float>, _ limit: Float) -> Bool {
        let next = UnsafeRawPointer(values).loadUnaligned(as: SIMD16<Float>.self)
        let flags = SIMD16<Int32>(repeating: 0).replacing(with: 1, where: next .> limit)
        return flags.wrappedSum() != 0
    }

    /// The largest value; what is no number is passed over, and without any other value it is -infinity.
    static func largest(_ values: UnsafePointer<Float>, _ count: Int) -> Float {
        var best = SIMD16<Float>(repeating: -.infinity)
        let raw = UnsafeRawPointer(values)
        var i = 0
        while i &+ 16 <= count {
            let next = raw.loadUnaligned(fromByteOffset: i &* 4, as: SIMD16<Float>.self)
            best.replace(with: next, where: next .> best)
            i &+= 16
        }
        var top = -Float.infinity
        for lane in 0..<16 where best[lane] > top { top = best[lane] }
        while i < count {
            if values[i] > top { top = values[i] }
            i &+= 1
        }
        return top
    }
}
