internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// Source 0 `[head size, heads, tokens, streams]` rotated by positions `[tokens]`, or four times as many of them.
    /// Backwards it is the gradient, which is the rotation the other way.
    ///
    /// Cosines and sines are computed once for each token; nodes that agree in positions and parameters share them.
    mutating func addRope(_ id: TensorID, _ parameters: RopeParameters, backward: Bool = false) throws(BackendError) {
        let a = try source(id, 0)
        let positions = try source(id, 1)
        let result = try output(id)
        guard a.type == .f32 || a.type == .f16, result.type == a.type, a.hasContiguousRows, result.hasContiguousRows else {
            throw unsupported(id)
        }
        guard result.shape == a.shape else { throw invalid(id, "its shape \(result.shape) should be \(a.shape)") }
        let isVision = parameters.mode == .vision
        let (count, offset) = (parameters.dimensions, parameters.offset)
        let (needed, overflow) = a.n2.multipliedReportingOverflow(by: parameters.mode.hasSections ? 4 : 1)
        guard count > 0, count % 2 == 0, offset >= 0, offset <= a.n0, count <= a.n0 - offset, !overflow,
            positions.type == .i32, positions.n0 >= needed, positions.s0 == 4 || positions.n0 == 1,
            !isVision || (offset == 0 && a.n0 % 2 == 0 && count == a.n0 / 2)
        else { throw invalid(id, "\(a.shape) cannot be rotated over \(count) at \(positions.shape)") }
        if parameters.mode.hasSections {
            let sections = SIMD4<Int>(truncatingIfNeeded: parameters.sections)
            guard sections.min() >= 0, sections.wrappedSum() > 0 else {
                throw invalid(id, "its sections are \(parameters.sections)")
            }
        }
        if a.isEmpty { return }
        let pairs = isVision ? a.n0 / 2 : count / 2
        let factors = try optionalSource(id, 2)
        if let factors {
            guard factors.type == .f32, factors.hasContiguousRows, factors.n0 >= pairs, factors.rowCount == 1 else {
                throw invalid(id, "\(factors.shape) are not the frequency factors of \(pairs) pairs")
            }
        }
        let reader = try reader(id, a)
        let frequencies = RopeFrequencies(parameters, pairs: pairs, backward: backward)
        let table = try angles(frequencies, positions, tokens: a.n2, factors)
        guard let angles = table.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
        let rotate = vector.rope
        let halves = parameters.mode != .normal
        let toHalf = a.type == .f16 ? vector.f32ToF16 : nil
        let outOffset = reader.scratchCount
        try needScratch((outOffset + (toHalf == nil ? 0 : a.n0 + 16)) * 4)
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) * 0.3 + 10, reads: a.ranges + [table.addresses],
            writes: result.ranges
        ) { worker, range in
            for row in range {
                let token = row / a.n1 % a.n2
                let values = reader.row(row, worker.floats())
                let place = result.row(row)
                let target = toHalf == nil ? place.assumingMemoryBound(to: Float.self) : worker.floats(outOffset)
                if offset > 0, values != UnsafePointer(target) { target.update(from: values, count: offset) }
                rotate(
                    values + offset, target + offset, a.n0 &- offset, pairs, halves, angles + token &* (2 &* pairs))
                if let toHalf { toHalf(UnsafePointer(target), place, a.n0) }
            }
        }
    }

    /// Cosine and sine of each pair, `[2 · pairs, tokens]`.
    private mutating func angles(
        _ frequencies: RopeFrequencies, _ positions: Operand, tokens: Int, _ factors: Operand?
    ) throws(BackendError) -> UnsafeMutableRawBufferPointer {
        let factorAddress = factors.map { Int(bitPattern: $0.base) } ?? 0
        let key = SharedResults.Key(
            kind: .angles(frequencies.bits), source: [Int(bitPattern: positions.base), tokens, factorAddress])
        if let place = reuse(key) { return place }
        let width = 2 * frequencies.pairs
        let (byteCount, overflow) = tokens.multipliedReportingOverflow(by: width * 4)
        guard !overflow else { throw BackendError(.outOfMemory, "too many tokens to rotate") }
        let place = try temporary(byteCount, keep: true)
        guard let base = place.baseAddress?.assumingMemoryBound(to: Float.self) else { return place }
        let reads = positions.ranges + (factors?.ranges ?? [])
        let factorValues = factors.map { UnsafePointer($0.base.assumingMemoryBound(to: Float.self)) }
        addPhase(
            over: tokens, costPerUnit: Double(width) * 12, reads: reads, writes: [place.addresses]
        ) { _, range in
            for token in range {
                let target = base + token &* width
                func position(_ axis: Int) -> Int32 {
                    positions.base.load(fromByteOffset: (token &+ axis &* tokens) &* 4, as: Int32.self)
                }
                if frequencies.axes == 1 {
                    frequencies.fill(target, position: position(0), factorValues)
                } else {
                    let all = SIMD4(position(0), position(1), position(2), position(3))
                    frequencies.fill(target, positions: all, factorValues)
                }
            }
        }
        shared.remember(key, at: place, madeFrom: reads)
        return place
    }
}
