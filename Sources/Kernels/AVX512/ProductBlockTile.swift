internal import _Builtin_intrinsics.intel

/// The inner product of a panel of 32 rows with a panel of six columns, `blocks` blocks of 32 deep.
///
/// - weights: [block][8 steps][32 rows][4] unsigned bytes.
/// - scales: [block][32] F32; minima the same, read only if `hasMinimum`.
/// - columns: packed panel, see `ProductBlockPack`.
/// - sums: [6 columns][32 rows] F32, taken up from the blocks before unless `first`.
@inline(__always)
func blockTile(
    _ hasMinimum: Bool, _ weights: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ minima: UnsafeRawPointer,
    _ columns: UnsafeRawPointer, _ blocks: Int, _ sums: UnsafeMutableRawPointer, _ first: Bool
) {
    var w = weights, d = scales, m = minima, a = columns
    var s00 = first ? _mm512_setzero_ps() : loadFloats(sums + 0)
    var s01 = first ? _mm512_setzero_ps() : loadFloats(sums + 64)
    var s10 = first ? _mm512_setzero_ps() : loadFloats(sums + 128)
    var s11 = first ? _mm512_setzero_ps() : loadFloats(sums + 192)
    var s20 = first ? _mm512_setzero_ps() : loadFloats(sums + 256)
    var s21 = first ? _mm512_setzero_ps() : loadFloats(sums + 320)
    var s30 = first ? _mm512_setzero_ps() : loadFloats(sums + 384)
    var s31 = first ? _mm512_setzero_ps() : loadFloats(sums + 448)
    var s40 = first ? _mm512_setzero_ps() : loadFloats(sums + 512)
    var s41 = first ? _mm512_setzero_ps() : loadFloats(sums + 576)
    var s50 = first ? _mm512_setzero_ps() : loadFloats(sums + 640)
    var s51 = first ? _mm512_setzero_ps() : loadFloats(sums + 704)
    for _ in 0..<blocks {
        var a00 = hasMinimum ? _mm512_setzero_si512() : broadcast32(a + 192), a01 = a00
        var a10 = hasMinimum ? _mm512_setzero_si512() : broadcast32(a + 196), a11 = a10
        var a20 = hasMinimum ? _mm512_setzero_si512() : broadcast32(a + 200), a21 = a20
        var a30 = hasMinimum ? _mm512_setzero_si512() : broadcast32(a + 204), a31 = a30
        var a40 = hasMinimum ? _mm512_setzero_si512() : broadcast32(a + 208), a41 = a40
        var a50 = hasMinimum ? _mm512_setzero_si512() : broadcast32(a + 212), a51 = a50
        var q = a
        for _ in 0..<8 {
            let w0 = load512(w), w1 = load512(w + 64)
            let b0 = broadcast32(q + 0)
            a00 = _mm512_dpbusd_epi32(a00, w0, b0)
            a01 = _mm512_dpbusd_epi32(a01, w1, b0)
            let b1 = broadcast32(q + 4)
            a10 = _mm512_dpbusd_epi32(a10, w0, b1)
            a11 = _mm512_dpbusd_epi32(a11, w1, b1)
            let b2 = broadcast32(q + 8)
            a20 = _mm512_dpbusd_epi32(a20, w0, b2)
            a21 = _mm512_dpbusd_epi32(a21, w1, b2)
            let b3 = broadcast32(q + 12)
            a30 = _mm512_dpbusd_epi32(a30, w0, b3)
            a31 = _mm512_dpbusd_epi32(a31, w1, b3)
            let b4 = broadcast32(q + 16)
            a40 = _mm512_dpbusd_epi32(a40, w0, b4)
            a41 = _mm512_dpbusd_epi32(a41, w1, b4)
            let b5 = broadcast32(q + 20)
            a50 = _mm512_dpbusd_epi32(a50, w0, b5)
            a51 = _mm512_dpbusd_epi32(a51, w1, b5)
            w += 128
            q += 24
        }
        let d0 = loadFloats(d), d1 = loadFloats(d + 64)
        // Without minima, what takes the start of the integer sums out again; see `magicBits`.
        let less = _mm512_set1_ps(0 - magicFloat)
        let m0 = hasMinimum ? loadFloats(m) : _mm512_mul_ps(d0, less)
        let m1 = hasMinimum ? loadFloats(m + 64) : _mm512_mul_ps(d1, less)
        @inline(__always) func add(_ j: Int, _ dots: __m512i, _ d: __m512, _ minimum: __m512, _ sum: __m512) -> __m512 {
            let scale = broadcastFloat(a + (216 &+ 4 &* j))
            if hasMinimum {
                let least = _mm512_mul_ps(minimum, broadcastFloat(a + (192 &+ 4 &* j)))
                return _mm512_fmadd_ps(_mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), d, least), scale, sum)
            }
            return _mm512_fmadd_ps(_mm512_fmadd_ps(unsafeBitCast(dots, to: __m512.self), d, minimum), scale, sum)
        }
        s00 = add(0, a00, d0, m0, s00)
        s01 = add(0, a01, d1, m1, s01)
        s10 = add(1, a10, d0, m0, s10)
        s11 = add(1, a11, d1, m1, s11)
        s20 = add(2, a20, d0, m0, s20)
        s21 = add(2, a21, d1, m1, s21)
        s30 = add(3, a30, d0, m0, s30)
        s31 = add(3, a31, d1, m1, s31)
        s40 = add(4, a40, d0, m0, s40)
        s41 = add(4, a41, d1, m1, s41)
        s50 = add(5, a50, d0, m0, s50)
        s51 = add(5, a51, d1, m1, s51)
        d += 128
        m += 128
        a += blockPanelBytes
    }
    store(s00, sums + 0)
    store(s01, sums + 64)
    store(s10, sums + 128)
    store(s11, sums + 192)
    store(s20, sums + 256)
    store(s21, sums + 320)
    store(s30, sums + 384)
    store(s31, sums + 448)
    store(s40, sums + 512)
    store(s41, sums + 576)
    store(s50, sums + 640)
    store(s51, sums + 704)
}

// Two functions rather than one that asks in its innermost loop.

@inline(never)
func blockTilePlain(
    _ weights: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ columns: UnsafeRawPointer, _ blocks: Int,
    _ sums: UnsafeMutableRawPointer, _ first: Bool
) {
    blockTile(false, weights, scales, scales, columns, blocks, sums, first)
}

@inline(never)
func blockTileMinimum(
    _ weights: UnsafeRawPointer, _ scales: UnsafeRawPointer, _ minima: UnsafeRawPointer, _ columns: UnsafeRawPointer,
    _ blocks: Int, _ sums: UnsafeMutableRawPointer, _ first: Bool
) {
    blockTile(true, weights, scales, minima, columns, blocks, sums, first)
}
