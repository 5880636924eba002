internal import KernelTable

// Storing values in types whose nibbles stand for values of a table, as ggml's reference does.

/// Which nibble times `scale` is nearest to `value` in FP4: the first of several.
@inline(__always)
private func nearestFP4(_ value: Float, _ scale: Float, _ table: UnsafePointer<Int8>) -> Int32 {
    let side = value < 0 ? 8 : 0
    var best: Int32 = 0
    var least = value.magnitude
    for i in 1..<8 {
        let off = (Float(Int32(table[side &+ i])) * scale - value).magnitude
        best = off < least ? Int32(truncatingIfNeeded: side &+ i) : best
        least = off < least ? off : least
    }
    return best
}

@Sendable
func quantizeMXFP4(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    let table = Grids.fp4
    for i in 0..<(count / 32) {
        let values = source + 32 &* i
        let block = target + 17 &* i
        // The largest value's power of two, two less: 6 is the largest value of a nibble.
        let exponent = Int32(bitPattern: largestOf(values, 32).bitPattern &>> 23) & 255
        let e = lowByte(exponent > 2 ? exponent &- 2 : 0)
        let scale = halfPower(e)
        block.storeBytes(of: e, as: UInt8.self)
        for j in 0..<16 {
            let low = nearestFP4(values[j], scale, table)
            let high = nearestFP4(values[16 &+ j], scale, table)
            block.storeBytes(of: lowByte(low | (high &<< 4)), toByteOffset: 1 &+ j, as: UInt8.self)
        }
    }
}

/// The unsigned float of four exponent bits and three fraction bits nearest to `value`, up to 448.
@inline(__always)
private func smallFloat(_ value: Float) -> UInt8 {
    guard value > 0 else { return 0 }
    let bits = (value > 448 ? 448 : value).bitPattern
    let exponent = Int32(bitPattern: (bits &>> 23) & 255) &- 120
    if exponent <= 0 { return lowByte(smaller(7, integerBelow(value * 512 + 0.5))) }
    // A fraction that rounds up to 8 carries into the exponent.
    let rounded = (exponent &<< 3 | Int32(bitPattern: (bits &>> 20) & 7)) &+ Int32(bitPattern: (bits &>> 19) & 1)
    return lowByte(exponent >= 15 ? 126 : (rounded >= 120 ? 126 : rounded))
}

@Sendable
func quantizeNVFP4(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    let table = Grids.fp4
    for run in 0..<(count / 16) {
        let values = source + 16 &* run
        let block = target + run / 4 &* 36
        let bits = smallFloat(largestOf(values, 16).magnitude / 6)
        let scale = halfOfSmallFloat(bits)
        block.storeBytes(of: bits, toByteOffset: run % 4, as: UInt8.self)
        for j in 0..<8 {
            let low = nearestFP4(values[j], scale, table)
            let high = nearestFP4(values[8 &+ j], scale, table)
            block.storeBytes(of: lowByte(low | (high &<< 4)), toByteOffset: 4 &+ run % 4 &* 8 &+ j, as: UInt8.self)
        }
    }
}

/// Which of the table's ascending values is nearest.
@inline(__always)
private func nearestIQ4(_ value: Float, _ table: UnsafePointer<Int8>) -> Int32 {
    if value <= -127 { return 0 }
    if value >= 113 { return 15 }
    var low = 0
    var high = 15
    while high &- low > 1 {
        let middle = (low &+ high) / 2
        if value < Float(Int32(table[middle])) { high = middle } else { low = middle }
    }
    let below = Float(Int32(table[high &- 1]))
    let above = Float(Int32(table[high]))
    return Int32(truncatingIfNeeded: value - below < above - value ? high &- 1 : high)
}

