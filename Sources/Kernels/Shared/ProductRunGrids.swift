internal import KernelTable

// How the IQ types of one to three bits unpack to signed bytes: a codeword is eight (or four) bytes of a ``Grids`` table.

/// The eight bytes of `word`, none of them 0, negative where a bit of `signs` is set.
@inline(__always)
private func signed(_ word: UInt64, _ signs: UInt32) -> UInt64 {
    // Byte i keeps bit i of the signs alone, then becomes 1 if that is set.
    let spread = (UInt64(signs & 255) &* 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201
    let ones = ((spread &+ 0x7f7f_7f7f_7f7f_7f7f) &>> 7) & 0x0101_0101_0101_0101
    return (word ^ (ones &* 255)) &+ ones
}

@inline(__always)
private func byte(_ pointer: UnsafeRawPointer, _ offset: Int) -> UInt32 {
    UInt32(pointer.loadUnaligned(fromByteOffset: offset, as: UInt8.self))
}

@inline(__always)
private func index(_ bits: UInt32) -> Int { Int(truncatingIfNeeded: bits) }

/// d · (0.5 + scale) · 0.25 for a scale of four bits.
@inline(__always)
private func scale2(_ d: Float, _ bits: UInt32) -> Float { d * (0.5 + Float(Int32(bitPattern: bits & 15))) * 0.25 }

enum RunsIQ2_XXS: RunFormat {
    @inline(__always) static var byteCount: Int { 66 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let grid = Grids.iq2_xxs
        let d = loadHalf(block)
        for part in 0..<8 {
            let codes = block.loadUnaligned(fromByteOffset: 2 &+ 8 &* part, as: UInt32.self)
            let signs = block.loadUnaligned(fromByteOffset: 6 &+ 8 &* part, as: UInt32.self)
            for i in 0..<4 {
                let shift = UInt32(truncatingIfNeeded: i)
                let word = signed(grid[index((codes &>> (8 &* shift)) & 255)], evenSigns(signs &>> (7 &* shift)))
                bytes.storeBytes(of: word, toByteOffset: 32 &* part &+ 8 &* i, as: UInt64.self)
            }
            fillScales(scales + 2 &* part, 2, scale2(d, signs &>> 28))
        }
    }
}

enum RunsIQ2_XS: RunFormat {
    @inline(__always) static var byteCount: Int { 74 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let grid = Grids.iq2_xs
        let d = loadHalf(block)
        for group in 0..<32 {
            let code = UInt32(block.loadUnaligned(fromByteOffset: 2 &+ 2 &* group, as: UInt16.self))
            let word = signed(grid[index(code & 511)], evenSigns(code &>> 9))
            bytes.storeBytes(of: word, toByteOffset: 8 &* group, as: UInt64.self)
        }
        for part in 0..<8 {
            let both = byte(block, 66 &+ part)
            scales[2 &* part] = scale2(d, both)
            scales[2 &* part &+ 1] = scale2(d, both &>> 4)
        }
    }
}

enum RunsIQ2_S: RunFormat {
    @inline(__always) static var byteCount: Int { 82 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let grid = Grids.iq2_s
        let d = loadHalf(block)
        for part in 0..<8 {
            let tops = byte(block, 66 &+ part)
            for i in 0..<4 {
                let group = 4 &* part &+ i
                let top = (tops &>> UInt32(truncatingIfNeeded: 2 &* i)) & 3
                let word = signed(grid[index(byte(block, 2 &+ group) | (top &<< 8))], byte(block, 34 &+ group))
                bytes.storeBytes(of: word, toByteOffset: 8 &* group, as: UInt64.self)
            }
            let both = byte(block, 74 &+ part)
            scales[2 &* part] = scale2(d, both)
            scales[2 &* part &+ 1] = scale2(d, both &>> 4)
        }
    }
}

enum RunsIQ3_XXS: RunFormat {
    @inline(__always) static var byteCount: Int { 98 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let grid = Grids.iq3_xxs
        let d = loadHalf(block)
        for part in 0..<8 {
            let signs = block.loadUnaligned(fromByteOffset: 66 &+ 4 &* part, as: UInt32.self)
            for i in 0..<4 {
                let group = 4 &* part &+ i
                let first = grid[index(byte(block, 2 &+ 2 &* group))]
                let second = grid[index(byte(block, 3 &+ 2 &* group))]
                let word = signed(first | (second &<< 32), evenSigns(signs &>> UInt32(truncatingIfNeeded: 7 &* i)))
                bytes.storeBytes(of: word, toByteOffset: 8 &* group, as: UInt64.self)
            }
            fillScales(scales + 2 &* part, 2, d * (0.5 + Float(Int32(bitPattern: signs &>> 28))) * 0.5)
        }
    }
}

enum RunsIQ3_S: RunFormat {
    @inline(__always) static var byteCount: Int { 110 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let grid = Grids.iq3_s
        let d = loadHalf(block)
        for part in 0..<8 {
            var ninths = byte(block, 66 &+ part)
            for i in 0..<4 {
                let group = 4 &* part &+ i
                let first = grid[index(byte(block, 2 &+ 2 &* group) | ((ninths & 1) &<< 8))]
                let second = grid[index(byte(block, 3 &+ 2 &* group) | ((ninths & 2) &<< 7))]
                let word = signed(first | (second &<< 32), byte(block, 74 &+ group))
                bytes.storeBytes(of: word, toByteOffset: 8 &* group, as: UInt64.self)
                ninths = ninths &>> 2
            }
            let bits = (byte(block, 106 &+ part / 2) &>> UInt32(truncatingIfNeeded: part % 2 &* 4)) & 15
            fillScales(scales + 2 &* part, 2, d * Float(Int32(bitPattern: 2 &* bits &+ 1)))
        }
    }
}

// In IQ1 types a weight is scale · (-1, 0 or 1, ± an eighth): an eighth of the scale times a whole number.

@inline(__always)
private func shifted(_ word: UInt64, _ isMinus: Bool) -> SIMD8<Int8> {
    unsafeBitCast(word, to: SIMD8<Int8>.self) &+ SIMD8(repeating: isMinus ? -1 : 1)
}

enum RunsIQ1_S: RunFormat {
    @inline(__always) static var byteCount: Int { 50 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let grid = Grids.iq1_s8
        let d = loadHalf(block) * 0.125
        for part in 0..<8 {
            let head = UInt32(block.loadUnaligned(fromByteOffset: 34 &+ 2 &* part, as: UInt16.self))
            for i in 0..<4 {
                let group = 4 &* part &+ i
                let high = (head &>> UInt32(truncatingIfNeeded: 3 &* i)) & 7
                let values = shifted(grid[index(byte(block, 2 &+ group) | (high &<< 8))], head & 0x8000 != 0)
                bytes.storeBytes(of: values, toByteOffset: 8 &* group, as: SIMD8<Int8>.self)
            }
            fillScales(scales + 2 &* part, 2, d * Float(Int32(bitPattern: 2 &* ((head &>> 12) & 7) &+ 1)))
        }
    }
}

enum RunsIQ1_M: RunFormat {
    @inline(__always) static var byteCount: Int { 56 }
    @inline(__always) static var elementCount: Int { 256 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats
    ) {
        let grid = Grids.iq1_s8
        let packed = block.loadUnaligned(fromByteOffset: 48, as: UInt64.self)
        let d = scaleOfIQ1_M(packed) * 0.125
        for run in 0..<16 {
            let heads = byte(block, 32 &+ run)
            for i in 0..<2 {
                let group = 2 &* run &+ i
                let head = heads &>> UInt32(truncatingIfNeeded: 4 &* i)
                let values = shifted(grid[index(byte(block, group) | ((head & 7) &<< 8))], head & 8 != 0)
                bytes.storeBytes(of: values, toByteOffset: 8 &* group, as: SIMD8<Int8>.self)
            }
            let bits = (packed &>> UInt64(truncatingIfNeeded: run / 4 &* 16 &+ run % 4 &* 3)) & 7
            scales[run] = d * Float(Int32(truncatingIfNeeded: 2 &* bits &+ 1))
        }
    }
}
