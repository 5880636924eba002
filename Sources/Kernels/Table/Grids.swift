/// The codebooks of ggml's IQ types (`ggml-common.h`), unpacked once for the whole program.
///
/// Variants get plain pointers: nothing of how the tables are made is compiled into them.
public enum Grids {
    /// Eight magnitudes of 8, 25 or 43 each, the first in the lowest byte.
    public nonisolated(unsafe) static let iq2_xxs = words(GridWords.iq2_xxs, bits: 2, values: magnitudes2)
    public nonisolated(unsafe) static let iq2_xs = words(GridWords.iq2_xs, bits: 2, values: magnitudes2)
    public nonisolated(unsafe) static let iq2_s = words(GridWords.iq2_s, bits: 2, values: magnitudes2)
    /// Eight of -1, 0 and 1 each, as signed bytes.
    public nonisolated(unsafe) static let iq1_s = words(GridWords.iq1_s, bits: 2, values: 0x0001_00ff)
    /// As ``iq1_s``, times eight.
    public nonisolated(unsafe) static let iq1_s8 = words(GridWords.iq1_s, bits: 2, values: 0x0008_00f8)
    /// Four magnitudes from 4 to 62 each, in the low 32 bits.
    public nonisolated(unsafe) static let iq3_xxs = words(GridWords.iq3_xxs, bits: 4, values: 0x3e34_2c24_1c14_0c04)
    /// Four odd magnitudes from 1 to 15 each, in the low 32 bits.
    public nonisolated(unsafe) static let iq3_s = words(GridWords.iq3_s, bits: 4, values: 0x0f0d_0b09_0705_0301)

    /// What the sixteen nibbles of IQ4_NL and IQ4_XS stand for.
    public nonisolated(unsafe) static let iq4 = bytes([
        -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
    ])
    /// What the sixteen nibbles of MXFP4 and NVFP4 stand for: twice the value of a float of two exponent bits and one
    /// fraction bit (Open Compute Project, Microscaling Formats 1.0).
    public nonisolated(unsafe) static let fp4 = bytes([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12])

    private static let magnitudes2: UInt64 = 0x002b_1908

    private static func bytes(_ values: [Int8]) -> UnsafePointer<Int8> {
        let table = UnsafeMutablePointer<Int8>.allocate(capacity: values.count)
        for (i, value) in values.enumerated() { table[i] = value }
        return UnsafePointer(table)
    }

    /// Codewords from four hexadecimal digits each; a digit group of `bits` bits numbers a byte of `values`.
    private static func words(_ digits: StaticString, bits: UInt64, values: UInt64) -> UnsafePointer<UInt64> {
        let count = digits.utf8CodeUnitCount / 4
        let table = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
        for i in 0..<count {
            var word: UInt64 = 0
            for j in 0..<4 {
                let digit = digits.utf8Start[4 * i + j]
                word = word << 4 | UInt64(digit < 58 ? digit - 48 : digit - 87)
            }
            var spread: UInt64 = 0
            for j in 0..<(16 / bits) {
                let index = word >> (bits * j) & (1 << bits - 1)
                spread |= (values >> (8 * index) & 255) << (8 * j)
            }
            table[i] = spread
        }
        return UnsafePointer(table)
    }
}
