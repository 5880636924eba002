#if !arch(x86_64) || KERNELS_PORTABLE
// The vectors that products are written in, here Swift's own, for processors without a variant written for them. The
// names are those of ProductLanes.swift.

/// 32 bytes: the quantized values of a block or of a part of one.
struct ByteLanes {
    var low: SIMD16<Int8>
    var high: SIMD16<Int8>
}
/// 16 16-bit integers; each half of them belongs to one half of some `ByteLanes`.
struct ShortLanes {
    var low: SIMD8<Int16>
    var high: SIMD8<Int16>
}
/// The lanes in which a row's integer sums are taken.
typealias IntLanes = SIMD8<Int32>
/// The lanes in which a row's sums are taken.
typealias FloatLanes = SIMD8<Float>

let floatLaneCount = 8

@inline(__always)
private func load(_ pointer: UnsafeRawPointer) -> SIMD16<Int8> { pointer.loadUnaligned(as: SIMD16<Int8>.self) }

@inline(__always)
func loadBytes(_ pointer: UnsafeRawPointer) -> ByteLanes { ByteLanes(low: load(pointer), high: load(pointer + 16)) }

@inline(__always)
func loadShorts(_ pointer: UnsafeRawPointer) -> ShortLanes {
    ShortLanes(
        low: pointer.loadUnaligned(as: SIMD8<Int16>.self),
        high: pointer.loadUnaligned(fromByteOffset: 16, as: SIMD8<Int16>.self))
}

@inline(__always)
private func shifted(_ bytes: SIMD16<Int8>, right shift: Int32, _ mask: Int8) -> SIMD16<Int8> {
    let unsigned = SIMD16<UInt8>(truncatingIfNeeded: bytes)
    let moved = unsigned &>> SIMD16<UInt8>(repeating: UInt8(truncatingIfNeeded: shift))
    return SIMD16<Int8>(truncatingIfNeeded: moved) & SIMD16<Int8>(repeating: mask)
}

@inline(__always)
private func shifted(_ bytes: SIMD16<Int8>, left shift: Int32, _ mask: Int8) -> SIMD16<Int8> {
    (bytes &<< SIMD16<Int8>(repeating: Int8(truncatingIfNeeded: shift))) & SIMD16<Int8>(repeating: mask)
}

/// The low nibbles of 16 bytes, then the high ones.
@inline(__always)
func nibblesOf16(_ pointer: UnsafeRawPointer) -> ByteLanes {
    let bytes = load(pointer)
    return ByteLanes(low: shifted(bytes, right: 0, 15), high: shifted(bytes, right: 4, 15))
}

@inline(__always)
func lowNibbles(_ bytes: ByteLanes) -> ByteLanes { field(bytes, 0, 15) }

@inline(__always)
func highNibbles(_ bytes: ByteLanes) -> ByteLanes { field(bytes, 4, 15) }

/// Bytes of 16 where `bits` has a one, bit i for byte i, else of 0.
@inline(__always)
func sixteens(_ bits: UInt32) -> ByteLanes { ByteLanes(low: sixteens16(bits), high: sixteens16(bits &>> 16)) }

@inline(__always)
private func sixteens16(_ bits: UInt32) -> SIMD16<Int8> {
    let first = UInt8(truncatingIfNeeded: bits)
    let second = UInt8(truncatingIfNeeded: bits &>> 8)
    let spread = SIMD16<UInt8>(lowHalf: SIMD8(repeating: first), highHalf: SIMD8(repeating: second))
    let places = SIMD16<UInt8>(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7)
    let one = (spread &>> places) & SIMD16<UInt8>(repeating: 1)
    return SIMD16<Int8>(truncatingIfNeeded: one &<< SIMD16<UInt8>(repeating: 4))
}

/// Of each byte the bits `mask` after a shift to the right by `shift`.
@inline(__always)
func field(_ bytes: ByteLanes, _ shift: Int32, _ mask: Int8) -> ByteLanes {
    ByteLanes(low: shifted(bytes.low, right: shift, mask), high: shifted(bytes.high, right: shift, mask))
}

/// Of each byte the bits `mask` after a shift to the left by `shift`.
@inline(__always)
func fieldUp(_ bytes: ByteLanes, _ shift: Int32, _ mask: Int8) -> ByteLanes {
    ByteLanes(low: shifted(bytes.low, left: shift, mask), high: shifted(bytes.high, left: shift, mask))
}

@inline(__always)
func union(_ a: ByteLanes, _ b: ByteLanes) -> ByteLanes { ByteLanes(low: a.low | b.low, high: a.high | b.high) }

@inline(__always)
func minus(_ bytes: ByteLanes, _ value: Int8) -> ByteLanes {
    let value = SIMD16<Int8>(repeating: value)
    return ByteLanes(low: bytes.low &- value, high: bytes.high &- value)
}

