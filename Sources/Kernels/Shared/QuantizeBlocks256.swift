// Storing values in the K types, byte for byte as ggml's reference does (without an importance matrix).

/// Room for the searches, on the stack.
@inline(__always)
private func withSearchRoom(_ body: (SearchRoom) -> Void) {
    var room = (
        SIMD64<Int32>(), SIMD64<Int32>(), SIMD64<Int32>(), SIMD64<Int32>(), SIMD32<Int32>(), SIMD32<Float>(), SIMD32<Float>()
    )
    withUnsafeMutableBytes(of: &room) { bytes in
        if let base = bytes.baseAddress { body(SearchRoom(base)) }
    }
}

/// The integers of `count` values under the scale and minimum as they are stored; those of the search stay where the
/// scale is zero.
@inline(__always)
private func settle(
    _ values: UnsafePointer<Float>, _ count: Int, _ levels: UnsafeMutablePointer<Int32>, _ scale: Float, _ minimum: Float,
    _ low: Int32, _ high: Int32
) {
    if scale == 0 { return }
    for i in 0..<count {
        levels[i] = clamped(nearestInteger((values[i] + minimum) / scale), low, high) &- low
    }
}

/// Stores 256 two-bit integers: four runs of 32 above each other, twice.
@inline(__always)
private func storeTwoBits(_ levels: UnsafeMutablePointer<Int32>, _ target: UnsafeMutableRawPointer) {
    for i in 0..<64 {
        let four = levels + (i / 32 &* 128 &+ i % 32)
        let low = (four[0] & 3) | ((four[32] & 3) &<< 2)
        let bits = low | ((four[64] & 3) &<< 4) | ((four[96] & 3) &<< 6)
        target.storeBytes(of: lowByte(bits), toByteOffset: i, as: UInt8.self)
    }
}

@inline(__always)
private func largestPositive(_ values: UnsafeMutablePointer<Float>, _ count: Int) -> Float {
    var largest: Float = 0
    for i in 0..<count { largest = values[i] > largest ? values[i] : largest }
    return largest
}

@Sendable
func quantizeQ2_K(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    withSearchRoom { room in
        for i in 0..<(count / 256) {
            let values = source + 256 &* i
            let block = target + 84 &* i
            for run in 0..<16 {
                let part = values + 16 &* run
                for j in 0..<16 { room.weights[j] = part[j].magnitude }
                let found = searchWithMinimum(part, 16, 3, room, room.levels + 16 &* run, -0.5, 0.1, 15, true)
                room.scales[run] = found.scale
                room.minima[run] = found.minimum
            }
            let largestScale = largestPositive(room.scales, 16)
            let largestMinimum = largestPositive(room.minima, 16)
            let scaleFactor = largestScale > 0 ? 15 / largestScale : 0
            let minimumFactor = largestMinimum > 0 ? 15 / largestMinimum : 0
            let dBits = halfBits(largestScale > 0 ? largestScale / 15 : 0)
            let dminBits = halfBits(largestMinimum > 0 ? largestMinimum / 15 : 0)
            block.storeBytes(of: dBits, toByteOffset: 80, as: UInt16.self)
            block.storeBytes(of: dminBits, toByteOffset: 82, as: UInt16.self)
            for run in 0..<16 {
                let scale = nearestInteger(scaleFactor * room.scales[run])
                let minimum = nearestInteger(minimumFactor * room.minima[run])
                let both = lowByte(scale | (minimum &<< 4))
                block.storeBytes(of: both, toByteOffset: run, as: UInt8.self)
                settle(
                    values + 16 &* run, 16, room.levels + 16 &* run, floatFromHalf(dBits) * Float(Int32(both & 15)),
                    floatFromHalf(dminBits) * Float(Int32(both &>> 4)), 0, 3)
            }
            storeTwoBits(room.levels, block + 16)
        }
    }
}

