#if arch(x86_64) && !KERNELS_PORTABLE
internal import _Builtin_intrinsics.intel
import Builtin

// The vectors that products are written in, here of 128 bits, SSE4.1 at most; see AVX2/ for those of 256.

/// 32 bytes: the quantized values of a block or of a part of one.
struct ByteLanes {
    var low: __m128i
    var high: __m128i
}
/// 16 16-bit integers; each half of them belongs to one half of some `ByteLanes`.
typealias ShortLanes = ByteLanes
/// The lanes in which a row's integer sums are taken.
typealias IntLanes = __m128i
/// The lanes in which a row's sums are taken.
typealias FloatLanes = __m128

let floatLaneCount = 4

@inline(__always)
private func load(_ pointer: UnsafeRawPointer) -> __m128i { pointer.loadUnaligned(as: __m128i.self) }

@inline(__always)
func loadBytes(_ pointer: UnsafeRawPointer) -> ByteLanes { ByteLanes(low: load(pointer), high: load(pointer + 16)) }

@inline(__always)
func loadShorts(_ pointer: UnsafeRawPointer) -> ShortLanes { loadBytes(pointer) }

/// The low nibbles of 16 bytes, then the high ones.
@inline(__always)
func nibblesOf16(_ pointer: UnsafeRawPointer) -> ByteLanes {
    let bytes = load(pointer)
    let mask = _mm_set1_epi8(15)
    return ByteLanes(low: _mm_and_si128(bytes, mask), high: _mm_and_si128(_mm_srli_epi16(bytes, 4), mask))
}

@inline(__always)
func lowNibbles(_ bytes: ByteLanes) -> ByteLanes { field(bytes, 0, 15) }

@inline(__always)
func highNibbles(_ bytes: ByteLanes) -> ByteLanes { field(bytes, 4, 15) }

/// Bytes of 16 where `bits` has a one, bit i for byte i, else of 0.
@inline(__always)
func sixteens(_ bits: UInt32) -> ByteLanes {
    // Byte i takes the byte that holds bit i, then keeps that bit alone.
    let all = _mm_set1_epi32(Int32(bitPattern: bits))
    let mask = _mm_set1_epi64x(Int64(bitPattern: 0x8040_2010_0804_0201))
    let low = _mm_shuffle_epi8(all, _mm_set_epi64x(0x0101_0101_0101_0101, 0))
    let high = _mm_shuffle_epi8(all, _mm_set_epi64x(0x0303_0303_0303_0303, 0x0202_0202_0202_0202))
    let sixteen = _mm_set1_epi8(16)
    return ByteLanes(
        low: _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(low, mask), mask), sixteen),
        high: _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(high, mask), mask), sixteen))
}

/// Of each byte the bits `mask` after a shift to the right by `shift`.
@inline(__always)
func field(_ bytes: ByteLanes, _ shift: Int32, _ mask: Int8) -> ByteLanes {
    let mask = _mm_set1_epi8(mask)
    return ByteLanes(
        low: _mm_and_si128(_mm_srli_epi16(bytes.low, shift), mask),
        high: _mm_and_si128(_mm_srli_epi16(bytes.high, shift), mask))
}

/// Of each byte the bits `mask` after a shift to the left by `shift`.
@inline(__always)
func fieldUp(_ bytes: ByteLanes, _ shift: Int32, _ mask: Int8) -> ByteLanes {
    let mask = _mm_set1_epi8(mask)
    return ByteLanes(
        low: _mm_and_si128(_mm_slli_epi16(bytes.low, shift), mask),
        high: _mm_and_si128(_mm_slli_epi16(bytes.high, shift), mask))
}

@inline(__always)
func union(_ a: ByteLanes, _ b: ByteLanes) -> ByteLanes {
    ByteLanes(low: _mm_or_si128(a.low, b.low), high: _mm_or_si128(a.high, b.high))
}

@inline(__always)
func minus(_ bytes: ByteLanes, _ value: Int8) -> ByteLanes {
    let value = _mm_set1_epi8(value)
    return ByteLanes(low: _mm_sub_epi8(bytes.low, value), high: _mm_sub_epi8(bytes.high, value))
}

@inline(__always)
func magnitudes(_ bytes: ByteLanes) -> ByteLanes {
    ByteLanes(low: _mm_abs_epi8(bytes.low), high: _mm_abs_epi8(bytes.high))
}

