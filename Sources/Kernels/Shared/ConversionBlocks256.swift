// The K types: 256 elements a block, in sub-blocks with integer scales of their own. `d` and `dmin` are halves that
// scale the scales and the minima.

/// The scales and the minima of the eight sub-blocks of a Q4_K or Q5_K block, sub-block 0 in the lowest byte.
///
/// They have six bits each, in 12 bytes: the low six bits of bytes 0-3 and 4-7 are scales and minima of sub-blocks
/// 0-3; those of 4-7 have their low four bits in the nibbles of bytes 8-11, their high two atop the first.
@inline(__always)
func scalesAndMinima(_ packed: UnsafeRawPointer) -> (scales: UInt64, minima: UInt64) {
    let first = packed.loadUnaligned(as: UInt32.self)
    let second = packed.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    let nibbles = packed.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    let sixBits: UInt32 = 0x3f3f_3f3f
    let fourBits: UInt32 = 0x0f0f_0f0f
    let topBits: UInt32 = 0x3030_3030
    let highScales = (nibbles & fourBits) | ((first &>> 2) & topBits)
    let highMinima = ((nibbles &>> 4) & fourBits) | ((second &>> 2) & topBits)
    return (
        UInt64(first & sixBits) | (UInt64(highScales) &<< 32),
        UInt64(second & sixBits) | (UInt64(highMinima) &<< 32)
    )
}

/// d, dmin, 12 bytes of scales, 128 of nibbles: 144 bytes. Element: (d · scale) · q - dmin · minimum. Each 32 bytes
/// of nibbles hold two sub-blocks of 32, the first in the low nibbles.
@Sendable
func dequantizeQ4_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        let dmin = loadHalf(block + 2)
        var (scales, minima) = scalesAndMinima(block + 4)
        for pair in 0..<4 {
            let nibbles = block + (16 &+ 32 &* pair)
            let scale0 = d * Float(Int32(truncatingIfNeeded: scales & 255))
            let scale1 = d * Float(Int32(truncatingIfNeeded: (scales &>> 8) & 255))
            let minimum0 = dmin * Float(Int32(truncatingIfNeeded: minima & 255))
            let minimum1 = dmin * Float(Int32(truncatingIfNeeded: (minima &>> 8) & 255))
            scales = scales &>> 16
            minima = minima &>> 16
            for i in 0..<32 {
                let q = nibbles.loadUnaligned(fromByteOffset: i, as: UInt8.self)
                out[i] = scale0 * Float(Int32(q & 15)) - minimum0
                out[32 &+ i] = scale1 * Float(Int32(q &>> 4)) - minimum1
            }
            out += 64
        }
        block += 144
    }
}

/// As Q4_K with 32 bytes of fifth bits before the nibbles, bit s of byte i for element i of sub-block s: 176 bytes.
@Sendable
func dequantizeQ5_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        let dmin = loadHalf(block + 2)
        var (scales, minima) = scalesAndMinima(block + 4)
        let fifths = block + 16
        for pair in 0..<4 {
            let nibbles = block + (48 &+ 32 &* pair)
            let scale0 = d * Float(Int32(truncatingIfNeeded: scales & 255))
            let scale1 = d * Float(Int32(truncatingIfNeeded: (scales &>> 8) & 255))
            let minimum0 = dmin * Float(Int32(truncatingIfNeeded: minima & 255))
            let minimum1 = dmin * Float(Int32(truncatingIfNeeded: (minima &>> 8) & 255))
            scales = scales &>> 16
            minima = minima &>> 16
            let shift = Int32(truncatingIfNeeded: 2 &* pair)
            for i in 0..<32 {
                let q = nibbles.loadUnaligned(fromByteOffset: i, as: UInt8.self)
                let fifth = Int32(fifths.loadUnaligned(fromByteOffset: i, as: UInt8.self)) &>> shift
                let low = Int32(q & 15) | ((fifth & 1) &<< 4)
                let high = Int32(q &>> 4) | ((fifth & 2) &<< 3)
                out[i] = scale0 * Float(low) - minimum0
                out[32 &+ i] = scale1 * Float(high) - minimum1
            }
            out += 64
        }
        block += 176
    }
}

/// 128 bytes of low nibbles, 64 of the two high bits, 16 signed scales, d: 210 bytes. Element: (d · scale) · (q - 32),
/// sub-blocks of 16. Each half block of 128 elements has 64 bytes of nibbles, low ones for its first 64 elements,
/// and 32 bytes of high bits, two for each of its quarters.
@Sendable
func dequantizeQ6_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block + 208)
        for half in 0..<2 {
            let nibbles = block + 64 &* half
            let tops = block + (128 &+ 32 &* half)
            let scales = block + (192 &+ 8 &* half)
            for run in 0..<2 {
                let scale0 = d * signedScale(scales, run)
                let scale1 = d * signedScale(scales, 2 &+ run)
                let scale2 = d * signedScale(scales, 4 &+ run)
                let scale3 = d * signedScale(scales, 6 &+ run)
                let start = 16 &* run
                for i in start..<(start &+ 16) {
                    let a = Int32(nibbles.loadUnaligned(fromByteOffset: i, as: UInt8.self))
                    let b = Int32(nibbles.loadUnaligned(fromByteOffset: 32 &+ i, as: UInt8.self))
                    let top = Int32(tops.loadUnaligned(fromByteOffset: i, as: UInt8.self))
                    out[i] = scale0 * Float(((a & 15) | ((top & 3) &<< 4)) &- 32)
                    out[32 &+ i] = scale1 * Float(((b & 15) | ((top & 12) &<< 2)) &- 32)
                    out[64 &+ i] = scale2 * Float(((a &>> 4) | (top & 48)) &- 32)
                    out[96 &+ i] = scale3 * Float(((b &>> 4) | ((top & 192) &>> 2)) &- 32)
                }
            }
            out += 128
        }
        block += 210
    }
}

@inline(__always)
private func signedScale(_ scales: UnsafeRawPointer, _ index: Int) -> Float {
    Float(Int32(scales.loadUnaligned(fromByteOffset: index, as: Int8.self)))
}
