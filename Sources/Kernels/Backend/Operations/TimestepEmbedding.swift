#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import Tensor

extension PlanBuilder {
    /// Steps `[n]` as cosines and then sines of falling frequencies, `[dimension, n]`; an odd last element is 0.
    mutating func addTimestepEmbedding(_ id: TensorID, dimension: Int32, maxPeriod: Int32) throws(BackendError) {
        let steps = try source(id, 0)
        guard dimension > 0, maxPeriod > 0, steps.type == .f32, steps.rowCount == 1 else {
            throw invalid(id, "\(dimension) elements, period \(maxPeriod), steps \(steps.shape)")
        }
        let result = try floatOutput(id, Shape(Int(dimension), steps.n0))
        let half = Int(dimension) / 2
        let slope = -logf(Float(maxPeriod))
        addPhase(
            over: steps.n0, costPerUnit: Double(half) * 30 + 20, reads: steps.ranges, writes: result.ranges
        ) { _, range in
            for index in range {
                let step = steps.base.load(fromByteOffset: index &* steps.s0, as: Float.self)
                let target = result.row(index).assumingMemoryBound(to: Float.self)
                for i in 0..<half {
                    let angle = step * expf(slope * Float(i) / Float(half))
                    target[i] = cosf(angle)
                    target[i &+ half] = sinf(angle)
                }
                if dimension % 2 != 0 { target[2 &* half] = 0 }
            }
        }
    }
}
