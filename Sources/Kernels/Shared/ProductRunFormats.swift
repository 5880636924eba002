internal import KernelTable

// How the types of two-bit integers and of nibbles unpack to signed bytes; their conversions say how blocks are laid out.

/// The same scale for `count` runs.
@inline(__always)
func fillScales(_ scales: MutableFloats, _ count: Int, _ value: Float) {
    for i in 0..<count { scales[i] = value }
}

// Bytes are worked on eight at a time in a word.

@inline(__always)
private func word(_ pointer: UnsafeRawPointer, _ i: Int) -> UInt64 {
    pointer.loadUnaligned(fromByteOffset: 8 &* i, as: UInt64.self)
}

/// Each byte times ones.
@inline(__always)
private func eachByte(_ value: UInt64) -> UInt64 { value &* 0x0101_0101_0101_0101 }

/// Bits 2 i and 2 i + 1 of each byte.
@inline(__always)
private func twoBits(_ bytes: UInt64, _ i: Int) -> UInt64 {
    (bytes &>> UInt64(truncatingIfNeeded: 2 &* i)) & eachByte(3)
}

/// Takes `value` from each byte, all below 128; the bit on top keeps bytes from borrowing from each other.
@inline(__always)
private func minus(_ bytes: UInt64, _ value: UInt64) -> UInt64 {
    ((bytes | eachByte(128)) &- eachByte(value)) ^ eachByte(128)
}

enum RunsQ2_K: RunFormat {
    @inline(__always) static var byteCount: Int { 84 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { true }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        for half in 0..<2 {
            let target = bytes + 128 &* half
            for j in 0..<4 {
                let four = word(block + (16 &+ 32 &* half), j)
                for i in 0..<4 {
                    target.storeBytes(of: twoBits(four, i), toByteOffset: 32 &* i &+ 8 &* j, as: UInt64.self)
                }
            }
        }
        let d = loadHalf(block + 80)
        let dmin = loadHalf(block + 82)
        for run in 0..<16 {
            let both = Int32(block.loadUnaligned(fromByteOffset: run, as: UInt8.self))
            scales[run] = d * Float(both & 15)
            minima[run] = 0 - dmin * Float(both &>> 4)
        }
    }
}

enum RunsQ3_K: RunFormat {
    @inline(__always) static var byteCount: Int { 110 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        for half in 0..<2 {
            let target = bytes + 128 &* half
            for j in 0..<4 {
                let four = word(block + (32 &+ 32 &* half), j)
                let thirds = word(block, j) &>> UInt64(truncatingIfNeeded: 4 &* half)
                for i in 0..<4 {
                    let third = ((thirds &>> UInt64(truncatingIfNeeded: i)) & eachByte(1)) &<< 2
                    let q = minus(twoBits(four, i) | third, 4)
                    target.storeBytes(of: q, toByteOffset: 32 &* i &+ 8 &* j, as: UInt64.self)
                }
            }
        }
        let d = loadHalf(block + 108)
        var (first, second) = scalesOfQ3_K(block + 96)
        for run in 0..<8 {
            scales[run] = d * Float(Int32(truncatingIfNeeded: first & 255) &- 32)
            scales[run &+ 8] = d * Float(Int32(truncatingIfNeeded: second & 255) &- 32)
            first = first &>> 8
            second = second &>> 8
        }
    }
}

enum RunsTQ2_0: RunFormat {
    @inline(__always) static var byteCount: Int { 66 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        for half in 0..<2 {
            let target = bytes + 128 &* half
            for j in 0..<4 {
                let four = word(block + 32 &* half, j)
                for i in 0..<4 {
                    target.storeBytes(of: minus(twoBits(four, i), 1), toByteOffset: 32 &* i &+ 8 &* j, as: UInt64.self)
                }
            }
        }
        fillScales(scales, 16, loadHalf(block + 64))
    }
}

enum RunsTQ1_0: RunFormat {
    @inline(__always) static var byteCount: Int { 54 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        @inline(__always) func run(_ source: Int, _ target: Int, _ width: Int, _ digits: Int) {
            for j in 0..<width {
                var fraction = UInt16(block.loadUnaligned(fromByteOffset: source &+ j, as: UInt8.self))
                for i in 0..<digits {
                    // Times 3, the next digit comes out above the fraction.
                    fraction = fraction &* 3
                    let value = UInt8(truncatingIfNeeded: fraction &>> 8) &- 1
                    bytes.storeBytes(of: value, toByteOffset: target &+ i &* width &+ j, as: UInt8.self)
                    fraction &= 255
                }
            }
        }
        run(0, 0, 32, 5)
        run(32, 160, 16, 5)
        run(48, 240, 4, 4)
        fillScales(scales, 16, loadHalf(block + 52))
    }
}

