internal import KernelTable

// Storing values in types of short blocks, byte for byte as ggml's reference does. Blocks that hold an infinity or a NaN
// give no useful values.

/// The integer nearest to `value`, ties to even, of up to 22 bits; any integer for what is no such value.
@_transparent
func nearestInteger(_ value: Float) -> Int32 {
    Int32(bitPattern: (value + 0x1.8p23).bitPattern & 0x007f_ffff) &- 0x0040_0000
}

/// As ``nearestInteger``, ties away from zero.
@_transparent
func nearestIntegerAway(_ value: Float) -> Int32 { nearestInteger(value.rounded(.toNearestOrAwayFromZero)) }

/// The integer below `value`.
@_transparent
func integerBelow(_ value: Float) -> Int32 { nearestInteger(value.rounded(.down)) }

@_transparent
func smaller(_ a: Int32, _ b: Int32) -> Int32 { a < b ? a : b }

@_transparent
func clamped(_ value: Int32, _ low: Int32, _ high: Int32) -> Int32 { value < low ? low : (value > high ? high : value) }

@_transparent
func lowByte(_ value: Int32) -> UInt8 { UInt8(truncatingIfNeeded: value) }

/// The value of the largest magnitude: the first of several.
@inline(__always)
func largestOf(_ values: UnsafePointer<Float>, _ count: Int) -> Float {
    var magnitude: Float = 0
    var value: Float = 0
    for i in 0..<count where values[i].magnitude > magnitude {
        magnitude = values[i].magnitude
        value = values[i]
    }
    return value
}

/// The larger of the magnitudes of a block.
@inline(__always)
private func largestMagnitude(_ values: UnsafePointer<Float>, _ count: Int) -> Float { largestOf(values, count).magnitude }

/// Stores 32 integers of four or five bits: nibbles at `nibbles` as q4_0 has them, and gives the fifth bits.
@inline(__always)
private func storeNibbles(_ nibbles: UnsafeMutableRawPointer, _ integer: (Int) -> Int32) -> UInt32 {
    var fifths: UInt32 = 0
    for i in 0..<16 {
        let low = integer(i)
        let high = integer(16 &+ i)
        nibbles.storeBytes(of: lowByte((low & 15) | ((high & 15) &<< 4)), toByteOffset: i, as: UInt8.self)
        let place = UInt32(truncatingIfNeeded: i)
        fifths |= (UInt32(bitPattern: low &>> 4) & 1) &<< place
        fifths |= (UInt32(bitPattern: high &>> 4) & 1) &<< (place &+ 16)
    }
    return fifths
}

@Sendable
func quantizeQ4_0(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 32) {
        let values = source + 32 &* i
        let block = target + 18 &* i
        let d = largestOf(values, 32) / -8
        let inverse = d == 0 ? 0 : 1 / d
        block.storeBytes(of: halfBits(d), as: UInt16.self)
        _ = storeNibbles(block + 2) { smaller(15, integerBelow(values[$0] * inverse + 8.5)) }
    }
}

@Sendable
func quantizeQ5_0(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 32) {
        let values = source + 32 &* i
        let block = target + 22 &* i
        let d = largestOf(values, 32) / -16
        let inverse = d == 0 ? 0 : 1 / d
        block.storeBytes(of: halfBits(d), as: UInt16.self)
        let fifths = storeNibbles(block + 6) { smaller(31, integerBelow(values[$0] * inverse + 16.5)) }
        block.storeBytes(of: fifths, toByteOffset: 2, as: UInt32.self)
    }
}

/// The smallest and the largest value of 32.
@inline(__always)
private func rangeOf(_ values: UnsafePointer<Float>) -> (low: Float, high: Float) {
    var low = Float.greatestFiniteMagnitude
    var high = -Float.greatestFiniteMagnitude
    for i in 0..<32 {
        low = values[i] < low ? values[i] : low
        high = values[i] > high ? values[i] : high
    }
    return (low, high)
}

@Sendable
func quantizeQ4_1(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 32) {
        let values = source + 32 &* i
        let block = target + 20 &* i
        let (low, high) = rangeOf(values)
        let d = (high - low) / 15
        let inverse = d == 0 ? 0 : 1 / d
        block.storeBytes(of: halfBits(d), as: UInt16.self)
        block.storeBytes(of: halfBits(low), toByteOffset: 2, as: UInt16.self)
        _ = storeNibbles(block + 4) { smaller(15, integerBelow((values[$0] - low) * inverse + 0.5)) }
    }
}

@Sendable
func quantizeQ5_1(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 32) {
        let values = source + 32 &* i
        let block = target + 24 &* i
        let (low, high) = rangeOf(values)
        let d = (high - low) / 31
        let inverse = d == 0 ? 0 : 1 / d
        block.storeBytes(of: halfBits(d), as: UInt16.self)
        block.storeBytes(of: halfBits(low), toByteOffset: 2, as: UInt16.self)
        let fifths = storeNibbles(block + 8) { integerBelow((values[$0] - low) * inverse + 0.5) }
        block.storeBytes(of: fifths, toByteOffset: 4, as: UInt32.self)
    }
}