/// Sums of products of signed bytes. The instruction takes unsigned by signed, so a sign moves from the weight to
/// the activation; 128 · 127 twice still fits 16 bits.
@inline(__always)
func dotSigned(_ magnitudes: ByteLanes, _ weights: ByteLanes, _ activations: UnsafeRawPointer) -> IntLanes {
    let values = loadBytes(activations)
    let low = _mm_maddubs_epi16(magnitudes.low, _mm_sign_epi8(values.low, weights.low))
    let high = _mm_maddubs_epi16(magnitudes.high, _mm_sign_epi8(values.high, weights.high))
    let ones = _mm_set1_epi16(1)
    return _mm_add_epi32(_mm_madd_epi16(low, ones), _mm_madd_epi16(high, ones))
}

/// Sums of products of unsigned weights below 128 and signed activations.
@inline(__always)
func dotUnsigned(_ weights: ByteLanes, _ activations: UnsafeRawPointer) -> IntLanes {
    let one = _mm_set1_epi16(1)
    return dotScaled(weights, activations, ShortLanes(low: one, high: one))
}

/// As `dotUnsigned`, each product times the scale that stands in its place.
@inline(__always)
func dotScaled(_ weights: ByteLanes, _ activations: UnsafeRawPointer, _ scales: ShortLanes) -> IntLanes {
    let values = loadBytes(activations)
    let low = _mm_madd_epi16(_mm_maddubs_epi16(weights.low, values.low), scales.low)
    let high = _mm_madd_epi16(_mm_maddubs_epi16(weights.high, values.high), scales.high)
    return _mm_add_epi32(low, high)
}

@inline(__always)
func dotShorts(_ a: ShortLanes, _ b: ShortLanes) -> IntLanes {
    _mm_add_epi32(_mm_madd_epi16(a.low, b.low), _mm_madd_epi16(a.high, b.high))
}

@inline(__always)
func splatShorts(_ value: Int16) -> ShortLanes {
    let lanes = _mm_set1_epi16(value)
    return ShortLanes(low: lanes, high: lanes)
}

/// The eight bytes of `bytes`, lowest first, each twice.
@inline(__always)
func doubledShorts(_ bytes: UInt64) -> ShortLanes {
    let wide = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(Int64(bitPattern: bytes)))
    return ShortLanes(low: _mm_unpacklo_epi16(wide, wide), high: _mm_unpackhi_epi16(wide, wide))
}

/// 16 signed bytes.
@inline(__always)
func widenedShorts(_ pointer: UnsafeRawPointer) -> ShortLanes { widened(load(pointer)) }

@inline(__always)
private func widened(_ bytes: __m128i) -> ShortLanes {
    ShortLanes(low: _mm_cvtepi8_epi16(bytes), high: _mm_cvtepi8_epi16(_mm_unpackhi_epi64(bytes, bytes)))
}

/// Of 16 signed bytes byte `2 pair` in the first half's lanes and byte `2 pair + 1` in the second's.
@inline(__always)
func pairOfShorts(_ pointer: UnsafeRawPointer, _ pair: Int) -> ShortLanes {
    let first = Int64(pair) &* 0x0202_0202_0202_0202
    return widened(_mm_shuffle_epi8(load(pointer), _mm_set_epi64x(first &+ 0x0101_0101_0101_0101, first)))
}

@inline(__always)
func zeroInts() -> IntLanes { _mm_setzero_si128() }

@inline(__always)
func plus(_ a: IntLanes, _ b: IntLanes) -> IntLanes { _mm_add_epi32(a, b) }

/// a - 32 b.
@inline(__always)
func minus32(_ a: IntLanes, _ b: IntLanes) -> IntLanes { _mm_sub_epi32(a, _mm_slli_epi32(b, 5)) }

@inline(__always)
func floats(_ integers: IntLanes) -> FloatLanes { _mm_cvtepi32_ps(integers) }

@inline(__always)
func zeroFloats() -> FloatLanes { _mm_setzero_ps() }

@inline(__always)
func splat(_ value: Float) -> FloatLanes { _mm_set1_ps(value) }

@inline(__always)
func times(_ a: FloatLanes, _ b: FloatLanes) -> FloatLanes { _mm_mul_ps(a, b) }

@inline(__always)
func plus(_ a: FloatLanes, _ b: FloatLanes) -> FloatLanes { _mm_add_ps(a, b) }

/// a · b + c, rounded twice here.
@inline(__always)
func multiplyAdd(_ a: FloatLanes, _ b: FloatLanes, _ c: FloatLanes) -> FloatLanes { _mm_add_ps(c, _mm_mul_ps(a, b)) }

/// c - a · b, rounded twice here.
@inline(__always)
func multiplySubtract(_ a: FloatLanes, _ b: FloatLanes, _ c: FloatLanes) -> FloatLanes {
    _mm_sub_ps(c, _mm_mul_ps(a, b))
}

@inline(__always)
func multiplyAdd(_ a: Float, _ b: Float, _ c: Float) -> Float { c + a * b }

