internal import KernelTable

// How the types of two-bit integers and of nibbles unpack to signed bytes; their conversions say how blocks are laid out.

/// The same scale for `count` runs.
@inline(__always)
func fillScales(_ scales: MutableFloats, _ count: Int, _ value: Float) {
    for i in 0..<count { scales[i] = value }
}

@inline(__always)
private func load32(_ pointer: UnsafeRawPointer) -> SIMD32<UInt8> { pointer.loadUnaligned(as: SIMD32<UInt8>.self) }

/// Bits 2 i and 2 i + 1 of each byte.
@inline(__always)
private func twoBits(_ bytes: SIMD32<UInt8>, _ i: UInt8) -> SIMD32<UInt8> {
    (bytes &>> SIMD32(repeating: 2 &* i)) & SIMD32(repeating: 3)
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
            let four = load32(block + (16 &+ 32 &* half))
            let target = bytes + 128 &* half
            for i in 0..<4 {
                let q = twoBits(four, UInt8(truncatingIfNeeded: i))
                target.storeBytes(of: q, toByteOffset: 32 &* i, as: SIMD32<UInt8>.self)
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
        var thirds = load32(block)
        for half in 0..<2 {
            let four = load32(block + (32 &+ 32 &* half))
            let target = bytes + 128 &* half
            for i in 0..<4 {
                let third = (thirds & SIMD32(repeating: 1)) &<< SIMD32(repeating: 2)
                let q = (twoBits(four, UInt8(truncatingIfNeeded: i)) | third) &- SIMD32(repeating: 4)
                target.storeBytes(of: q, toByteOffset: 32 &* i, as: SIMD32<UInt8>.self)
                thirds = thirds &>> SIMD32(repeating: 1)
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
            let four = load32(block + 32 &* half)
            let target = bytes + 128 &* half
            for i in 0..<4 {
                let q = twoBits(four, UInt8(truncatingIfNeeded: i)) &- SIMD32(repeating: 1)
                target.storeBytes(of: q, toByteOffset: 32 &* i, as: SIMD32<UInt8>.self)
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
        /// The digit on top, less one: of 256ths, the digit is 1 from 86 on and 2 from 171 on.
        @inline(__always) func digit(_ q: SIMD16<UInt8>) -> SIMD16<UInt8> {
            let low = SIMD16<UInt8>(repeating: 255).replacing(with: 0, where: q .> SIMD16(repeating: 85))
            return low.replacing(with: 1, where: q .> SIMD16(repeating: 170))
        }
        let three = SIMD16<UInt8>(repeating: 3)
        var first = block.loadUnaligned(as: SIMD16<UInt8>.self)
        var second = block.loadUnaligned(fromByteOffset: 16, as: SIMD16<UInt8>.self)
        var third = block.loadUnaligned(fromByteOffset: 32, as: SIMD16<UInt8>.self)
        for i in 0..<5 {
            bytes.storeBytes(of: digit(first), toByteOffset: 32 &* i, as: SIMD16<UInt8>.self)
            bytes.storeBytes(of: digit(second), toByteOffset: 32 &* i &+ 16, as: SIMD16<UInt8>.self)
            bytes.storeBytes(of: digit(third), toByteOffset: 160 &+ 16 &* i, as: SIMD16<UInt8>.self)
            first = first &* three
            second = second &* three
            third = third &* three
        }
        var power: UInt8 = 1
        for i in 0..<4 {
            for j in 0..<4 {
                let byte = block.loadUnaligned(fromByteOffset: 48 &+ j, as: UInt8.self)
                let value = Int8(truncatingIfNeeded: digitOfThree(byte, power) &- 1)
                bytes.storeBytes(of: value, toByteOffset: 240 &+ 4 &* i &+ j, as: Int8.self)
            }
            power = power &* 3
        }
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
