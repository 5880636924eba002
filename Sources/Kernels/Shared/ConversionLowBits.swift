internal import KernelTable

// The K types of two and three bits, types of ones and threes, and those whose nibbles stand for values of a table.

/// 16 bytes of scale and minimum of 16 elements each, 64 bytes of two-bit integers, d, dmin: 84 bytes. Element:
/// (d · scale) · q - dmin · minimum. Each 32 bytes of integers hold four runs of 32 elements above each other.
@Sendable
func dequantizeQ2_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block + 80)
        let dmin = loadHalf(block + 82)
        for run in 0..<16 {
            let both = Int32(block.loadUnaligned(fromByteOffset: run, as: UInt8.self))
            let scale = d * Float(both & 15)
            let minimum = dmin * Float(both &>> 4)
            let integers = block + (16 &+ run / 8 &* 32 &+ run % 2 &* 16)
            let shift = Int32(truncatingIfNeeded: run % 8 / 2 &* 2)
            for i in 0..<16 {
                let q = Int32(integers.loadUnaligned(fromByteOffset: i, as: UInt8.self)) &>> shift
                out[i] = scale * Float(q & 3) - minimum
            }
            out += 16
        }
        block += 84
    }
}

/// The 16 scales of a Q3_K block, each stored 32 too large: low nibbles in bytes 0-7 (the first eight in their low
/// halves), two more bits of each in bytes 8-11.
@inline(__always)
func scalesOfQ3_K(_ packed: UnsafeRawPointer) -> (UInt64, UInt64) {
    let nibbles = packed.loadUnaligned(as: UInt64.self)
    let tops = packed.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    let fourBits: UInt64 = 0x0f0f_0f0f_0f0f_0f0f
    let twoBits: UInt32 = 0x0303_0303
    let first = UInt64(tops & twoBits) | (UInt64((tops &>> 2) & twoBits) &<< 32)
    let second = UInt64((tops &>> 4) & twoBits) | (UInt64((tops &>> 6) & twoBits) &<< 32)
    return ((nibbles & fourBits) | (first &<< 4), ((nibbles &>> 4) & fourBits) | (second &<< 4))
}

/// 32 bytes of third bits, 64 of two-bit integers as in Q2_K, 12 of scales of 16 elements, d: 110 bytes. Element:
/// (d · scale) · (q - 4).
@Sendable
func dequantizeQ3_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block + 108)
        let (first, second) = scalesOfQ3_K(block + 96)
        for run in 0..<16 {
            let scales = run < 8 ? first : second
            let bits = Int32(truncatingIfNeeded: (scales &>> UInt64(truncatingIfNeeded: run % 8 &* 8)) & 63)
            let scale = d * Float(bits &- 32)
            let integers = block + (32 &+ run / 8 &* 32 &+ run % 2 &* 16)
            let thirds = block + run % 2 &* 16
            let shift = Int32(truncatingIfNeeded: run % 8 / 2 &* 2)
            let third = Int32(truncatingIfNeeded: run / 2)
            for i in 0..<16 {
                let low = (Int32(integers.loadUnaligned(fromByteOffset: i, as: UInt8.self)) &>> shift) & 3
                let high = (Int32(thirds.loadUnaligned(fromByteOffset: i, as: UInt8.self)) &>> third) & 1
                out[i] = scale * Float((low | (high &<< 2)) &- 4)
            }
            out += 16
        }
        block += 110
    }
}

/// A byte holds five digits of base three as a fraction: times 3 to the power i, the next digit comes out on top.
@inline(__always)
func digitOfThree(_ byte: UInt8, _ power: UInt8) -> Int32 { Int32((UInt16(byte &* power) &* 3) &>> 8) }

/// 48 bytes of five digits each (of elements that lie 32 apart; 16 apart in the last 16 bytes), four bytes of four
/// digits, d: 54 bytes. Element: d · (digit - 1).
@Sendable
func dequantizeTQ1_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block + 52)
        @inline(__always) func run(_ start: Int, _ width: Int, _ digits: Int) {
            var power: UInt8 = 1
            for _ in 0..<digits {
                for i in 0..<width {
                    let byte = block.loadUnaligned(fromByteOffset: start &+ i, as: UInt8.self)
                    out[i] = Float(digitOfThree(byte, power) &- 1) * d
                }
                out += width
                power = power &* 3
            }
        }
        run(0, 32, 5)
        run(32, 16, 5)
        run(48, 4, 4)
        block += 54
    }
}

/// 64 bytes of two-bit integers, 32 of them holding four runs of 32 elements above each other, d: 66 bytes. Element:
/// d · (q - 1).
@Sendable
func dequantizeTQ2_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block + 64)
        for run in 0..<8 {
            let integers = block + run / 4 &* 32
            let shift = Int32(truncatingIfNeeded: run % 4 &* 2)
            for i in 0..<32 {
                let q = Int32(integers.loadUnaligned(fromByteOffset: i, as: UInt8.self)) &>> shift
                out[i] = Float((q & 3) &- 1) * d
            }
            out += 32
        }
        block += 66
    }
}