/// The sum of the lanes, always in the same order.
@inline(__always)
func laneSum(_ lanes: FloatLanes) -> Float {
    let two = _mm_add_ps(lanes, _mm_movehl_ps(lanes, lanes))
    return two[0] + two[1]
}

@inline(__always)
func loadFloats(_ pointer: UnsafeRawPointer) -> FloatLanes { pointer.loadUnaligned(as: __m128.self) }

/// Four halves; see `floatFromHalf`.
@inline(__always)
func loadHalfLanes(_ pointer: UnsafeRawPointer) -> FloatLanes {
    let bits = _mm_cvtepu16_epi32(_mm_cvtsi64_si128(pointer.loadUnaligned(as: Int64.self)))
    let magnitude = _mm_slli_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x7fff)), 13)
    let finite = _mm_mul_ps(unsafeBitCast(magnitude, to: __m128.self), _mm_set1_ps(0x1p112))
    let special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x0f7f_ffff))
    let exponent = _mm_and_si128(special, _mm_set1_epi32(0x7f80_0000))
    let value = _mm_or_si128(unsafeBitCast(finite, to: __m128i.self), exponent)
    let sign = _mm_slli_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x8000)), 16)
    return unsafeBitCast(_mm_or_si128(value, sign), to: __m128.self)
}

@inline(__always)
func loadBfloats(_ pointer: UnsafeRawPointer) -> FloatLanes {
    let wide = _mm_cvtepu16_epi32(_mm_cvtsi64_si128(pointer.loadUnaligned(as: Int64.self)))
    return unsafeBitCast(_mm_slli_epi32(wide, 16), to: __m128.self)
}

/// Asks for the cache line at `pointer`, which need not exist.
@inline(__always)
func prefetch(_ pointer: UnsafeRawPointer) {
    Builtin.int_prefetch_RawPointer(pointer._rawValue, Int32(0)._value, Int32(3)._value, Int32(1)._value)
}

// Packing.

/// The bit patterns of 32 magnitudes, reduced to the largest in each lane: a NaN's is larger than all others.
@inline(__always)
func largestPattern(_ values: UnsafeRawPointer) -> IntLanes {
    let mask = _mm_set1_epi32(0x7fff_ffff)
    var largest = _mm_and_si128(load(values), mask)
    for part in 1..<8 { largest = _mm_max_epi32(largest, _mm_and_si128(load(values + 16 &* part), mask)) }
    return largest
}

@inline(__always)
func largerPattern(_ a: IntLanes, _ b: IntLanes) -> IntLanes { _mm_max_epi32(a, b) }

/// The value whose pattern is the largest of the lanes.
@inline(__always)
func largestValue(_ lanes: IntLanes) -> Float {
    let two = _mm_max_epi32(lanes, _mm_unpackhi_epi64(lanes, lanes))
    let one = _mm_max_epi32(two, _mm_srli_epi64(two, 32))
    return Float(bitPattern: UInt32(bitPattern: _mm_cvtsi128_si32(one)))
}

/// Stores 32 values times `factor`, rounded to the nearest byte (-128 for what fits none), and gives the bytes.
@inline(__always)
func storeRounded(_ values: UnsafeRawPointer, _ factor: FloatLanes, _ target: UnsafeMutableRawPointer) -> ByteLanes {
    let bytes = ByteLanes(low: rounded16(values, factor), high: rounded16(values + 64, factor))
    target.storeBytes(of: bytes.low, as: __m128i.self)
    target.storeBytes(of: bytes.high, toByteOffset: 16, as: __m128i.self)
    return bytes
}

@inline(__always)
private func rounded16(_ values: UnsafeRawPointer, _ factor: FloatLanes) -> __m128i {
    let a = _mm_cvtps_epi32(_mm_mul_ps(loadFloats(values), factor))
    let b = _mm_cvtps_epi32(_mm_mul_ps(loadFloats(values + 16), factor))
    let c = _mm_cvtps_epi32(_mm_mul_ps(loadFloats(values + 32), factor))
    let d = _mm_cvtps_epi32(_mm_mul_ps(loadFloats(values + 48), factor))
    return _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d))
}

/// Sums of signed bytes: of the first 16 and of the last 16.
@inline(__always)
func halfSums(_ bytes: ByteLanes) -> (Int32, Int32) { (sumOf16(bytes.low), sumOf16(bytes.high)) }

@inline(__always)
private func sumOf16(_ bytes: __m128i) -> Int32 {
    let four = _mm_madd_epi16(_mm_maddubs_epi16(_mm_set1_epi8(1), bytes), _mm_set1_epi16(1))
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four))
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_srli_epi64(two, 32)))
}
#endif
