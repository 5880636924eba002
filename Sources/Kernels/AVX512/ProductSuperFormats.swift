internal import _Builtin_intrinsics.intel

/// A type whose blocks hold 256 weights in groups with integer scales of their own, as the products see it: unsigned
/// bytes `u` with either a minimum per group of 32, `w = d·scale·u − dmin·minimum`, or a zero point of 32 and groups
/// of 16, `w = d·scale·(u − 32)`.
///
/// Block layouts: ggml's `block_q4_K`, `block_q5_K` (minima) and `block_q6_K` (zero point).
protocol SuperFormat: SendableMetatype {
    static var byteCount: Int { get }
    static var hasMinimum: Bool { get }
    /// Bytes `u` of the weights 64·j ..< 64·j + 64.
    static func bytes(_ block: UnsafeRawPointer, _ j: Int) -> __m512i
}

/// The twelve bytes of six-bit scales and minima, as eight bytes each.
@inline(__always)
func sixBitScales(_ p: UnsafeRawPointer) -> (scales: UInt64, minima: UInt64) {
    let a = p.loadUnaligned(as: UInt32.self)
    let b = p.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    let c = p.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    let scaleHigh = (c & 0x0f0f_0f0f) | ((a &>> 2) & 0x3030_3030)
    let minimumHigh = ((c &>> 4) & 0x0f0f_0f0f) | ((b &>> 2) & 0x3030_3030)
    let scales = UInt64(a & 0x3f3f_3f3f) | (UInt64(scaleHigh) &<< 32)
    let minima = UInt64(b & 0x3f3f_3f3f) | (UInt64(minimumHigh) &<< 32)
    return (scales, minima)
}

/// 32 bytes of nibbles: the low ones are 32 weights, the high ones the next 32.
@inline(__always)
func nibbles(_ p: UnsafeRawPointer) -> __m512i {
    let shifted = _mm512_srlv_epi64(_mm512_broadcast_i64x4(load256(p)), quads(0, 0, 0, 0, 4, 4, 4, 4))
    return _mm512_and_si512(shifted, _mm512_set1_epi8(15))
}

/// Both halves shifted right by their own count; a negative one shifts left.
@inline(__always)
func shiftHalves(_ v: __m512i, _ low: Int64, _ high: Int64) -> __m512i {
    let right = quads(
        low > 0 ? low : 0, low > 0 ? low : 0, low > 0 ? low : 0, low > 0 ? low : 0,
        high > 0 ? high : 0, high > 0 ? high : 0, high > 0 ? high : 0, high > 0 ? high : 0)
    let left = quads(
        low < 0 ? 0 &- low : 0, low < 0 ? 0 &- low : 0, low < 0 ? 0 &- low : 0, low < 0 ? 0 &- low : 0,
        high < 0 ? 0 &- high : 0, high < 0 ? 0 &- high : 0, high < 0 ? 0 &- high : 0, high < 0 ? 0 &- high : 0)
    if low >= 0 && high >= 0 { return _mm512_srlv_epi64(v, right) }
    if low <= 0 && high <= 0 { return _mm512_sllv_epi64(v, left) }
    return _mm512_sllv_epi64(_mm512_srlv_epi64(v, right), left)
}

enum Q4Super: SuperFormat {
    @inline(__always) static var byteCount: Int { 144 }
    @inline(__always) static var hasMinimum: Bool { true }

    @inline(__always)
    static func bytes(_ block: UnsafeRawPointer, _ j: Int) -> __m512i { nibbles(block + (16 &+ 32 &* j)) }
}

enum Q5Super: SuperFormat {
    @inline(__always) static var byteCount: Int { 176 }
    @inline(__always) static var hasMinimum: Bool { true }

    @inline(__always)
    static func bytes(_ block: UnsafeRawPointer, _ j: Int) -> __m512i {
        // Bit g of byte i is the fifth bit of weight i of group g.
        let high = _mm512_broadcast_i64x4(load256(block + 16))
        let fifth = shiftHalves(high, Int64(2 &* j &- 4), Int64(2 &* j &- 3))
        return _mm512_or_si512(nibbles(block + (48 &+ 32 &* j)), _mm512_and_si512(fifth, _mm512_set1_epi8(16)))
    }
}

enum Q6Super: SuperFormat {
    @inline(__always) static var byteCount: Int { 210 }
    @inline(__always) static var hasMinimum: Bool { false }

    @inline(__always)
    static func bytes(_ block: UnsafeRawPointer, _ j: Int) -> __m512i {
        // Halves of 128 weights: 64 bytes whose low nibbles are the first 64 and high nibbles the next, and 32 bytes
        // with two more bits for each of four times 32.
        let low = load512(block + 64 &* (j / 2))
        let four = _mm512_and_si512(j % 2 == 0 ? low : _mm512_srli_epi64(low, 4), _mm512_set1_epi8(15))
        let high = _mm512_broadcast_i64x4(load256(block + (128 &+ 32 &* (j / 2))))
        let two = j % 2 == 0 ? shiftHalves(high, -4, -2) : shiftHalves(high, 0, 2)
        return _mm512_or_si512(four, _mm512_and_si512(two, _mm512_set1_epi8(48)))
    }
}
