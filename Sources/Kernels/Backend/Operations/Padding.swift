#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import Tensor

// Tensors with more around them, or shifted.
extension PlanBuilder {
    /// Source 0 with elements before and behind it in each dimension: zeros, or what comes round from the other end.
    mutating func addPad(_ id: TensorID, _ parameters: PadParameters) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        var shape = a.shape
        for dimension in 0..<Shape.rank {
            let (before, after) = (Int(parameters.before[dimension]), Int(parameters.after[dimension]))
            let (sum, overflow) = shape[dimension].addingReportingOverflow(before + after)
            guard before >= 0, after >= 0, !overflow else { throw invalid(id, "it pads by \(before) and \(after)") }
            shape[dimension] = sum
        }
        guard result.shape == shape, result.type == a.type else { throw invalid(id, "\(a.shape) is not padded to \(result.shape)") }
        if parameters.circular { return try addWrapped(id, a, into: result, by: parameters.before) }
        let elements = try rowElements(id, a, result)
        let before = parameters.before
        let size = a.type.bytesPerBlock
        let head = Int(before[0]) &* size
        let middle = a.n0 &* size
        let tail = (result.n0 &- a.n0) &* size &- head
        addPhase(
            over: result.rowCount, costPerUnit: Double(result.n0) * elements.cost + 20, reads: a.ranges, writes: result.ranges
        ) { _, range in
            for row in range {
                let (rest, r1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (r3, r2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let (i1, i2, i3) = (r1 &- Int(before[1]), r2 &- Int(before[2]), r3 &- Int(before[3]))
                let target = result.row3(r1, r2, r3)
                guard i1 >= 0, i1 < a.n1, i2 >= 0, i2 < a.n2, i3 >= 0, i3 < a.n3 else {
                    memset(target, 0, head &+ middle &+ tail)
                    continue
                }
                elements.copy(a.row3(i1, i2, i3), from: 0, to: target + head, count: a.n0)
                memset(target, 0, head)
                memset(target + (head &+ middle), 0, tail)
            }
        }
    }

    /// Every element moved on by the shifts, what leaves at one end entering at the other.
    mutating func addRoll(_ id: TensorID, shifts: SIMD4<Int32>) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        guard result.shape == a.shape, result.type == a.type else { throw invalid(id, "\(a.shape) is not \(result.shape)") }
        try addWrapped(id, a, into: result, by: shifts)
    }

    /// Element `i` of the result is element `i - shift` of source 0, which repeats in all directions.
    private mutating func addWrapped(
        _ id: TensorID, _ a: Operand, into result: Operand, by shifts: SIMD4<Int32>
    ) throws(BackendError) {
        if result.isEmpty { return }
        guard !a.isEmpty else { throw invalid(id, "\(a.shape) has nothing to repeat") }
        let elements = try rowElements(id, a, result)
        @inline(__always)
        func wrapped(_ index: Int, _ extent: Int) -> Int {
            let rest = index % extent
            return rest < 0 ? rest &+ extent : rest
        }
        let start = wrapped(-Int(shifts[0]), a.n0)
        let size = a.type.bytesPerBlock
        addPhase(
            over: result.rowCount, costPerUnit: Double(result.n0) * elements.cost + 30, reads: a.ranges, writes: result.ranges
        ) { _, range in
            for row in range {
                let (rest, r1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (r3, r2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let source = a.row3(
                    wrapped(r1 &- Int(shifts[1]), a.n1), wrapped(r2 &- Int(shifts[2]), a.n2),
                    wrapped(r3 &- Int(shifts[3]), a.n3))
                let target = result.row3(r1, r2, r3)
                var first = start
                var done = 0
                while done < result.n0 {
                    let count = min(a.n0 &- first, result.n0 &- done)
                    elements.copy(source, from: first, to: target + done &* size, count: count)
                    done &+= count
                    first = 0
                }
            }
        }
    }

    /// Rows lengthened by their mirror images, which the outermost elements are not part of.
    mutating func addReflectingPad(_ id: TensorID, before: Int32, after: Int32) throws(BackendError) {
        let a = try source(id, 0)
        let (head, tail) = (Int(before), Int(after))
        guard head >= 0, tail >= 0, head < a.n0, tail < a.n0, a.n0 <= Int.max / 4 else {
            throw invalid(id, "rows of \(a.n0) have no reflections of \(head) and \(tail)")
        }
        let result = try floatOutput(id, Shape(head + a.n0 + tail, a.n1, a.n2, a.n3))
        guard a.type == .f32 else { throw unsupported(id) }
        let elements = try rowElements(id, a, result)
        addPhase(
            over: a.rowCount, costPerUnit: Double(result.n0) * elements.cost + 20, reads: a.ranges, writes: result.ranges
        ) { _, range in
            for row in range {
                let first = result.row(row).assumingMemoryBound(to: Float.self) + head
                let last = first + (a.n0 &- 1)
                elements.copy(a.row(row), from: 0, to: first, count: a.n0)
                for i in 0..<head { first[-1 &- i] = first[i &+ 1] }
                for i in 0..<tail { last[i &+ 1] = last[-1 &- i] }
            }
        }
    }

    private func rowElements(_ id: TensorID, _ a: Operand, _ result: Operand) throws(BackendError) -> RowElements {
        guard !a.type.isQuantized, result.hasContiguousRows else { throw unsupported(id, "elements cannot be moved one by one") }
        return RowElements(a)
    }
}

/// Stretches of a tensor's rows copied as they are, whether their elements lie together or apart.
struct RowElements {
    private let isPacked: Bool
    private let stride: Int
    private let size: Int

    init(_ operand: Operand) {
        isPacked = operand.hasContiguousRows
        stride = operand.s0
        size = operand.type.bytesPerBlock
    }

    /// Nanoseconds an element, roughly.
    var cost: Double { isPacked ? 0.1 * Double(size) / 4 : 1 }

    @inline(__always)
    func copy(_ row: UnsafeMutableRawPointer, from first: Int, to target: UnsafeMutableRawPointer, count: Int) {
        if isPacked {
            memmove(target, row + first &* size, count &* size)
        } else {
            StridedCopy.elements(from: row + first &* stride, stride: stride, to: target, size: size, count: count)
        }
    }
}