/// Nothing here needs them; x86's instructions do.
@inline(__always)
func magnitudes(_ bytes: ByteLanes) -> ByteLanes { bytes }

/// Products of 16 bytes, neighbours added: of two signed bytes at most 2 · 2^14, of which only -128 by -128 twice fits no
/// 16 bits, and weights of -128 meet no such activations but those that stand for no number.
@inline(__always)
private func pairSums(_ a: SIMD16<Int8>, _ b: SIMD16<Int8>) -> SIMD8<Int16> {
    let products = SIMD16<Int16>(truncatingIfNeeded: a) &* SIMD16<Int16>(truncatingIfNeeded: b)
    return products.evenHalf &+ products.oddHalf
}

@inline(__always)
private func widened(_ lanes: SIMD8<Int16>) -> IntLanes { IntLanes(truncatingIfNeeded: lanes) }

/// Sums of products of signed bytes.
@inline(__always)
func dotSigned(_ magnitudes: ByteLanes, _ weights: ByteLanes, _ activations: UnsafeRawPointer) -> IntLanes {
    let values = loadBytes(activations)
    return widened(pairSums(weights.low, values.low)) &+ widened(pairSums(weights.high, values.high))
}

/// Sums of products of unsigned weights below 128 and signed activations.
@inline(__always)
func dotUnsigned(_ weights: ByteLanes, _ activations: UnsafeRawPointer) -> IntLanes {
    dotSigned(weights, weights, activations)
}

/// As `dotUnsigned`, each product times the scale that stands in its place.
@inline(__always)
func dotScaled(_ weights: ByteLanes, _ activations: UnsafeRawPointer, _ scales: ShortLanes) -> IntLanes {
    let values = loadBytes(activations)
    let low = widened(pairSums(weights.low, values.low)) &* widened(scales.low)
    let high = widened(pairSums(weights.high, values.high)) &* widened(scales.high)
    return low &+ high
}

@inline(__always)
func dotShorts(_ a: ShortLanes, _ b: ShortLanes) -> IntLanes {
    widened(a.low) &* widened(b.low) &+ widened(a.high) &* widened(b.high)
}

@inline(__always)
func splatShorts(_ value: Int16) -> ShortLanes { ShortLanes(low: SIMD8(repeating: value), high: SIMD8(repeating: value)) }

/// The eight bytes of `bytes`, lowest first, each twice.
@inline(__always)
func doubledShorts(_ bytes: UInt64) -> ShortLanes {
    let wide = SIMD8<Int16>(truncatingIfNeeded: unsafeBitCast(bytes, to: SIMD8<UInt8>.self))
    let low = wide.lowHalf
    let high = wide.highHalf
    return ShortLanes(
        low: SIMD8(low[0], low[0], low[1], low[1], low[2], low[2], low[3], low[3]),
        high: SIMD8(high[0], high[0], high[1], high[1], high[2], high[2], high[3], high[3]))
}

/// 16 signed bytes.
@inline(__always)
func widenedShorts(_ pointer: UnsafeRawPointer) -> ShortLanes {
    let wide = SIMD16<Int16>(truncatingIfNeeded: load(pointer))
    return ShortLanes(low: wide.lowHalf, high: wide.highHalf)
}

/// Of 16 signed bytes byte `2 pair` in the first half's lanes and byte `2 pair + 1` in the second's.
@inline(__always)
func pairOfShorts(_ pointer: UnsafeRawPointer, _ pair: Int) -> ShortLanes {
    let first = pointer.loadUnaligned(fromByteOffset: 2 &* pair, as: Int8.self)
    let second = pointer.loadUnaligned(fromByteOffset: 2 &* pair &+ 1, as: Int8.self)
    return ShortLanes(low: SIMD8(repeating: Int16(first)), high: SIMD8(repeating: Int16(second)))
}

@inline(__always)
func zeroInts() -> IntLanes { IntLanes(repeating: 0) }

@inline(__always)
func plus(_ a: IntLanes, _ b: IntLanes) -> IntLanes { a &+ b }

/// a - 32 b.
@inline(__always)
func minus32(_ a: IntLanes, _ b: IntLanes) -> IntLanes { a &- (b &<< IntLanes(repeating: 5)) }

@inline(__always)
func floats(_ integers: IntLanes) -> FloatLanes { FloatLanes(integers) }

@inline(__always)
func zeroFloats() -> FloatLanes { FloatLanes(repeating: 0) }

@inline(__always)
func splat(_ value: Float) -> FloatLanes { FloatLanes(repeating: value) }

@inline(__always)
func times(_ a: FloatLanes, _ b: FloatLanes) -> FloatLanes { a * b }

