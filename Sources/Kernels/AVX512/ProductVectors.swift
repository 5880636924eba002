import Builtin
internal import _Builtin_intrinsics.intel

// Loads, stores and the transposing sums that the products of this variant share.
// Everything here is inlined: vectors handed to a function that is called would travel through memory.

@inline(__always)
func load512(_ p: UnsafeRawPointer) -> __m512i { p.loadUnaligned(as: __m512i.self) }

@inline(__always)
func load256(_ p: UnsafeRawPointer) -> __m256i { p.loadUnaligned(as: __m256i.self) }

@inline(__always)
func load128(_ p: UnsafeRawPointer) -> __m128i { p.loadUnaligned(as: __m128i.self) }

@inline(__always)
func loadFloats(_ p: UnsafeRawPointer) -> __m512 { p.loadUnaligned(as: __m512.self) }

@inline(__always)
func store(_ v: __m512i, _ p: UnsafeMutableRawPointer) { p.storeBytes(of: v, as: __m512i.self) }

@inline(__always)
func store(_ v: __m512, _ p: UnsafeMutableRawPointer) { p.storeBytes(of: v, as: __m512.self) }

@inline(__always)
func broadcast32(_ p: UnsafeRawPointer) -> __m512i { _mm512_set1_epi32(p.loadUnaligned(as: Int32.self)) }

@inline(__always)
func broadcastFloat(_ p: UnsafeRawPointer) -> __m512 { _mm512_set1_ps(p.loadUnaligned(as: Float.self)) }

/// Asks for a cache line that will be read soon. Any address is allowed, also one beyond the end of the weights.
@inline(__always)
func prefetch(_ p: UnsafeRawPointer) {
    Builtin.int_prefetch_RawPointer(p._rawValue, Int32(0)._value, Int32(3)._value, Int32(1)._value)
}

@inline(__always)
func halfToFloat(_ bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }

@inline(__always)
func quads(
    _ a: Int64, _ b: Int64, _ c: Int64, _ d: Int64, _ e: Int64, _ f: Int64, _ g: Int64, _ h: Int64
) -> __m512i {
    __m512i(a, b, c, d, e, f, g, h)
}

// The steps of a transposing sum: each takes two vectors and leaves half as many partial sums of each, side by side,
// so that sixteen vectors end as one vector of their sixteen sums.

/// In each 128-bit lane: a0+a2, b0+b2, a1+a3, b1+b3.
@inline(__always)
func sumPairs(_ a: __m512i, _ b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b))
}

/// In each 128-bit lane the lane sums of four vectors, from two results of ``sumPairs``.
@inline(__always)
func sumQuads(_ a: __m512i, _ b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}

/// 128-bit lanes a0+a2, a1+a3, b0+b2, b1+b3.
@inline(__always)
func sumLanesApart(_ a: __m512i, _ b: __m512i) -> __m512i {
    _mm512_add_epi32(
        _mm512_permutex2var_epi64(a, quads(0, 1, 2, 3, 8, 9, 10, 11), b),
        _mm512_permutex2var_epi64(a, quads(4, 5, 6, 7, 12, 13, 14, 15), b))
}

/// 128-bit lanes a0+a1, a2+a3, b0+b1, b2+b3.
@inline(__always)
func sumLanesBeside(_ a: __m512i, _ b: __m512i) -> __m512i {
    _mm512_add_epi32(
        _mm512_permutex2var_epi64(a, quads(0, 1, 4, 5, 8, 9, 12, 13), b),
        _mm512_permutex2var_epi64(a, quads(2, 3, 6, 7, 10, 11, 14, 15), b))
}

/// 128-bit lanes a0+a1, b0+b1, a2+a3, b2+b3.
@inline(__always)
func sumLanesWoven(_ a: __m512i, _ b: __m512i) -> __m512i {
    _mm512_add_epi32(
        _mm512_permutex2var_epi64(a, quads(0, 1, 8, 9, 4, 5, 12, 13), b),
        _mm512_permutex2var_epi64(a, quads(2, 3, 10, 11, 6, 7, 14, 15), b))
}

/// The largest magnitude as the bits of a non-negative float. As integers, NaN is larger than everything, so it is not lost.
@inline(__always)
func magnitudeBits(_ v: __m512) -> __m512i {
    _mm512_and_si512(unsafeBitCast(v, to: __m512i.self), _mm512_set1_epi32(0x7fff_ffff))
}

/// Rows that do not fill a tile are computed from a copy padded with zeros, so that no load leaves the weights:
/// a mapped file may end with the last row.
func copyRows(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ rowBytes: Int, _ count: Int, _ padded: Int,
    _ target: UnsafeMutableRawPointer
) {
    for r in 0..<count {
        (target + r &* rowBytes).copyMemory(from: weights + r &* rowStride, byteCount: rowBytes)
    }
    var rest = target + count &* rowBytes
    let end = target + padded &* rowBytes
    while rest < end {
        rest.storeBytes(of: 0, as: UInt8.self)
        rest += 1
    }
}

@inline(__always)
func roundUp64(_ bytes: Int) -> Int { (bytes &+ 63) & ~63 }
