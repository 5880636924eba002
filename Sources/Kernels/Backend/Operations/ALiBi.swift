#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Attention with linear biases (Press et al., 2022): each head weighs the mask, which then holds distances.
enum ALiBi {
    /// The slope of each head; all 1 where `maxBias` is 0 and the mask is only a mask.
    static func slopes(heads: Int, maxBias: Float) -> [Float] {
        guard maxBias > 0, heads > 0 else { return [Float](repeating: 1, count: max(0, heads)) }
        let power = 1 << (Int.bitWidth - 1 - heads.leadingZeroBitCount)
        let even = powf(2, -maxBias / Float(power))
        let odd = powf(2, -(maxBias / 2) / Float(power))
        return (0..<heads).map { head in
            head < power ? powf(even, Float(head + 1)) : powf(odd, Float(2 * (head - power) + 1))
        }
    }
}