@Sendable
func quantizeQ3_K(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    withSearchRoom { room in
        for i in 0..<(count / 256) {
            let values = source + 256 &* i
            let block = target + 110 &* i
            for run in 0..<16 { room.scales[run] = searchStepwise(values + 16 &* run, room.levels + 16 &* run) }
            let largest = largestOf(room.scales, 16)
            let factor = largest == 0 ? 0 : -32 / largest
            let dBits = halfBits(largest == 0 ? 0 : 1 / factor)
            block.storeBytes(of: dBits, toByteOffset: 108, as: UInt16.self)
            var lows: UInt64 = 0
            var tops: UInt32 = 0
            for run in 0..<16 {
                let scale = clamped(nearestInteger(factor * room.scales[run]), -32, 31)
                let bits = UInt32(bitPattern: scale &+ 32)
                // Without a scale to go by all bits are zero.
                if largest != 0 {
                    lows |= UInt64(bits & 15) &<< UInt64(truncatingIfNeeded: run % 8 &* 8 &+ run / 8 &* 4)
                    tops |= (bits &>> 4) &<< UInt32(truncatingIfNeeded: run % 4 &* 8 &+ run / 4 &* 2)
                }
                settle(
                    values + 16 &* run, 16, room.levels + 16 &* run, floatFromHalf(dBits) * Float(scale), 0, -4, 3)
            }
            block.storeBytes(of: lows, toByteOffset: 96, as: UInt64.self)
            block.storeBytes(of: tops, toByteOffset: 104, as: UInt32.self)
            for j in 0..<32 {
                var bits: Int32 = 0
                for part in 0..<8 {
                    bits |= ((room.levels[32 &* part &+ j] &>> 2) & 1) &<< Int32(truncatingIfNeeded: part)
                }
                block.storeBytes(of: lowByte(bits), toByteOffset: j, as: UInt8.self)
            }
            storeTwoBits(room.levels, block + 32)
        }
    }
}

/// The common part of Q4_K and Q5_K: d, dmin and the sub-blocks' scales and minima to `block`, integers up to `top` to
/// the room's levels.
@inline(__always)
private func quantizeWithMinima(
    _ values: UnsafePointer<Float>, _ block: UnsafeMutableRawPointer, _ room: SearchRoom, _ top: Int32, _ first: Float,
    _ tries: Int32
) {
    for part in 0..<8 {
        let run = values + 32 &* part
        var squares: Float = 0
        for j in 0..<32 { squares += run[j] * run[j] }
        let mean = (squares / 32).squareRoot()
        for j in 0..<32 { room.weights[j] = mean + run[j].magnitude }
        let found = searchWithMinimum(run, 32, top, room, room.levels + 32 &* part, first, 0.1, tries, false)
        room.scales[part] = found.scale
        room.minima[part] = found.minimum
    }
    let largestScale = largestPositive(room.scales, 8)
    let largestMinimum = largestPositive(room.minima, 8)
    let scaleFactor = largestScale > 0 ? 63 / largestScale : 0
    let minimumFactor = largestMinimum > 0 ? 63 / largestMinimum : 0
    let dBits = halfBits(largestScale / 63)
    let dminBits = halfBits(largestMinimum / 63)
    block.storeBytes(of: dBits, as: UInt16.self)
    block.storeBytes(of: dminBits, toByteOffset: 2, as: UInt16.self)
    var firsts: UInt32 = 0
    var seconds: UInt32 = 0
    var nibbles: UInt32 = 0
    for part in 0..<8 {
        let scaleByte = lowByte(nearestInteger(scaleFactor * room.scales[part]))
        let minimumByte = lowByte(nearestInteger(minimumFactor * room.minima[part]))
        let scale = UInt32(scaleByte > 63 ? 63 : scaleByte)
        let minimum = UInt32(minimumByte > 63 ? 63 : minimumByte)
        let shift = UInt32(truncatingIfNeeded: part % 4 &* 8)
        if part < 4 {
            firsts |= scale &<< shift
            seconds |= minimum &<< shift
        } else {
            nibbles |= ((scale & 15) | ((minimum & 15) &<< 4)) &<< shift
            firsts |= ((scale &>> 4) &<< 6) &<< shift
            seconds |= ((minimum &>> 4) &<< 6) &<< shift
        }
        settle(
            values + 32 &* part, 32, room.levels + 32 &* part, floatFromHalf(dBits) * Float(Int32(bitPattern: scale)),
            floatFromHalf(dminBits) * Float(Int32(bitPattern: minimum)), 0, top)
    }
    block.storeBytes(of: firsts, toByteOffset: 4, as: UInt32.self)
    block.storeBytes(of: seconds, toByteOffset: 8, as: UInt32.self)
    block.storeBytes(of: nibbles, toByteOffset: 12, as: UInt32.self)
}

