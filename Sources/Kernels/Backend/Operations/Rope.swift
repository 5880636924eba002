#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// Source 0 `[head size, heads, tokens, streams]` rotated by positions `[tokens]`.
    ///
    /// Cosines and sines are computed once for each token; nodes that agree in positions and parameters share them.
    mutating func addRope(_ id: TensorID, _ parameters: RopeParameters) throws(BackendError) {
        let a = try source(id, 0)
        let positions = try source(id, 1)
        let result = try floatOutput(id, a.shape)
        guard parameters.mode == .normal || parameters.mode == .neox else {
            throw unsupported(id, "its mode is \(parameters.mode)")
        }
        let (count, offset) = (parameters.dimensions, parameters.offset)
        guard count > 0, count % 2 == 0, offset >= 0, offset <= a.n0, count <= a.n0 - offset, positions.type == .i32,
            positions.n0 >= a.n2, positions.s0 == 4 || positions.n0 == 1
        else { throw invalid(id, "\(a.shape) cannot be rotated over \(count) at \(positions.shape)") }
        if a.isEmpty { return }
        let factors = try optionalSource(id, 2)
        if let factors {
            guard factors.type == .f32, factors.hasContiguousRows, factors.n0 >= count / 2, factors.rowCount == 1 else {
                throw invalid(id, "\(factors.shape) are not the frequency factors of \(count / 2) pairs")
            }
        }
        let reader = try reader(id, a)
        try needScratch(reader.scratchCount * 4)
        let table = try angles(parameters, positions, tokens: a.n2, factors)
        guard let angles = table.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
        let rotate = vector.rope
        let neox = parameters.mode == .neox
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) * 0.3 + 10, reads: a.ranges + [table.addresses],
            writes: result.ranges
        ) { worker, range in
            for row in range {
                let token = row / a.n1 % a.n2
                let values = reader.row(row, worker.floats())
                let target = result.row(row).assumingMemoryBound(to: Float.self)
                if offset > 0, values != UnsafePointer(target) { target.update(from: values, count: offset) }
                rotate(values + offset, target + offset, a.n0 &- offset, count / 2, neox, angles + token &* count)
            }
        }
    }

    /// Cosine and sine of each pair, `[dimensions, tokens]`.
    private mutating func angles(
        _ parameters: RopeParameters, _ positions: Operand, tokens: Int, _ factors: Operand?
    ) throws(BackendError) -> UnsafeMutableRawBufferPointer {
        let frequencies = RopeFrequencies(parameters)
        let factorAddress = factors.map { Int(bitPattern: $0.base) } ?? 0
        let key = SharedResults.Key(
            kind: .angles(frequencies.bits), source: [Int(bitPattern: positions.base), tokens, factorAddress])
        if let place = reuse(key) { return place }
        let (values, overflow) = tokens.multipliedReportingOverflow(by: parameters.dimensions * 4)
        guard !overflow else { throw BackendError(.outOfMemory, "too many tokens to rotate") }
        let place = try temporary(values, keep: true)
        guard let base = place.baseAddress?.assumingMemoryBound(to: Float.self) else { return place }
        let reads = positions.ranges + (factors?.ranges ?? [])
        let factorValues = factors.map { UnsafePointer($0.base.assumingMemoryBound(to: Float.self)) }
        let dimensions = parameters.dimensions
        addPhase(
            over: tokens, costPerUnit: Double(dimensions) * 12, reads: reads, writes: [place.addresses]
        ) { _, range in
            for token in range {
                let position = positions.base.load(fromByteOffset: token &* 4, as: Int32.self)
                frequencies.fill(base + token &* dimensions, position: position, factorValues)
            }
        }
        shared.remember(key, at: place, madeFrom: reads)
        return place
    }
}

/// The angles by which pairs of elements are turned, with the scalings that stretch them to longer contexts.
///
/// Angles are made by multiplying the last one on, in F32, as llama.cpp makes them: agreement to the last bit matters
/// more here than the last bit's truth. Scaling after Peng et al., "YaRN", 2023.
struct RopeFrequencies {
    private let dimensions: Int
    private let ratio: Float
    private let scale: Float
    private let extrapolation: Float
    private let magnitude: Float
    private let low: Float
    private let high: Float
    let bits: [UInt32]

    init(_ p: RopeParameters) {
        dimensions = p.dimensions
        ratio = powf(p.frequencyBase, -2 / Float(p.dimensions))
        scale = p.frequencyScale
        extrapolation = p.extrapolationFactor
        var magnitude = p.attentionFactor
        if p.extrapolationFactor != 0 { magnitude *= 1 + 0.1 * logf(1 / p.frequencyScale) }
        self.magnitude = magnitude
        func correction(_ rotations: Float) -> Float {
            let turns = Float(p.originalContext) / (rotations * 2 * Float.pi)
            return Float(p.dimensions) * logf(turns) / (2 * logf(p.frequencyBase))
        }
        let start = floorf(correction(p.betaFast))
        let end = ceilf(correction(p.betaSlow))
        low = start > 0 ? start : 0
        high = end < Float(p.dimensions - 1) ? end : Float(p.dimensions - 1)
        bits = [
            UInt32(truncatingIfNeeded: dimensions), ratio.bitPattern, scale.bitPattern, extrapolation.bitPattern,
            magnitude.bitPattern, low.bitPattern, high.bitPattern,
        ]
    }

    /// Cosine and sine of each pair at `position`, times the magnitude.
    func fill(_ target: UnsafeMutablePointer<Float>, position: Int32, _ factors: UnsafePointer<Float>?) {
        var theta = Float(position)
        let width = high - low
        let divisor: Float = width > 0.001 ? width : 0.001
        for pair in 0..<(dimensions / 2) {
            let far = factors.map { theta / $0[pair] } ?? theta
            let near = scale * far
            var angle = near
            if extrapolation != 0 {
                let ramp = (Float(pair) - low) / divisor
                let clamped: Float = ramp < 0 ? 0 : (ramp > 1 ? 1 : ramp)
                let mix = (1 - clamped) * extrapolation
                angle = near * (1 - mix) + far * mix
            }
            target[2 &* pair] = cosf(angle) * magnitude
            target[2 &* pair &+ 1] = sinf(angle) * magnitude
            theta *= ratio
        }
    }
}
