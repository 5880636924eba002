// Types of 32 elements a block. `d` is the block's scale, `m` its minimum, both halves; `qs` are the elements'
// integers (two to a byte: elements 0-15 in the low nibbles, 16-31 in the high ones), `qh` their fifth bits.

/// d, qs: 34 bytes. Element: d · q.
@Sendable
func dequantizeQ8_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 32) {
        let d = loadHalf(block)
        for i in 0..<32 {
            let q = block.loadUnaligned(fromByteOffset: 2 &+ i, as: Int8.self)
            out[i] = Float(Int32(q)) * d
        }
        block += 34
        out += 32
    }
}

/// The scale is the largest magnitude over 127, and elements are rounded to the nearest integer, ties to even: the rounding
/// of ggml's kernels for x86. Blocks that hold an infinity or a NaN give no useful values.
@Sendable
func quantizeQ8_0(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    var values = source
    var block = target
    for _ in 0..<(count / 32) {
        var largest: Float = 0
        for i in 0..<32 {
            let magnitude = values[i].magnitude
            largest = magnitude > largest ? magnitude : largest
        }
        let d = largest / 127
        let inverse = largest == 0 ? 0 : 127 / largest
        block.storeBytes(of: halfBits(d), as: UInt16.self)
        for i in 0..<32 {
            // The sum's lowest bits are the integer: a conversion that cannot trap, whatever the value.
            let bits = (values[i] * inverse + 0x1.8p23).bitPattern
            block.storeBytes(of: Int8(truncatingIfNeeded: bits), toByteOffset: 2 &+ i, as: Int8.self)
        }
        values += 32
        block += 34
    }
}

/// d, qs: 18 bytes. Element: d · (q - 8).
@Sendable
func dequantizeQ4_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 32) {
        let d = loadHalf(block)
        for i in 0..<16 {
            let q = block.loadUnaligned(fromByteOffset: 2 &+ i, as: UInt8.self)
            out[i] = d * Float(Int32(q & 15) &- 8)
            out[16 &+ i] = d * Float(Int32(q &>> 4) &- 8)
        }
        block += 18
        out += 32
    }
}

/// d, m, qs: 20 bytes. Element: d · q + m.
@Sendable
func dequantizeQ4_1(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 32) {
        let d = loadHalf(block)
        let m = loadHalf(block + 2)
        for i in 0..<16 {
            let q = block.loadUnaligned(fromByteOffset: 4 &+ i, as: UInt8.self)
            out[i] = d * Float(Int32(q & 15)) + m
            out[16 &+ i] = d * Float(Int32(q &>> 4)) + m
        }
        block += 20
        out += 32
    }
}

/// d, qh, qs: 22 bytes. Element: d · (q - 16).
@Sendable
func dequantizeQ5_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 32) {
        let d = loadHalf(block)
        let fifths = block.loadUnaligned(fromByteOffset: 2, as: UInt32.self)
        for i in 0..<16 {
            let q = UInt32(block.loadUnaligned(fromByteOffset: 6 &+ i, as: UInt8.self))
            let shift = UInt32(truncatingIfNeeded: i)
            let low = (q & 15) | (((fifths &>> shift) & 1) &<< 4)
            let high = (q &>> 4) | ((((fifths &>> 16) &>> shift) & 1) &<< 4)
            out[i] = d * Float(Int32(bitPattern: low) &- 16)
            out[16 &+ i] = d * Float(Int32(bitPattern: high) &- 16)
        }
        block += 22
        out += 32
    }
}

/// d, m, qh, qs: 24 bytes. Element: d · q + m.
@Sendable
func dequantizeQ5_1(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    var block = source
    var out = target
    for _ in 0..<(count / 32) {
        let d = loadHalf(block)
        let m = loadHalf(block + 2)
        let fifths = block.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        for i in 0..<16 {
            let q = UInt32(block.loadUnaligned(fromByteOffset: 8 &+ i, as: UInt8.self))
            let shift = UInt32(truncatingIfNeeded: i)
            let low = (q & 15) | (((fifths &>> shift) & 1) &<< 4)
            let high = (q &>> 4) | ((((fifths &>> 16) &>> shift) & 1) &<< 4)
            out[i] = d * Float(Int32(bitPattern: low)) + m
            out[16 &+ i] = d * Float(Int32(bitPattern: high)) + m
        }
        block += 24
        out += 32
    }
}
