internal import KernelTable

// The IQ types: 256 elements a block, in groups of eight (or four) that are codewords of a codebook (``Grids``). `d` is a
// half; signs are bits. Where seven sign bits are stored for eight elements, the number of minus signs is even.

/// The eighth sign of each seven, atop them.
@inline(__always)
func evenSigns(_ seven: UInt32) -> UInt32 {
    let bits = seven & 127
    return bits | (UInt32(truncatingIfNeeded: bits.nonzeroBitCount & 1) &<< 7)
}

/// Eight elements: `scale` times the bytes of `word`, negative where a bit of `signs` is set.
@inline(__always)
private func storeSigned(_ word: UInt64, _ signs: UInt32, _ scale: Float, _ out: UnsafeMutablePointer<Float>) {
    for i in 0..<8 {
        let shift = UInt64(truncatingIfNeeded: i)
        let magnitude = Float(Int32(truncatingIfNeeded: (word &>> (8 &* shift)) & 255))
        let sign = ((signs &>> UInt32(truncatingIfNeeded: i)) & 1) &<< 31
        out[i] = Float(bitPattern: (scale * magnitude).bitPattern ^ sign)
    }
}

/// d · (0.5 + scale) · 0.25 for a scale of four bits.
@inline(__always)
private func scale2(_ d: Float, _ bits: UInt32) -> Float {
    d * (0.5 + Float(Int32(bitPattern: bits & 15))) * 0.25
}

/// d, then for each 32 elements four bytes of codewords and a word of four times seven signs and a scale: 66 bytes.
@Sendable
func dequantizeIQ2_XXS(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let grid = Grids.iq2_xxs
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        for part in 0..<8 {
            let codes = block.loadUnaligned(fromByteOffset: 2 &+ 8 &* part, as: UInt32.self)
            let signs = block.loadUnaligned(fromByteOffset: 6 &+ 8 &* part, as: UInt32.self)
            let scale = scale2(d, signs &>> 28)
            for i in 0..<4 {
                let shift = UInt32(truncatingIfNeeded: i)
                let word = grid[Int(truncatingIfNeeded: (codes &>> (8 &* shift)) & 255)]
                storeSigned(word, evenSigns(signs &>> (7 &* shift)), scale, out)
                out += 8
            }
        }
        block += 66
    }
}

/// d, 32 words of nine bits of codeword and seven signs, eight bytes of two scales of 16 elements: 74 bytes.
@Sendable
func dequantizeIQ2_XS(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let grid = Grids.iq2_xs
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        for group in 0..<32 {
            let code = UInt32(block.loadUnaligned(fromByteOffset: 2 &+ 2 &* group, as: UInt16.self))
            let scales = UInt32(block.loadUnaligned(fromByteOffset: 66 &+ group / 4, as: UInt8.self))
            let scale = scale2(d, scales &>> UInt32(truncatingIfNeeded: group / 2 % 2 &* 4))
            storeSigned(grid[Int(truncatingIfNeeded: code & 511)], evenSigns(code &>> 9), scale, out)
            out += 8
        }
        block += 74
    }
}

/// d, 32 bytes of codewords, 32 of signs, eight of the codewords' two high bits, eight of scales: 82 bytes.
@Sendable
func dequantizeIQ2_S(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let grid = Grids.iq2_s
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        for group in 0..<32 {
            let low = UInt32(block.loadUnaligned(fromByteOffset: 2 &+ group, as: UInt8.self))
            let signs = UInt32(block.loadUnaligned(fromByteOffset: 34 &+ group, as: UInt8.self))
            let tops = UInt32(block.loadUnaligned(fromByteOffset: 66 &+ group / 4, as: UInt8.self))
            let scales = UInt32(block.loadUnaligned(fromByteOffset: 74 &+ group / 4, as: UInt8.self))
            let top = (tops &>> UInt32(truncatingIfNeeded: group % 4 &* 2)) & 3
            let scale = scale2(d, scales &>> UInt32(truncatingIfNeeded: group / 2 % 2 &* 4))
            storeSigned(grid[Int(truncatingIfNeeded: low | (top &<< 8))], signs, scale, out)
            out += 8
        }
        block += 82
    }
}

/// d, 64 bytes of codewords of four elements, a word of signs and a scale for each 32 elements: 98 bytes.
@Sendable
func dequantizeIQ3_XXS(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let grid = Grids.iq3_xxs
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        for group in 0..<32 {
            let signs = block.loadUnaligned(fromByteOffset: 66 &+ group / 4 &* 4, as: UInt32.self)
            let scale = d * (0.5 + Float(Int32(bitPattern: signs &>> 28))) * 0.5
            let first = Int(block.loadUnaligned(fromByteOffset: 2 &+ 2 &* group, as: UInt8.self))
            let second = Int(block.loadUnaligned(fromByteOffset: 3 &+ 2 &* group, as: UInt8.self))
            let shift = UInt32(truncatingIfNeeded: group % 4 &* 7)
            storeSigned(grid[first] | (grid[second] &<< 32), evenSigns(signs &>> shift), scale, out)
            out += 8
        }
        block += 98
    }
}

