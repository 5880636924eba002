import KernelTable
import TestSupport
import Testing

/// An element type that kernels exist for, with the sizes of its blocks.
struct StoredType: Sendable, Hashable, CustomTestStringConvertible {
    var name: String
    var number: UInt32
    var blockElements: Int
    var blockBytes: Int
    /// Where in a block its halves (scales, minima) lie.
    var halves: [Int]
    /// How many activations share a scale in products with the type, if not as many as a block has.
    var runElements: Int?
    /// Whether gguf-py has the type, so that there is a fixture.
    var hasFixture = true

    var testDescription: String { name }

    static let all: [StoredType] = [
        StoredType(name: "f32", number: TypeNumber.f32, blockElements: 1, blockBytes: 4, halves: []),
        StoredType(name: "f16", number: TypeNumber.f16, blockElements: 1, blockBytes: 2, halves: []),
        StoredType(name: "bf16", number: TypeNumber.bf16, blockElements: 1, blockBytes: 2, halves: []),
        StoredType(name: "q8_0", number: TypeNumber.q8_0, blockElements: 32, blockBytes: 34, halves: [0]),
        StoredType(name: "q4_0", number: TypeNumber.q4_0, blockElements: 32, blockBytes: 18, halves: [0]),
        StoredType(name: "q4_1", number: TypeNumber.q4_1, blockElements: 32, blockBytes: 20, halves: [0, 2]),
        StoredType(name: "q5_0", number: TypeNumber.q5_0, blockElements: 32, blockBytes: 22, halves: [0]),
        StoredType(name: "q5_1", number: TypeNumber.q5_1, blockElements: 32, blockBytes: 24, halves: [0, 2]),
        StoredType(name: "q4_K", number: TypeNumber.q4_K, blockElements: 256, blockBytes: 144, halves: [0, 2]),
        StoredType(name: "q5_K", number: TypeNumber.q5_K, blockElements: 256, blockBytes: 176, halves: [0, 2]),
        StoredType(name: "q6_K", number: TypeNumber.q6_K, blockElements: 256, blockBytes: 210, halves: [208]),
        StoredType(name: "q2_K", number: TypeNumber.q2_K, blockElements: 256, blockBytes: 84, halves: [80, 82], runElements: 32),
        StoredType(name: "q3_K", number: TypeNumber.q3_K, blockElements: 256, blockBytes: 110, halves: [108], runElements: 32),
        StoredType(name: "iq2_xxs", number: TypeNumber.iq2_xxs, blockElements: 256, blockBytes: 66, halves: [0], runElements: 32),
        StoredType(name: "iq2_xs", number: TypeNumber.iq2_xs, blockElements: 256, blockBytes: 74, halves: [0], runElements: 32),
        StoredType(name: "iq2_s", number: TypeNumber.iq2_s, blockElements: 256, blockBytes: 82, halves: [0], runElements: 32),
        StoredType(name: "iq3_xxs", number: TypeNumber.iq3_xxs, blockElements: 256, blockBytes: 98, halves: [0], runElements: 32),
        StoredType(name: "iq3_s", number: TypeNumber.iq3_s, blockElements: 256, blockBytes: 110, halves: [0], runElements: 32),
        StoredType(name: "iq1_s", number: TypeNumber.iq1_s, blockElements: 256, blockBytes: 50, halves: [0], runElements: 32),
        StoredType(name: "iq1_m", number: TypeNumber.iq1_m, blockElements: 256, blockBytes: 56, halves: [], runElements: 32),
        StoredType(name: "iq4_nl", number: TypeNumber.iq4_nl, blockElements: 32, blockBytes: 18, halves: [0], runElements: 32),
        StoredType(name: "iq4_xs", number: TypeNumber.iq4_xs, blockElements: 256, blockBytes: 136, halves: [0], runElements: 32),
        StoredType(name: "tq1_0", number: TypeNumber.tq1_0, blockElements: 256, blockBytes: 54, halves: [52], runElements: 32),
        StoredType(name: "tq2_0", number: TypeNumber.tq2_0, blockElements: 256, blockBytes: 66, halves: [64], runElements: 32),
        StoredType(name: "mxfp4", number: TypeNumber.mxfp4, blockElements: 32, blockBytes: 17, halves: [], runElements: 32),
        StoredType(name: "nvfp4", number: TypeNumber.nvfp4, blockElements: 64, blockBytes: 36, halves: [], runElements: 32),
        StoredType(
            name: "q1_0", number: TypeNumber.q1_0, blockElements: 128, blockBytes: 18, halves: [0], runElements: 32,
            hasFixture: false),
        StoredType(
            name: "q2_0", number: TypeNumber.q2_0, blockElements: 64, blockBytes: 18, halves: [0], runElements: 32,
            hasFixture: false),
    ]

    /// Whether byte `offset` of a block is part of a scale that not every pattern suits.
    func isScale(_ offset: Int) -> Bool {
        switch number {
        case TypeNumber.mxfp4: offset == 0
        case TypeNumber.nvfp4: offset < 4
        case TypeNumber.iq1_m: offset >= 48
        default: halves.contains { [0, 1].contains(offset - $0) }
        }
    }

    func byteCount(_ elements: Int) -> Int { elements / blockElements * blockBytes }

    /// `elements` values as random blocks with scales of the size that models have.
    func randomBytes(_ elements: Int, _ random: inout SeededRandom) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount(elements))
        for i in bytes.indices { bytes[i] = UInt8.random(in: 0...255, using: &random) }
        for block in 0..<(elements / blockElements) {
            let start = block * blockBytes
            for offset in halves {
                let scale = Float16(Float.random(in: -0.02...0.02, using: &random))
                bytes.withUnsafeMutableBytes {
                    $0.storeBytes(of: scale.bitPattern, toByteOffset: start + offset, as: UInt16.self)
                }
            }
            switch number {
            case TypeNumber.mxfp4: bytes[start] = UInt8.random(in: 116...124, using: &random)
            case TypeNumber.nvfp4: for i in 0..<4 { bytes[start + i] = UInt8.random(in: 0...60, using: &random) }
            case TypeNumber.iq1_m:
                let scale = Float16(Float.random(in: -0.02...0.02, using: &random)).bitPattern
                for i in 0..<4 {
                    bytes[start + 49 + 2 * i] = bytes[start + 49 + 2 * i] & 15 | UInt8(scale >> (4 * i) & 15) << 4
                }
            default: break
            }
            guard halves.isEmpty, blockElements == 1 else { continue }
            let value = Float.random(in: -1...1, using: &random)
            bytes.withUnsafeMutableBytes {
                switch number {
                case TypeNumber.f32: $0.storeBytes(of: value.bitPattern, toByteOffset: start, as: UInt32.self)
                case TypeNumber.f16: $0.storeBytes(of: Float16(value).bitPattern, toByteOffset: start, as: UInt16.self)
                default: $0.storeBytes(of: UInt16(value.bitPattern >> 16), toByteOffset: start, as: UInt16.self)
                }
            }
        }
        return bytes
    }
}
