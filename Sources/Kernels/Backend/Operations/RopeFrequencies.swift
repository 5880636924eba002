#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import Tensor

/// The angles by which pairs of elements are turned, with the scalings that stretch them to longer contexts.
///
/// Angles are made by multiplying the last one on, in F32, as llama.cpp makes them: agreement to the last bit matters
/// more here than the last bit's truth. Scaling after Peng et al., "YaRN", 2023.
struct RopeFrequencies {
    /// Pairs of one head that are turned.
    let pairs: Int
    /// Positions of each token: one, or four for sections (time, height, width, extra).
    let axes: Int
    private let dimensions: Int
    private let ratio: Float
    private let scale: Float
    private let extrapolation: Float
    private let magnitude: Float
    private let low: Float
    private let high: Float
    /// -1 to turn backwards.
    private let direction: Float
    private let mode: RopeParameters.Mode
    private let sections: SIMD4<Int>
    /// What tells tables of angles apart.
    let bits: [UInt32]

    /// - Parameter pairs: as many as a head has; images are turned over all of it, else over `dimensions`.
    init(_ p: RopeParameters, pairs: Int, backward: Bool) {
        self.pairs = pairs
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
        direction = backward ? -1 : 1
        // Which elements make a pair does not matter to their angle.
        mode = p.mode == .normal ? .neox : p.mode
        axes = p.mode.hasSections ? 4 : 1
        sections = axes == 1 ? .zero : SIMD4(truncatingIfNeeded: p.sections)
        var bits = [
            UInt32(truncatingIfNeeded: dimensions), ratio.bitPattern, scale.bitPattern, extrapolation.bitPattern,
            magnitude.bitPattern, low.bitPattern, high.bitPattern, direction.bitPattern,
            UInt32(bitPattern: mode.rawValue), UInt32(truncatingIfNeeded: pairs),
        ]
        for axis in 0..<4 { bits.append(UInt32(truncatingIfNeeded: sections[axis])) }
        self.bits = bits
    }

    /// Cosine and sine of each pair at `position`, times the magnitude.
    func fill(_ target: UnsafeMutablePointer<Float>, position: Int32, _ factors: UnsafePointer<Float>?) {
        var theta = Float(position)
        for pair in 0..<pairs {
            put(target, pair, theta, factors)
            theta *= ratio
        }
    }

    /// The same where each pair belongs to one of the sections, and turns by that section's position (Wang et al.,
    /// "Qwen2-VL", 2024).
    func fill(_ target: UnsafeMutablePointer<Float>, positions: SIMD4<Int32>, _ factors: UnsafePointer<Float>?) {
        let start = SIMD4<Float>(positions)
        var theta = start
        let width = sections[0] &+ sections[1]
        let extra = width &+ sections[2]
        let all = extra &+ sections[3]
        for pair in 0..<pairs {
            let sector = pair % all
            let axis: Int
            if mode == .interleavedMulti {
                axis = interleavedAxis(sector)
            } else {
                axis = sector < sections[0] ? 0 : (sector < width ? 1 : (sector < extra ? 2 : 3))
            }
            // In images, each section's frequencies begin anew.
            if mode == .vision {
                if sector == 0 {
                    theta[0] = start[0]
                } else if sector == sections[0] {
                    theta[1] = start[1]
                } else if sector == width {
                    theta[2] = start[2]
                } else if sector == extra {
                    theta[3] = start[3]
                }
            }
            put(target, pair, theta[axis], factors)
            theta *= ratio
        }
    }

    /// Time, height and width taking turns for as long as each has pairs left.
    private func interleavedAxis(_ sector: Int) -> Int {
        let turn = sector % 3
        return sector < 3 &* sections[turn] ? turn : 3
    }

    @inline(__always)
    private func put(
        _ target: UnsafeMutablePointer<Float>, _ pair: Int, _ theta: Float, _ factors: UnsafePointer<Float>?
    ) {
        let far = factors.map { theta / $0[pair] } ?? theta
        let near = scale * far
        var angle = near
        if extrapolation != 0 {
            let width = high - low
            let ramp = (Float(pair) - low) / (width > 0.001 ? width : 0.001)
            let clamped: Float = ramp < 0 ? 0 : (ramp > 1 ? 1 : ramp)
            let mix = (1 - clamped) * extrapolation
            angle = near * (1 - mix) + far * mix
        }
        target[2 &* pair] = cosf(angle) * magnitude
        target[2 &* pair &+ 1] = sinf(angle) * magnitude * direction
    }
}

extension RopeParameters.Mode {
    /// Whether a token has four positions, each for a section of the pairs.
    var hasSections: Bool { self == .multi || self == .vision || self == .interleavedMulti }
}
