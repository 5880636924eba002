internal import _Builtin_intrinsics.intel

/// The inner product of a panel of 32 rows with a panel of six columns, one block of 256 deep.
///
/// - panel: as `unpackSupers` lays it out.
/// - columns: packed panel, see `ProductSuperPack`.
/// - sums: [6 columns][32 rows] F32, taken up from the blocks before unless `first`.
@inline(__always)
func superTile(
    _ hasMinimum: Bool, _ panel: UnsafeRawPointer, _ columns: UnsafeRawPointer, _ sums: UnsafeMutableRawPointer, _ first: Bool
) {
    var w = panel, scales = panel + superScalesOffset, q = columns
    let zero = _mm512_setzero_si512()
    var s00 = zero, s01 = zero
    var s10 = zero, s11 = zero
    var s20 = zero, s21 = zero
    var s30 = zero, s31 = zero
    var s40 = zero, s41 = zero
    var s50 = zero, s51 = zero
    for _ in 0..<(hasMinimum ? 8 : 16) {
        var a00 = zero, a01 = zero
        var a10 = zero, a11 = zero
        var a20 = zero, a21 = zero
        var a30 = zero, a31 = zero
        var a40 = zero, a41 = zero
        var a50 = zero, a51 = zero
        for _ in 0..<(hasMinimum ? 8 : 4) {
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
        let c0 = load512(scales), c1 = load512(scales + 64)
        scales += 128
        s00 = _mm512_add_epi32(s00, _mm512_mullo_epi32(a00, c0))
        s01 = _mm512_add_epi32(s01, _mm512_mullo_epi32(a01, c1))
        s10 = _mm512_add_epi32(s10, _mm512_mullo_epi32(a10, c0))
        s11 = _mm512_add_epi32(s11, _mm512_mullo_epi32(a11, c1))
        s20 = _mm512_add_epi32(s20, _mm512_mullo_epi32(a20, c0))
        s21 = _mm512_add_epi32(s21, _mm512_mullo_epi32(a21, c1))
        s30 = _mm512_add_epi32(s30, _mm512_mullo_epi32(a30, c0))
        s31 = _mm512_add_epi32(s31, _mm512_mullo_epi32(a31, c1))
        s40 = _mm512_add_epi32(s40, _mm512_mullo_epi32(a40, c0))
        s41 = _mm512_add_epi32(s41, _mm512_mullo_epi32(a41, c1))
        s50 = _mm512_add_epi32(s50, _mm512_mullo_epi32(a50, c0))
        s51 = _mm512_add_epi32(s51, _mm512_mullo_epi32(a51, c1))
    }
    // Minima, or scales for the zero point, times the groups' sums, two groups at a time.
    var pairs = panel + superPairsOffset
    q = columns + 1536
    var m00 = zero, m01 = zero
    var m10 = zero, m11 = zero
    var m20 = zero, m21 = zero
    var m30 = zero, m31 = zero
    var m40 = zero, m41 = zero
    var m50 = zero, m51 = zero
    for _ in 0..<(hasMinimum ? 4 : 8) {
        let w0 = load512(pairs), w1 = load512(pairs + 64)
        let b0 = broadcast32(q + 0)
        m00 = _mm512_dpwssd_epi32(m00, w0, b0)
        m01 = _mm512_dpwssd_epi32(m01, w1, b0)
        let b1 = broadcast32(q + 4)
        m10 = _mm512_dpwssd_epi32(m10, w0, b1)
        m11 = _mm512_dpwssd_epi32(m11, w1, b1)
        let b2 = broadcast32(q + 8)
        m20 = _mm512_dpwssd_epi32(m20, w0, b2)
        m21 = _mm512_dpwssd_epi32(m21, w1, b2)
        let b3 = broadcast32(q + 12)
        m30 = _mm512_dpwssd_epi32(m30, w0, b3)
        m31 = _mm512_dpwssd_epi32(m31, w1, b3)
        let b4 = broadcast32(q + 16)
        m40 = _mm512_dpwssd_epi32(m40, w0, b4)
        m41 = _mm512_dpwssd_epi32(m41, w1, b4)
        let b5 = broadcast32(q + 20)
        m50 = _mm512_dpwssd_epi32(m50, w0, b5)
        m51 = _mm512_dpwssd_epi32(m51, w1, b5)
        pairs += 128
        q += 24
    }
    let d0 = loadFloats(panel + superFactorsOffset), d1 = loadFloats(panel + (superFactorsOffset &+ 64))
    let n0 = loadFloats(panel + (superFactorsOffset &+ 128)), n1 = loadFloats(panel + (superFactorsOffset &+ 192))
    @inline(__always) func finish(_ j: Int, _ s: __m512i, _ m: __m512i, _ d: __m512, _ n: __m512, _ half: Int) {
        let place = sums + (128 &* j &+ half)
        let sum = first ? _mm512_setzero_ps() : loadFloats(place)
        let scale = broadcastFloat(columns + (1728 &+ 4 &* j))
        if hasMinimum {
            let r = _mm512_fnmadd_ps(n, _mm512_cvtepi32_ps(m), _mm512_mul_ps(d, _mm512_cvtepi32_ps(s)))
            store(_mm512_fmadd_ps(r, scale, sum), place)
        } else {
            let r = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_sub_epi32(s, _mm512_slli_epi32(m, 5))))
            store(_mm512_fmadd_ps(r, scale, sum), place)
        }
    }
    finish(0, s00, m00, d0, n0, 0)
    finish(0, s01, m01, d1, n1, 64)
    finish(1, s10, m10, d0, n0, 0)
    finish(1, s11, m11, d1, n1, 64)
    finish(2, s20, m20, d0, n0, 0)
    finish(2, s21, m21, d1, n1, 64)
    finish(3, s30, m30, d0, n0, 0)
    finish(3, s31, m31, d1, n1, 64)
    finish(4, s40, m40, d0, n0, 0)
    finish(4, s41, m41, d1, n1, 64)
    finish(5, s50, m50, d0, n0, 0)
    finish(5, s51, m51, d1, n1, 64)
}

// Two functions rather than one that asks in its loops.

@inline(never)
func superTileMinimum(_ panel: UnsafeRawPointer, _ columns: UnsafeRawPointer, _ sums: UnsafeMutableRawPointer, _ first: Bool) {
    superTile(true, panel, columns, sums, first)
}

@inline(never)
func superTileZero(_ panel: UnsafeRawPointer, _ columns: UnsafeRawPointer, _ sums: UnsafeMutableRawPointer, _ first: Bool) {
    superTile(false, panel, columns, sums, first)
}