@inline(__always)
func plus(_ a: FloatLanes, _ b: FloatLanes) -> FloatLanes { a + b }

/// a · b + c, rounded twice here.
@inline(__always)
func multiplyAdd(_ a: FloatLanes, _ b: FloatLanes, _ c: FloatLanes) -> FloatLanes { c + a * b }

/// c - a · b, rounded twice here.
@inline(__always)
func multiplySubtract(_ a: FloatLanes, _ b: FloatLanes, _ c: FloatLanes) -> FloatLanes { c - a * b }

@inline(__always)
func multiplyAdd(_ a: Float, _ b: Float, _ c: Float) -> Float { c + a * b }

/// The sum of the lanes, always in the same order.
@inline(__always)
func laneSum(_ lanes: FloatLanes) -> Float {
    let four = lanes.lowHalf + lanes.highHalf
    let two = four.lowHalf + four.highHalf
    return two[0] + two[1]
}

@inline(__always)
func loadFloats(_ pointer: UnsafeRawPointer) -> FloatLanes { pointer.loadUnaligned(as: FloatLanes.self) }

@inline(__always)
func loadHalfLanes(_ pointer: UnsafeRawPointer) -> FloatLanes {
    let bits = SIMD8<UInt32>(truncatingIfNeeded: pointer.loadUnaligned(as: SIMD8<UInt16>.self))
    let magnitude = (bits & SIMD8(repeating: 0x7fff)) &<< SIMD8(repeating: 13)
    let scaled = unsafeBitCast(magnitude, to: FloatLanes.self) * FloatLanes(repeating: 0x1p112)
    let finite = unsafeBitCast(scaled, to: SIMD8<UInt32>.self)
    let special = magnitude | SIMD8(repeating: 0x7f80_0000)
    let value = finite.replacing(with: special, where: magnitude .>= SIMD8(repeating: 0x0f80_0000))
    let sign = (bits & SIMD8(repeating: 0x8000)) &<< SIMD8(repeating: 16)
    return unsafeBitCast(value | sign, to: FloatLanes.self)
}

@inline(__always)
func loadBfloats(_ pointer: UnsafeRawPointer) -> FloatLanes {
    let bits = SIMD8<UInt32>(truncatingIfNeeded: pointer.loadUnaligned(as: SIMD8<UInt16>.self))
    return unsafeBitCast(bits &<< SIMD8(repeating: 16), to: FloatLanes.self)
}

@inline(__always)
func prefetch(_ pointer: UnsafeRawPointer) {}

// Packing.

/// The bit patterns of 32 magnitudes, reduced to the largest in each lane: a NaN's is larger than all others.
@inline(__always)
func largestPattern(_ values: UnsafeRawPointer) -> IntLanes {
    let mask = IntLanes(repeating: 0x7fff_ffff)
    var largest = values.loadUnaligned(as: IntLanes.self) & mask
    for part in 1..<4 {
        largest = largerPattern(largest, values.loadUnaligned(fromByteOffset: 32 &* part, as: IntLanes.self) & mask)
    }
    return largest
}

@inline(__always)
func largerPattern(_ a: IntLanes, _ b: IntLanes) -> IntLanes { a.replacing(with: b, where: b .> a) }

/// The value whose pattern is the largest of the lanes.
@inline(__always)
func largestValue(_ lanes: IntLanes) -> Float {
    var largest = lanes[0]
    for i in 1..<8 { largest = lanes[i] > largest ? lanes[i] : largest }
    return Float(bitPattern: UInt32(bitPattern: largest))
}

/// Stores 32 values times `factor`, rounded to the nearest byte, and gives the bytes.
@inline(__always)
func storeRounded(_ values: UnsafeRawPointer, _ factor: FloatLanes, _ target: UnsafeMutableRawPointer) -> ByteLanes {
    for part in 0..<4 {
        // Adding 1.5 · 2^23 leaves the nearest integer in the lowest bits: a conversion that cannot trap.
        let moved = loadFloats(values + 32 &* part) * factor + FloatLanes(repeating: 0x1.8p23)
        let bytes = SIMD8<Int8>(truncatingIfNeeded: unsafeBitCast(moved, to: IntLanes.self))
        target.storeBytes(of: bytes, toByteOffset: 8 &* part, as: SIMD8<Int8>.self)
    }
    return loadBytes(target)
}

/// Sums of signed bytes: of the first 16 and of the last 16.
@inline(__always)
func halfSums(_ bytes: ByteLanes) -> (Int32, Int32) {
    (
        Int32(SIMD16<Int16>(truncatingIfNeeded: bytes.low).wrappedSum()),
        Int32(SIMD16<Int16>(truncatingIfNeeded: bytes.high).wrappedSum())
    )
}
#endif