@Sendable
func quantizeQ8_1(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 32) {
        let values = source + 32 &* i
        let block = target + 36 &* i
        let d = largestMagnitude(values, 32) / 127
        let inverse = d == 0 ? 0 : 1 / d
        block.storeBytes(of: halfBits(d), as: UInt16.self)
        var sum: Int32 = 0
        for j in 0..<32 {
            let q = lowByte(nearestIntegerAway(values[j] * inverse))
            block.storeBytes(of: q, toByteOffset: 4 &+ j, as: UInt8.self)
            sum = sum &+ Int32(Int8(bitPattern: q))
        }
        block.storeBytes(of: halfBits(Float(sum) * d), toByteOffset: 2, as: UInt16.self)
    }
}

@Sendable
func quantizeQ8_K(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 256) {
        let values = source + 256 &* i
        let block = target + 292 &* i
        let largest = largestOf(values, 256)
        let factor = largest == 0 ? 0 : -127 / largest
        block.storeBytes(of: largest == 0 ? 0 : 1 / factor, as: Float.self)
        for run in 0..<16 {
            var sum: Int16 = 0
            for j in (16 &* run)..<(16 &* run &+ 16) {
                let q = smaller(127, nearestInteger(factor * values[j]))
                block.storeBytes(of: lowByte(q), toByteOffset: 4 &+ j, as: UInt8.self)
                sum = sum &+ Int16(truncatingIfNeeded: q)
            }
            block.storeBytes(of: sum, toByteOffset: 260 &+ 2 &* run, as: Int16.self)
        }
    }
}

@Sendable
func quantizeQ1_0(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 128) {
        let values = source + 128 &* i
        let block = target + 18 &* i
        var sum: Float = 0
        for j in 0..<128 { sum += values[j].magnitude }
        block.storeBytes(of: halfBits(sum / 128), as: UInt16.self)
        for j in 0..<16 {
            var bits: UInt8 = 0
            for bit in 0..<8 where values[8 &* j &+ bit] >= 0 { bits |= 1 &<< UInt8(truncatingIfNeeded: bit) }
            block.storeBytes(of: bits, toByteOffset: 2 &+ j, as: UInt8.self)
        }
    }
}

@Sendable
func quantizeQ2_0(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 64) {
        let values = source + 64 &* i
        let block = target + 18 &* i
        let d = largestMagnitude(values, 64)
        let inverse = d > 0 ? 1 / d : 0
        block.storeBytes(of: halfBits(d), as: UInt16.self)
        for j in 0..<16 {
            var bits: Int32 = 0
            for part in 0..<4 {
                let q = clamped(nearestIntegerAway(values[4 &* j &+ part] * inverse) &+ 1, 0, 3)
                bits |= q &<< Int32(truncatingIfNeeded: 2 &* part)
            }
            block.storeBytes(of: lowByte(bits), toByteOffset: 2 &+ j, as: UInt8.self)
        }
    }
}

/// The largest magnitude of 256 values and its inverse, for the ternary types.
@inline(__always)
private func ternaryScale(_ values: UnsafePointer<Float>) -> (d: Float, inverse: Float) {
    let d = largestMagnitude(values, 256)
    return (d, d == 0 ? 0 : 1 / d)
}

/// -1, 0 and 1 as 0, 1 and 2.
@inline(__always)
private func digit(_ value: Float, _ inverse: Float) -> Int32 { nearestIntegerAway(value * inverse) &+ 1 }

@Sendable
func quantizeTQ1_0(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 256) {
        let block = target + 54 &* i
        let (d, inverse) = ternaryScale(source + 256 &* i)
        block.storeBytes(of: halfBits(d), toByteOffset: 52, as: UInt16.self)
        /// `width` bytes of `digits` elements each that lie `width` apart.
        @inline(__always) func run(_ values: UnsafePointer<Float>, _ place: Int, _ width: Int, _ digits: Int) {
            for j in 0..<width {
                var number: Int32 = 0
                for k in 0..<digits { number = number &* 3 &+ digit(values[j &+ k &* width], inverse) }
                if digits == 4 { number = number &* 3 }
                // As 256ths of 243, rounded up.
                let fraction = UInt32(lowByte(number)) &* 256 &+ 242
                block.storeBytes(of: UInt8(truncatingIfNeeded: fraction / 243), toByteOffset: place &+ j, as: UInt8.self)
            }
        }
        let values = source + 256 &* i
        run(values, 0, 32, 5)
        run(values + 160, 32, 16, 5)
        run(values + 240, 48, 4, 4)
    }
}

@Sendable
func quantizeTQ2_0(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<(count / 256) {
        let block = target + 66 &* i
        let (d, inverse) = ternaryScale(source + 256 &* i)
        block.storeBytes(of: halfBits(d), toByteOffset: 64, as: UInt16.self)
        for j in 0..<64 {
            let values = source + (256 &* i &+ j / 32 &* 128 &+ j % 32)
            var bits: Int32 = 0
            for part in 0..<4 {
                bits |= (digit(values[32 &* part], inverse) & 3) &<< Int32(truncatingIfNeeded: 2 &* part)
            }
            block.storeBytes(of: lowByte(bits), toByteOffset: j, as: UInt8.self)
        }
    }
}