/// d, 64 bytes of codewords of four elements, eight of their ninth bits, 32 of signs, four of scales: 110 bytes.
@Sendable
func dequantizeIQ3_S(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let grid = Grids.iq3_s
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        for group in 0..<32 {
            let part = group / 4
            let ninths = Int(block.loadUnaligned(fromByteOffset: 66 &+ part, as: UInt8.self)) &>> (group % 4 &* 2)
            let first = Int(block.loadUnaligned(fromByteOffset: 2 &+ 2 &* group, as: UInt8.self)) | ((ninths & 1) &<< 8)
            let second = Int(block.loadUnaligned(fromByteOffset: 3 &+ 2 &* group, as: UInt8.self)) | ((ninths & 2) &<< 7)
            let signs = UInt32(block.loadUnaligned(fromByteOffset: 74 &+ group, as: UInt8.self))
            let scales = Int32(block.loadUnaligned(fromByteOffset: 106 &+ part / 2, as: UInt8.self))
            let bits = (scales &>> Int32(truncatingIfNeeded: part % 2 &* 4)) & 15
            storeSigned(grid[first] | (grid[second] &<< 32), signs, d * Float(2 &* bits &+ 1), out)
            out += 8
        }
        block += 110
    }
}

/// Eight elements: `scale` · (signed byte of `word` ± 0.125).
@inline(__always)
private func storeShifted(_ word: UInt64, _ isMinus: Bool, _ scale: Float, _ out: UnsafeMutablePointer<Float>) {
    let delta: Float = isMinus ? -0.125 : 0.125
    for i in 0..<8 {
        let value = Int8(truncatingIfNeeded: word &>> UInt64(truncatingIfNeeded: 8 &* i))
        out[i] = scale * (Float(Int32(value)) + delta)
    }
}

/// d, 32 bytes of codewords, then for each 32 elements a word: four times three high bits, a scale, which way the
/// codewords are shifted: 50 bytes.
@Sendable
func dequantizeIQ1_S(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let grid = Grids.iq1_s
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let d = loadHalf(block)
        for group in 0..<32 {
            let head = Int(block.loadUnaligned(fromByteOffset: 34 &+ group / 4 &* 2, as: UInt16.self))
            let low = Int(block.loadUnaligned(fromByteOffset: 2 &+ group, as: UInt8.self))
            let code = low | (((head &>> (group % 4 &* 3)) & 7) &<< 8)
            let bits = Int32(truncatingIfNeeded: (head &>> 12) & 7)
            storeShifted(grid[code], head & 0x8000 != 0, d * Float(2 &* bits &+ 1), out)
            out += 8
        }
        block += 50
    }
}

/// The scale of an IQ1_M block: its four nibbles lie atop the four words of scales.
@inline(__always)
func scaleOfIQ1_M(_ scales: UInt64) -> Float {
    let bits =
        ((scales &>> 12) & 0xf) | ((scales &>> 24) & 0xf0) | ((scales &>> 36) & 0xf00) | ((scales &>> 48) & 0xf000)
    return floatFromHalf(UInt16(truncatingIfNeeded: bits))
}

/// 32 bytes of codewords, 16 with three high bits and the way of the shift in each nibble, then four words of four
/// times three bits of scales, one for 16 elements, with a nibble of d atop each: 56 bytes.
@Sendable
func dequantizeIQ1_M(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    let grid = Grids.iq1_s
    var block = source
    var out = target
    for _ in 0..<(count / 256) {
        let scales = block.loadUnaligned(fromByteOffset: 48, as: UInt64.self)
        let d = scaleOfIQ1_M(scales)
        for group in 0..<32 {
            let low = Int(block.loadUnaligned(fromByteOffset: group, as: UInt8.self))
            let head = Int(block.loadUnaligned(fromByteOffset: 32 &+ group / 2, as: UInt8.self)) &>> (group % 2 &* 4)
            let run = group / 2
            let bits = (scales &>> UInt64(truncatingIfNeeded: run / 4 &* 16 &+ run % 4 &* 3)) & 7
            let scale = d * Float(Int32(truncatingIfNeeded: 2 &* bits &+ 1))
            storeShifted(grid[low | ((head & 7) &<< 8)], head & 8 != 0, scale, out)
            out += 8
        }
        block += 56
    }
}
