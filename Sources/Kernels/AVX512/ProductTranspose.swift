internal import _Builtin_intrinsics.intel

/// Stores sixteen rows of sixteen 32-bit values as columns: column c < 8 at `low + 128·c`, column c >= 8 at
/// `high + 128·(c − 8)`.
@inline(__always)
func storeTransposed(
    _ r0: __m512i, _ r1: __m512i, _ r2: __m512i, _ r3: __m512i, _ r4: __m512i, _ r5: __m512i, _ r6: __m512i, _ r7: __m512i,
    _ r8: __m512i, _ r9: __m512i, _ r10: __m512i, _ r11: __m512i, _ r12: __m512i, _ r13: __m512i, _ r14: __m512i,
    _ r15: __m512i, _ low: UnsafeMutableRawPointer, _ high: UnsafeMutableRawPointer
) {
    // Pairs of rows, then fours: q<rows><i> holds values 4·lane + i of four rows in each 128-bit lane.
    let l0 = _mm512_unpacklo_epi32(r0, r1), k0 = _mm512_unpacklo_epi32(r2, r3)
    let h0 = _mm512_unpackhi_epi32(r0, r1), j0 = _mm512_unpackhi_epi32(r2, r3)
    let q00 = _mm512_unpacklo_epi64(l0, k0), q01 = _mm512_unpackhi_epi64(l0, k0)
    let q02 = _mm512_unpacklo_epi64(h0, j0), q03 = _mm512_unpackhi_epi64(h0, j0)
    let l1 = _mm512_unpacklo_epi32(r4, r5), k1 = _mm512_unpacklo_epi32(r6, r7)
    let h1 = _mm512_unpackhi_epi32(r4, r5), j1 = _mm512_unpackhi_epi32(r6, r7)
    let q10 = _mm512_unpacklo_epi64(l1, k1), q11 = _mm512_unpackhi_epi64(l1, k1)
    let q12 = _mm512_unpacklo_epi64(h1, j1), q13 = _mm512_unpackhi_epi64(h1, j1)
    let l2 = _mm512_unpacklo_epi32(r8, r9), k2 = _mm512_unpacklo_epi32(r10, r11)
    let h2 = _mm512_unpackhi_epi32(r8, r9), j2 = _mm512_unpackhi_epi32(r10, r11)
    let q20 = _mm512_unpacklo_epi64(l2, k2), q21 = _mm512_unpackhi_epi64(l2, k2)
    let q22 = _mm512_unpacklo_epi64(h2, j2), q23 = _mm512_unpackhi_epi64(h2, j2)
    let l3 = _mm512_unpacklo_epi32(r12, r13), k3 = _mm512_unpacklo_epi32(r14, r15)
    let h3 = _mm512_unpackhi_epi32(r12, r13), j3 = _mm512_unpackhi_epi32(r14, r15)
    let q30 = _mm512_unpacklo_epi64(l3, k3), q31 = _mm512_unpackhi_epi64(l3, k3)
    let q32 = _mm512_unpacklo_epi64(h3, j3), q33 = _mm512_unpackhi_epi64(h3, j3)
    @inline(__always) func columns(_ a: __m512i, _ b: __m512i, _ c: __m512i, _ d: __m512i, _ i: Int) {
        // Lanes 0 and 2, then 1 and 3, of two fours of rows beside each other.
        let even0 = _mm512_permutex2var_epi64(a, quads(0, 1, 8, 9, 4, 5, 12, 13), b)
        let even1 = _mm512_permutex2var_epi64(c, quads(0, 1, 8, 9, 4, 5, 12, 13), d)
        let odd0 = _mm512_permutex2var_epi64(a, quads(2, 3, 10, 11, 6, 7, 14, 15), b)
        let odd1 = _mm512_permutex2var_epi64(c, quads(2, 3, 10, 11, 6, 7, 14, 15), d)
        store(__m512i(lowHalf: even0.lowHalf, highHalf: even1.lowHalf), low + 128 &* i)
        store(__m512i(lowHalf: odd0.lowHalf, highHalf: odd1.lowHalf), low + 128 &* (i &+ 4))
        store(_mm512_permutex2var_epi64(even0, quads(4, 5, 6, 7, 12, 13, 14, 15), even1), high + 128 &* i)
        store(_mm512_permutex2var_epi64(odd0, quads(4, 5, 6, 7, 12, 13, 14, 15), odd1), high + 128 &* (i &+ 4))
    }
    columns(q00, q10, q20, q30, 0)
    columns(q01, q11, q21, q31, 1)
    columns(q02, q12, q22, q32, 2)
    columns(q03, q13, q23, q33, 3)
}
