import KernelTable

extension StoredType {
    /// The value of element `index` of a row of this type, straight from the format's definition, one element at a
    /// time and without rounding beyond what the format itself has.
    func element(_ row: UnsafeRawPointer, _ index: Int) -> Double {
        let block = row + index / blockElements * blockBytes
        let i = index % blockElements

        func byte(_ offset: Int) -> Int { Int(block.load(fromByteOffset: offset, as: UInt8.self)) }
        func half(_ offset: Int) -> Double {
            Double(Float16(bitPattern: UInt16(byte(offset)) | UInt16(byte(offset + 1)) << 8))
        }
        /// The nibble of element i where the first half of `count` elements has the low ones.
        func nibble(_ offset: Int, _ i: Int, of count: Int) -> Int {
            i < count / 2 ? byte(offset + i) & 15 : byte(offset + i - count / 2) >> 4
        }
        /// Six-bit scale and minimum of sub-block `s` of a Q4_K or Q5_K block.
        func scaleAndMinimum(_ s: Int) -> (Double, Double) {
            if s < 4 { return (Double(byte(4 + s) & 63), Double(byte(8 + s) & 63)) }
            let scale = (byte(8 + s) & 15) | (byte(s) >> 6) << 4
            let minimum = (byte(8 + s) >> 4) | (byte(4 + s) >> 6) << 4
            return (Double(scale), Double(minimum))
        }

        switch number {
        case TypeNumber.f32:
            return Double(Float(bitPattern: block.loadUnaligned(as: UInt32.self)))
        case TypeNumber.f16:
            return half(0)
        case TypeNumber.bf16:
            return Double(Float(bitPattern: UInt32(block.loadUnaligned(as: UInt16.self)) << 16))
        case TypeNumber.q8_0:
            return half(0) * Double(Int8(truncatingIfNeeded: byte(2 + i)))
        case TypeNumber.q4_0:
            return half(0) * Double(nibble(2, i, of: 32) - 8)
        case TypeNumber.q4_1:
            return half(0) * Double(nibble(4, i, of: 32)) + half(2)
        case TypeNumber.q5_0:
            let fifth = (byte(2 + i / 8) >> (i % 8)) & 1
            return half(0) * Double(nibble(6, i, of: 32) + 16 * fifth - 16)
        case TypeNumber.q5_1:
            let fifth = (byte(4 + i / 8) >> (i % 8)) & 1
            return half(0) * Double(nibble(8, i, of: 32) + 16 * fifth) + half(2)
        case TypeNumber.q4_K:
            let (scale, minimum) = scaleAndMinimum(i / 32)
            let q = nibble(16 + i / 64 * 32, i % 64, of: 64)
            return half(0) * scale * Double(q) - half(2) * minimum
        case TypeNumber.q5_K:
            let (scale, minimum) = scaleAndMinimum(i / 32)
            let fifth = (byte(16 + i % 32) >> (i / 32)) & 1
            let q = nibble(48 + i / 64 * 32, i % 64, of: 64) + 16 * fifth
            return half(0) * scale * Double(q) - half(2) * minimum
        case TypeNumber.q6_K:
            let scale = Int8(truncatingIfNeeded: byte(192 + i / 16))
            let top = (byte(128 + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2)) & 3
            let q = nibble(i / 128 * 64, i % 128, of: 128) + 16 * top
            return half(208) * Double(scale) * Double(q - 32)
        case TypeNumber.q1_0:
            return (byte(2 + i / 8) >> (i % 8)) & 1 == 1 ? half(0) : -half(0)
        case TypeNumber.q2_0:
            return half(0) * Double((byte(2 + i / 4) >> (i % 4 * 2)) & 3 - 1)
        default:
            // Of the other types the conversions, which fixtures hold to gguf-py, are the definition.
            var values = [Float](repeating: .nan, count: blockElements)
            VariantUnderTest.all[0].table.conversions[number]?.toF32(block, &values, blockElements)
            return Double(values[i])
        }
    }
}
