import Tensor

/// What is in tensors: stretches of a few pools, so that filling costs little.
struct Contents {
    enum Kind {
        case any
        /// Indices that lie below a limit, but for a few.
        case indices(below: Int)
    }

    private let floats: [UInt8]
    private let wildFloats: [UInt8]
    private let halves: [UInt8]
    private let noise: [UInt8]
    /// Numbers to reduce to indices.
    private static let poolSize = 1 << 16

    init() {
        var random = Random(7)
        var floats: [Float] = []
        var wild: [Float] = []
        var halves: [Float16] = []
        for _ in 0..<(Contents.poolSize / 4) {
            let value = Float(Int32(truncatingIfNeeded: random.next())) / 1e9
            floats.append(value)
            wild.append(random.chance(70) ? value : random.hostileFloat())
            halves += [Float16(value), random.chance(95) ? Float16(-value / 2) : -.infinity]
        }
        self.floats = floats.withUnsafeBytes { Array($0) }
        wildFloats = wild.withUnsafeBytes { Array($0) }
        self.halves = halves.withUnsafeBytes { Array($0) }
        noise = (0..<Contents.poolSize).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    func append(_ kind: Kind, _ type: ElementType, _ count: Int, to bytes: inout [UInt8], _ random: inout Random) {
        if case .indices(let limit) = kind, type == .i32 || type == .i64 {
            return appendIndices(below: limit, type, count, to: &bytes, &random)
        }
        if random.chance(4) { return bytes.append(contentsOf: repeatElement(0, count: count)) }
        let pool: [UInt8]
        switch type {
        case .f32: pool = random.chance(75) ? floats : random.chance(70) ? wildFloats : noise
        case .f16, .bf16: pool = random.chance(80) ? halves : noise
        case .i32, .i64: pool = random.chance(50) ? wildFloats : noise
        default: pool = noise
        }
        var left = count
        while left > 0 {
            let start = random.below(Contents.poolSize / 2) & ~7
            let part = min(left, Contents.poolSize - start)
            bytes += pool[start..<(start + part)]
            left -= part
        }
    }

    private func appendIndices(
        below limit: Int, _ type: ElementType, _ count: Int, to bytes: inout [UInt8], _ random: inout Random
    ) {
        let width = type == .i64 ? 8 : 4
        let isWrong = random.chance(12)
        for _ in 0..<(count / width) {
            var value = Int64(random.below(limit))
            if isWrong, random.chance(20) {
                value = random.chance(50) ? Int64(limit) - Int64(random.below(3)) : Int64(truncatingIfNeeded: random.hostile())
            }
            for byte in 0..<width { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * Int64(byte)))) }
        }
        bytes.append(contentsOf: repeatElement(0, count: count % width))
    }
}
