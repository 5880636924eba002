internal import _Builtin_intrinsics.intel
import Builtin

// The vectors that products are written in, here of 256 bits. Baseline/ has the same names for 128 bits.

/// 32 bytes: the quantized values of a block or of a part of one.
typealias ByteLanes = __m256i
/// 16 16-bit integers; each half of them belongs to one half of some `ByteLanes`.
typealias ShortLanes = __m256i
/// The lanes in which a row's integer sums are taken.
typealias IntLanes = __m256i
/// The lanes in which a row's sums are taken: values 8 i + j in lane j.
typealias FloatLanes = __m256

let floatLaneCount = 8

@inline(__always)
func loadBytes(_ pointer: UnsafeRawPointer) -> ByteLanes { pointer.loadUnaligned(as: __m256i.self) }

@inline(__always)
func loadShorts(_ pointer: UnsafeRawPointer) -> ShortLanes { pointer.loadUnaligned(as: __m256i.self) }

/// The low nibbles of 16 bytes, then the high ones.
@inline(__always)
func nibblesOf16(_ pointer: UnsafeRawPointer) -> ByteLanes {
    let bytes = pointer.loadUnaligned(as: __m128i.self)
    let both = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes)
    return _mm256_and_si256(both, _mm256_set1_epi8(15))
}

@inline(__always)
func lowNibbles(_ bytes: ByteLanes) -> ByteLanes { _mm256_and_si256(bytes, _mm256_set1_epi8(15)) }

@inline(__always)
func highNibbles(_ bytes: ByteLanes) -> ByteLanes {
    _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15))
}

/// Bytes of 16 where `bits` has a one, bit i for byte i, else of 0.
@inline(__always)
func sixteens(_ bits: UInt32) -> ByteLanes {
    // Byte i takes the byte that holds bit i, then keeps that bit alone.
    let spread = _mm256_shuffle_epi8(
        _mm256_set1_epi32(Int32(bitPattern: bits)),
        _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303))
    let mask = _mm256_set1_epi64x(Int64(bitPattern: 0x8040_2010_0804_0201))
    let isSet = _mm256_cmpeq_epi8(_mm256_and_si256(spread, mask), mask)
    return _mm256_and_si256(isSet, _mm256_set1_epi8(16))
}

/// Of each byte the bits `mask` after a shift to the right by `shift`.
@inline(__always)
func field(_ bytes: ByteLanes, _ shift: Int32, _ mask: Int8) -> ByteLanes {
    _mm256_and_si256(_mm256_srli_epi16(bytes, shift), _mm256_set1_epi8(mask))
}

/// Of each byte the bits `mask` after a shift to the left by `shift`.
@inline(__always)
func fieldUp(_ bytes: ByteLanes, _ shift: Int32, _ mask: Int8) -> ByteLanes {
    _mm256_and_si256(_mm256_slli_epi16(bytes, shift), _mm256_set1_epi8(mask))
}

@inline(__always)
func union(_ a: ByteLanes, _ b: ByteLanes) -> ByteLanes { _mm256_or_si256(a, b) }

@inline(__always)
func minus(_ bytes: ByteLanes, _ value: Int8) -> ByteLanes { _mm256_sub_epi8(bytes, _mm256_set1_epi8(value)) }

@inline(__always)
func magnitudes(_ bytes: ByteLanes) -> ByteLanes { _mm256_abs_epi8(bytes) }

/// Sums of products of signed bytes. The instruction takes unsigned by signed, so a sign moves from the weight to
/// the activation; 128 · 127 twice still fits 16 bits.
@inline(__always)
func dotSigned(_ magnitudes: ByteLanes, _ weights: ByteLanes, _ activations: UnsafeRawPointer) -> IntLanes {
    let moved = _mm256_sign_epi8(loadBytes(activations), weights)
    return _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes, moved), _mm256_set1_epi16(1))
}

/// Sums of products of unsigned weights below 128 and signed activations.
@inline(__always)
func dotUnsigned(_ weights: ByteLanes, _ activations: UnsafeRawPointer) -> IntLanes {
    _mm256_madd_epi16(_mm256_maddubs_epi16(weights, loadBytes(activations)), _mm256_set1_epi16(1))
}

/// As `dotUnsigned`, each product times the scale that stands in its place.
@inline(__always)
func dotScaled(_ weights: ByteLanes, _ activations: UnsafeRawPointer, _ scales: ShortLanes) -> IntLanes {
    _mm256_madd_epi16(_mm256_maddubs_epi16(weights, loadBytes(activations)), scales)
}

@inline(__always)
func dotShorts(_ a: ShortLanes, _ b: ShortLanes) -> IntLanes { _mm256_madd_epi16(a, b) }

@inline(__always)
func splatShorts(_ value: Int16) -> ShortLanes { _mm256_set1_epi16(value) }

/// The eight bytes of `bytes`, lowest first, each twice.
@inline(__always)
func doubledShorts(_ bytes: UInt64) -> ShortLanes {
    let wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(Int64(bitPattern: bytes)))
    return _mm256_or_si256(wide, _mm256_slli_epi32(wide, 16))
}

/// 16 signed bytes.
@inline(__always)
func widenedShorts(_ pointer: UnsafeRawPointer) -> ShortLanes {
    _mm256_cvtepi8_epi16(pointer.loadUnaligned(as: __m128i.self))
}