/// d, 16 bytes of signs of 128 elements: 18 bytes. Element: d where the bit is set, else -d.
@Sendable
func dequantizeQ1_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 128) {
        let d = loadHalf(block).bitPattern
        for i in 0..<128 {
            let bits = UInt32(block.loadUnaligned(fromByteOffset: 2 &+ i / 8, as: UInt8.self))
            let bit = (bits &>> UInt32(truncatingIfNeeded: i % 8)) & 1
            out[i] = Float(bitPattern: d ^ ((bit ^ 1) &<< 31))
        }
        block += 18
        out += 128
    }
}

/// d, 16 bytes of four two-bit integers of neighbouring elements: 18 bytes for 64 elements. Element: d · (q - 1).
@Sendable
func dequantizeQ2_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 64) {
        let d = loadHalf(block)
        for i in 0..<64 {
            let four = Int32(block.loadUnaligned(fromByteOffset: 2 &+ i / 4, as: UInt8.self))
            let q = (four &>> Int32(truncatingIfNeeded: i % 4 &* 2)) & 3
            out[i] = Float(q &- 1) * d
        }
        block += 18
        out += 64
    }
}

/// `count` bytes of nibbles: `scale` times what the low ones stand for, then the high ones.
@inline(__always)
private func storeNibbles(
    _ nibbles: UnsafeRawPointer, _ count: Int, _ table: UnsafePointer<Int8>, _ scale: Float, _ out: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        let byte = Int(nibbles.loadUnaligned(fromByteOffset: i, as: UInt8.self))
        out[i] = scale * Float(Int32(table[byte & 15]))
        out[count &+ i] = scale * Float(Int32(table[byte &>> 4]))
    }
}

/// d, 16 bytes of nibbles for 32 elements: 18 bytes.
@Sendable
func dequantizeIQ4_NL(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let table = Grids.iq4
    for block in 0..<(count / 32) {
        let start = source + 18 &* block
        storeNibbles(start + 2, 16, table, loadHalf(start), target + 32 &* block)
    }
}

/// The scale of 32 elements of an IQ4_XS block: four bits of it in bytes 4-7, two in bytes 2-3, stored 32 too large.
@inline(__always)
func scaleOfIQ4_XS(_ block: UnsafeRawPointer, _ part: Int) -> Int32 {
    let tops = Int32(block.loadUnaligned(fromByteOffset: 2, as: UInt16.self)) &>> Int32(truncatingIfNeeded: 2 &* part)
    let pair = Int32(block.loadUnaligned(fromByteOffset: 4 &+ part / 2, as: UInt8.self))
    let low = (pair &>> Int32(truncatingIfNeeded: part % 2 &* 4)) & 15
    return (low | ((tops & 3) &<< 4)) &- 32
}

/// d, six bits of scale for each 32 elements, 128 bytes of nibbles: 136 bytes.
@Sendable
func dequantizeIQ4_XS(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let table = Grids.iq4
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        for part in 0..<8 {
            storeNibbles(block + (8 &+ 16 &* part), 16, table, d * Float(scaleOfIQ4_XS(block, part)), out)
            out += 32
        }
        block += 136
    }
}

/// Half of 2 to the power `exponent` - 127.
@inline(__always)
func halfPower(_ exponent: UInt8) -> Float {
    exponent < 2 ? Float(bitPattern: 0x0020_0000 &<< UInt32(exponent)) : Float(bitPattern: UInt32(exponent &- 1) &<< 23)
}

/// An exponent, 16 bytes of nibbles for 32 elements: 17 bytes.
@Sendable
func dequantizeMXFP4(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let table = Grids.fp4
    for block in 0..<(count / 32) {
        let start = source + 17 &* block
        storeNibbles(start + 1, 16, table, halfPower(start.loadUnaligned(as: UInt8.self)), target + 32 &* block)
    }
}

/// Half the value of an unsigned float of four exponent bits and three fraction bits; 127, which is no number, gives 0.
@inline(__always)
func halfOfSmallFloat(_ bits: UInt8) -> Float {
    let fraction = Int32(bits & 7)
    let exponent = UInt32(bits &>> 3) & 15
    let subnormal = Float(fraction) * 0x1p-10
    let normal = Float(8 &+ fraction) * Float(bitPattern: (exponent &+ 116) &<< 23)
    return bits == 127 ? 0 : (exponent == 0 ? subnormal : normal)
}

/// Four scales, 32 bytes of nibbles for 64 elements, eight for each 16: 36 bytes.
@Sendable
func dequantizeNVFP4(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let table = Grids.fp4
    for run in 0..<(count / 16) {
        let block = source + run / 4 &* 36
        let scale = halfOfSmallFloat(block.loadUnaligned(fromByteOffset: run % 4, as: UInt8.self))
        storeNibbles(block + (4 &+ run % 4 &* 8), 8, table, scale, target + 16 &* run)
    }
}
