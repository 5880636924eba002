internal import Tensor

extension PlanBuilder {
    /// Source 0 again and again until the result is full.
    mutating func addRepeat(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        guard a.shape.repeats(into: result.shape) else { throw invalid(id, "\(a.shape) cannot fill \(result.shape)") }
        if result.isEmpty { return }
        guard a.type == result.type, a.n0 % a.type.elementsPerBlock == 0 else { throw unsupported(id) }
        let size = a.type.bytesPerBlock
        let units = a.n0 / a.type.elementsPerBlock
        let times = result.n0 / a.n0
        addPhase(
            over: result.rowCount, costPerUnit: Double(result.rowByteCount) * 0.06 + 10, reads: a.ranges,
            writes: result.ranges
        ) { _, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let source = a.row3(i1 % a.n1, i2 % a.n2, i3 % a.n3)
                let target = result.row3(i1, i2, i3)
                for time in 0..<times {
                    Units.copy(
                        from: source, stride: a.s0, to: target + time &* units &* result.s0, targetStride: result.s0,
                        size: size, count: units)
                }
            }
        }
    }

    /// The gradient of a repetition: each element is the sum of its repetitions in source 0.
    mutating func addRepeatBack(_ id: TensorID) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        guard result.shape.repeats(into: a.shape) else {
            throw invalid(id, "\(a.shape) does not repeat \(result.shape)")
        }
        if result.isEmpty { return }
        guard result.type == .f32, result.hasContiguousRows else { throw unsupported(id) }
        let reader = try reader(id, a)
        let add = vector.add
        let count = result.n0
        // Next to an extent of 0 the others say nothing, and could be any number.
        let times = a.isEmpty ? (0, 0, 0, 0) : (a.n0 / count, a.n1 / result.n1, a.n2 / result.n2, a.n3 / result.n3)
        try needScratch(reader.scratchCount * 4)
        let perRow = times.1 &* times.2 &* times.3
        // Short sums cost what calling for them does.
        let perSum = Double(count) * (reader.isDirect ? 0.3 : 1.5) + 25
        addPhase(
            over: result.rowCount, costPerUnit: perSum * Double(times.0) * Double(perRow) + 10, reads: a.ranges,
            writes: result.ranges
        ) { worker, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let target = result.row3(i1, i2, i3).assumingMemoryBound(to: Float.self)
                target.update(repeating: 0, count: count)
                for r3 in 0..<times.3 {
                    for r2 in 0..<times.2 {
                        for r1 in 0..<times.1 {
                            let place = a.row3(
                                r1 &* result.n1 &+ i1, r2 &* result.n2 &+ i2, r3 &* result.n3 &+ i3)
                            let values = reader.values(at: place, worker.floats())
                            for r0 in 0..<times.0 { add(target, values + r0 &* count, target, count) }
                        }
                    }
                }
            }
        }
    }
}