enum RunsQ1_0: RunFormat {
    @inline(__always) static var byteCount: Int { 18 }
    @inline(__always) static var elementCount: Int { 128 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let places = SIMD8<UInt8>(1, 2, 4, 8, 16, 32, 64, 128)
        for i in 0..<16 {
            let bits = SIMD8(repeating: block.loadUnaligned(fromByteOffset: 2 &+ i, as: UInt8.self)) & places
            let signs = SIMD8<Int8>(repeating: -1).replacing(with: 1, where: bits .== places)
            bytes.storeBytes(of: signs, toByteOffset: 8 &* i, as: SIMD8<Int8>.self)
        }
        fillScales(scales, 8, loadHalf(block))
    }
}

enum RunsQ2_0: RunFormat {
    @inline(__always) static var byteCount: Int { 18 }
    @inline(__always) static var elementCount: Int { 64 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        for i in 0..<16 {
            // A byte's four integers go to the low bits of four bytes, less one each; the bit on top keeps bytes from
            // borrowing from each other.
            let packed = UInt32(block.loadUnaligned(fromByteOffset: 2 &+ i, as: UInt8.self))
            let two = packed | (packed &<< 12)
            let four = (two | (two &<< 6)) & 0x0303_0303
            let less = ((four | 0x8080_8080) &- 0x0101_0101) ^ 0x8080_8080
            bytes.storeBytes(of: less, toByteOffset: 4 &* i, as: UInt32.self)
        }
        fillScales(scales, 4, loadHalf(block))
    }
}

/// What 16 bytes of nibbles stand for: the low ones, then the high ones.
@inline(__always)
private func storeNibbles(_ nibbles: UnsafeRawPointer, _ table: SIMD16<Int8>, _ bytes: UnsafeMutableRawPointer) {
    let both = nibbles.loadUnaligned(as: SIMD16<UInt8>.self)
    bytes.storeBytes(of: lookUp(table, both & SIMD16(repeating: 15)), as: SIMD16<Int8>.self)
    bytes.storeBytes(of: lookUp(table, both &>> SIMD16(repeating: 4)), toByteOffset: 16, as: SIMD16<Int8>.self)
}

@inline(__always)
private func tableIQ4() -> SIMD16<Int8> { SIMD16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113) }

@inline(__always)
private func tableFP4() -> SIMD16<Int8> { SIMD16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12) }

enum RunsIQ4_NL: RunFormat {
    @inline(__always) static var byteCount: Int { 18 }
    @inline(__always) static var elementCount: Int { 32 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        storeNibbles(block + 2, tableIQ4(), bytes)
        fillScales(scales, 2, loadHalf(block))
    }
}

enum RunsIQ4_XS: RunFormat {
    @inline(__always) static var byteCount: Int { 136 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let d = loadHalf(block)
        for part in 0..<8 {
            storeNibbles(block + (8 &+ 16 &* part), tableIQ4(), bytes + 32 &* part)
            fillScales(scales + 2 &* part, 2, d * Float(scaleOfIQ4_XS(block, part)))
        }
    }
}

enum RunsMXFP4: RunFormat {
    @inline(__always) static var byteCount: Int { 17 }
    @inline(__always) static var elementCount: Int { 32 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        storeNibbles(block + 1, tableFP4(), bytes)
        fillScales(scales, 2, halfPower(block.loadUnaligned(as: UInt8.self)))
    }
}

enum RunsNVFP4: RunFormat {
    @inline(__always) static var byteCount: Int { 36 }
    @inline(__always) static var elementCount: Int { 64 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        for run in 0..<4 {
            let eight = block.loadUnaligned(fromByteOffset: 4 &+ 8 &* run, as: SIMD8<UInt8>.self)
            let nibbles = SIMD16(lowHalf: eight & SIMD8(repeating: 15), highHalf: eight &>> SIMD8(repeating: 4))
            bytes.storeBytes(of: lookUp(tableFP4(), nibbles), toByteOffset: 16 &* run, as: SIMD16<Int8>.self)
            scales[run] = halfOfSmallFloat(block.loadUnaligned(fromByteOffset: run, as: UInt8.self))
        }
    }
}