/// Sums of a try: values times what stands for them, and the latter's squares, both weighted with the values' squares.
@inline(__always)
private func fitIQ4(_ values: UnsafePointer<Float>, _ inverse: Float, _ table: UnsafePointer<Int8>) -> (Float, Float) {
    var products: Float = 0
    var squares: Float = 0
    for i in 0..<32 {
        let q = Float(Int32(table[Int(nearestIQ4(inverse * values[i], table))]))
        let weight = values[i] * values[i]
        products += weight * q * values[i]
        squares += weight * q * q
    }
    return (products, squares)
}

/// The scale that fits 32 values best among a first guess and `tries` of either side; zero if the values are none.
@inline(__always)
private func scaleOfIQ4(_ values: UnsafePointer<Float>, _ tries: Int32, _ table: UnsafePointer<Int8>) -> Float {
    let largest = largestOf(values, 32)
    if largest.magnitude < 1e-15 { return 0 }
    var (products, squares) = fitIQ4(values, firstInverse(largest, tries), table)
    var scale = squares > 0 ? products / squares : 0
    var best = scale * products
    var step = 0 &- tries
    while step <= tries, tries > 0 {
        (products, squares) = fitIQ4(values, Float(step &- 127) / largest, table)
        if squares > 0, products * products > best * squares {
            scale = products / squares
            best = scale * products
        }
        step = step &+ 1
    }
    return scale
}

/// The first guess puts the largest value at the table's lowest, or, where there is no search, at its negative.
@inline(__always)
private func firstInverse(_ largest: Float, _ tries: Int32) -> Float {
    let d = tries > 0 ? (0 - largest) / -127 : largest / -127
    return 1 / d
}

@inline(__always)
private func storeIQ4(
    _ values: UnsafePointer<Float>, _ inverse: Float, _ table: UnsafePointer<Int8>, _ nibbles: UnsafeMutableRawPointer
) {
    for j in 0..<16 {
        let low = nearestIQ4(inverse * values[j], table)
        let high = nearestIQ4(inverse * values[16 &+ j], table)
        nibbles.storeBytes(of: lowByte(low | (high &<< 4)), toByteOffset: j, as: UInt8.self)
    }
}

/// One scale without a search; the integers are those of the first guess.
@Sendable
func quantizeIQ4_NL(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    let table = Grids.iq4
    for i in 0..<(count / 32) {
        let values = source + 32 &* i
        let block = target + 18 &* i
        let largest = largestOf(values, 32)
        block.storeBytes(of: halfBits(scaleOfIQ4(values, 0, table)), as: UInt16.self)
        storeIQ4(values, largest.magnitude < 1e-15 ? 0 : firstInverse(largest, 0), table, block + 2)
    }
}

@Sendable
func quantizeIQ4_XS(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    let table = Grids.iq4
    for i in 0..<(count / 256) {
        let values = source + 256 &* i
        let block = target + 136 &* i
        var scales = SIMD8<Float>()
        for part in 0..<8 { scales[part] = scaleOfIQ4(values + 32 &* part, 7, table) }
        var largest: Float = 0
        for part in 0..<8 where scales[part].magnitude > largest.magnitude { largest = scales[part] }
        let d = (0 - largest) / 32
        let inverse = d == 0 ? 0 : 1 / d
        var lows: UInt32 = 0
        var tops: UInt32 = 0
        for part in 0..<8 {
            let scale = clamped(nearestInteger(inverse * scales[part]), -32, 31)
            let whole = d * Float(scale)
            storeIQ4(values + 32 &* part, whole == 0 ? 0 : 1 / whole, table, block + (8 &+ 16 &* part))
            let bits = UInt32(bitPattern: scale &+ 32)
            lows |= (bits & 15) &<< UInt32(truncatingIfNeeded: 4 &* part)
            tops |= (bits &>> 4) &<< UInt32(truncatingIfNeeded: 2 &* part)
        }
        block.storeBytes(of: halfBits(d), as: UInt16.self)
        block.storeBytes(of: UInt16(truncatingIfNeeded: tops), toByteOffset: 2, as: UInt16.self)
        block.storeBytes(of: lows, toByteOffset: 4, as: UInt32.self)
    }
}