/// Of 16 signed bytes byte `2 pair` in the first half's lanes and byte `2 pair + 1` in the second's.
@inline(__always)
func pairOfShorts(_ pointer: UnsafeRawPointer, _ pair: Int) -> ShortLanes {
    let first = Int64(pair) &* 0x0202_0202_0202_0202
    let pattern = _mm_set_epi64x(first &+ 0x0101_0101_0101_0101, first)
    return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(pointer.loadUnaligned(as: __m128i.self), pattern))
}

@inline(__always)
func zeroInts() -> IntLanes { _mm256_setzero_si256() }

@inline(__always)
func plus(_ a: IntLanes, _ b: IntLanes) -> IntLanes { _mm256_add_epi32(a, b) }

/// a - 32 b.
@inline(__always)
func minus32(_ a: IntLanes, _ b: IntLanes) -> IntLanes { _mm256_sub_epi32(a, _mm256_slli_epi32(b, 5)) }

@inline(__always)
func floats(_ integers: IntLanes) -> FloatLanes { _mm256_cvtepi32_ps(integers) }

@inline(__always)
func zeroFloats() -> FloatLanes { _mm256_setzero_ps() }

@inline(__always)
func splat(_ value: Float) -> FloatLanes { _mm256_set1_ps(value) }

@inline(__always)
func times(_ a: FloatLanes, _ b: FloatLanes) -> FloatLanes { _mm256_mul_ps(a, b) }

@inline(__always)
func plus(_ a: FloatLanes, _ b: FloatLanes) -> FloatLanes { _mm256_add_ps(a, b) }

/// a · b + c, rounded once here.
@inline(__always)
func multiplyAdd(_ a: FloatLanes, _ b: FloatLanes, _ c: FloatLanes) -> FloatLanes { _mm256_fmadd_ps(a, b, c) }

/// c - a · b, rounded once here.
@inline(__always)
func multiplySubtract(_ a: FloatLanes, _ b: FloatLanes, _ c: FloatLanes) -> FloatLanes { _mm256_fnmadd_ps(a, b, c) }

@inline(__always)
func multiplyAdd(_ a: Float, _ b: Float, _ c: Float) -> Float { c.addingProduct(a, b) }

/// The sum of the lanes, always in the same order.
@inline(__always)
func laneSum(_ lanes: FloatLanes) -> Float {
    let four = _mm_add_ps(lanes.lowHalf, lanes.highHalf)
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four))
    return two[0] + two[1]
}

@inline(__always)
func loadFloats(_ pointer: UnsafeRawPointer) -> FloatLanes { pointer.loadUnaligned(as: __m256.self) }

@inline(__always)
func loadHalfLanes(_ pointer: UnsafeRawPointer) -> FloatLanes { _mm256_cvtph_ps(pointer.loadUnaligned(as: __m128i.self)) }

@inline(__always)
func loadBfloats(_ pointer: UnsafeRawPointer) -> FloatLanes {
    let wide = _mm256_cvtepu16_epi32(pointer.loadUnaligned(as: __m128i.self))
    return unsafeBitCast(_mm256_slli_epi32(wide, 16), to: __m256.self)
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
    let mask = _mm256_set1_epi32(0x7fff_ffff)
    let a = _mm256_and_si256(loadBytes(values), mask)
    let b = _mm256_and_si256(loadBytes(values + 32), mask)
    let c = _mm256_and_si256(loadBytes(values + 64), mask)
    let d = _mm256_and_si256(loadBytes(values + 96), mask)
    return _mm256_max_epi32(_mm256_max_epi32(a, b), _mm256_max_epi32(c, d))
}

@inline(__always)
func largerPattern(_ a: IntLanes, _ b: IntLanes) -> IntLanes { _mm256_max_epi32(a, b) }

/// The value whose pattern is the largest of the lanes.
@inline(__always)
func largestValue(_ lanes: IntLanes) -> Float {
    let four = _mm_max_epi32(lanes.lowHalf, lanes.highHalf)
    let two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four))
    let one = _mm_max_epi32(two, _mm_srli_epi64(two, 32))
    return Float(bitPattern: UInt32(bitPattern: _mm_cvtsi128_si32(one)))
}

/// Stores 32 values times `factor`, rounded to the nearest byte (-128 for what fits none), and gives the bytes.
@inline(__always)
func storeRounded(_ values: UnsafeRawPointer, _ factor: FloatLanes, _ target: UnsafeMutableRawPointer) -> ByteLanes {
    let a = _mm256_cvtps_epi32(_mm256_mul_ps(loadFloats(values), factor))
    let b = _mm256_cvtps_epi32(_mm256_mul_ps(loadFloats(values + 32), factor))
    let c = _mm256_cvtps_epi32(_mm256_mul_ps(loadFloats(values + 64), factor))
    let d = _mm256_cvtps_epi32(_mm256_mul_ps(loadFloats(values + 96), factor))
    let packed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d))
    // Packing works on the two halves apart and leaves groups of four bytes in the order 0 2 4 6 1 3 5 7.
    let bytes = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
    target.storeBytes(of: bytes, as: __m256i.self)
    return bytes
}

/// Sums of signed bytes: of the first 16 and of the last 16.
@inline(__always)
func halfSums(_ bytes: ByteLanes) -> (Int32, Int32) {
    let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes)
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
    return (sumOf4(fours.lowHalf), sumOf4(fours.highHalf))
}

@inline(__always)
private func sumOf4(_ lanes: __m128i) -> Int32 {
    let two = _mm_add_epi32(lanes, _mm_unpackhi_epi64(lanes, lanes))
    let one = _mm_add_epi32(two, _mm_srli_epi64(two, 32))
    return _mm_cvtsi128_si32(one)
}