/// Stores the low nibbles of 256 integers: of two runs of 32 the second in the high nibbles.
@inline(__always)
private func storeNibblePairs(_ levels: UnsafeMutablePointer<Int32>, _ target: UnsafeMutableRawPointer) {
    for i in 0..<128 {
        let two = levels + (i / 32 &* 64 &+ i % 32)
        target.storeBytes(of: lowByte((two[0] & 15) | ((two[32] & 15) &<< 4)), toByteOffset: i, as: UInt8.self)
    }
}

@Sendable
func quantizeQ4_K(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    withSearchRoom { room in
        for i in 0..<(count / 256) {
            let block = target + 144 &* i
            quantizeWithMinima(source + 256 &* i, block, room, 15, -1, 20)
            storeNibblePairs(room.levels, block + 16)
        }
    }
}

@Sendable
func quantizeQ5_K(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    withSearchRoom { room in
        for i in 0..<(count / 256) {
            let block = target + 176 &* i
            quantizeWithMinima(source + 256 &* i, block, room, 31, -0.5, 15)
            storeNibblePairs(room.levels, block + 48)
            for j in 0..<32 {
                var bits: Int32 = 0
                for part in 0..<8 {
                    bits |= ((room.levels[32 &* part &+ j] &>> 4) & 1) &<< Int32(truncatingIfNeeded: part)
                }
                block.storeBytes(of: lowByte(bits), toByteOffset: 16 &+ j, as: UInt8.self)
            }
        }
    }
}

@Sendable
func quantizeQ6_K(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    withSearchRoom { room in
        for i in 0..<(count / 256) {
            let values = source + 256 &* i
            let block = target + 210 &* i
            for run in 0..<16 { room.scales[run] = searchSymmetric(values + 16 &* run, room.levels + 16 &* run) }
            let largest = largestOf(room.scales, 16)
            let isZero = largest.magnitude < 1e-15
            let factor = isZero ? 0 : -128 / largest
            let dBits = halfBits(isZero ? 0 : 1 / factor)
            for run in 0..<16 {
                let scale = Int8(truncatingIfNeeded: smaller(127, nearestInteger(factor * room.scales[run])))
                block.storeBytes(of: scale, toByteOffset: 192 &+ run, as: Int8.self)
                let levels = room.levels + 16 &* run
                settle(values + 16 &* run, 16, levels, floatFromHalf(dBits) * Float(Int32(scale)), 0, -32, 31)
                if isZero { for j in 0..<16 { levels[j] = 0 } }
            }
            block.storeBytes(of: dBits, toByteOffset: 208, as: UInt16.self)
            for j in 0..<64 {
                // Nibbles of 128 elements in 64 bytes; the tops of four runs of 32 in 32.
                for half in 0..<2 {
                    let two = room.levels + (128 &* half &+ j)
                    let bits = (two[0] & 15) | ((two[64] & 15) &<< 4)
                    block.storeBytes(of: lowByte(bits), toByteOffset: 64 &* half &+ j, as: UInt8.self)
                }
                let four = room.levels + (j / 32 &* 128 &+ j % 32)
                let low = (four[0] &>> 4) | ((four[32] &>> 4) &<< 2)
                let tops = low | ((four[64] &>> 4) &<< 4) | ((four[96] &>> 4) &<< 6)
                block.storeBytes(of: lowByte(tops), toByteOffset: 128 &+ j, as: UInt8.self)
            }
        }
    }
}
