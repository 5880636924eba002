import KernelTable
import Testing

/// An element type that kernels exist for, with the sizes of its blocks.
struct StoredType: Sendable, Hashable, CustomTestStringConvertible {
    var name: String
    var number: UInt32
    var blockElements: Int
    var blockBytes: Int
    /// Where in a block its halves (scales, minima) lie.
    var halves: [Int]

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
    ]

    func byteCount(_ elements: Int) -> Int { elements / blockElements * blockBytes }

    /// `elements` values as random blocks with scales of the size that models have.
    func randomBytes(_ elements: Int, _ random: inout SeededGenerator) -> [UInt8] {
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
            guard halves.isEmpty else { continue }
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
