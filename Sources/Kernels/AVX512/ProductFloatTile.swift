internal import _Builtin_intrinsics.intel

// Floating-point weights. Every dot product has sixteen partial sums, lane l over the values 16·i + l with ascending i,
// which are added in one fixed tree (`sumPairs`, `sumQuads`, lanes 0+2 and 1+3, then both). Rows and columns may be
// taken together in any tile without touching that order.

@inline(__always)
func sumPairs(_ a: __m512, _ b: __m512) -> __m512 {
    _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b))
}

@inline(__always)
func sumQuads(_ a: __m512, _ b: __m512) -> __m512 {
    let x = unsafeBitCast(a, to: __m512d.self), y = unsafeBitCast(b, to: __m512d.self)
    let low = unsafeBitCast(_mm512_unpacklo_pd(x, y), to: __m512.self)
    let high = unsafeBitCast(_mm512_unpackhi_pd(x, y), to: __m512.self)
    return _mm512_add_ps(low, high)
}

@inline(__always)
func permuted(_ a: __m512, _ order: __m512i, _ b: __m512) -> __m512 {
    let x = unsafeBitCast(a, to: __m512i.self), y = unsafeBitCast(b, to: __m512i.self)
    return unsafeBitCast(_mm512_permutex2var_epi64(x, order, y), to: __m512.self)
}

@inline(__always)
func sumLanesApart(_ a: __m512, _ b: __m512) -> __m512 {
    let low = permuted(a, quads(0, 1, 2, 3, 8, 9, 10, 11), b)
    return _mm512_add_ps(low, permuted(a, quads(4, 5, 6, 7, 12, 13, 14, 15), b))
}

@inline(__always)
func sumLanesBeside(_ a: __m512, _ b: __m512) -> __m512 {
    let low = permuted(a, quads(0, 1, 4, 5, 8, 9, 12, 13), b)
    return _mm512_add_ps(low, permuted(a, quads(2, 3, 6, 7, 10, 11, 14, 15), b))
}

/// Sums of four rows' partial sums, by 128-bit lanes still.
@inline(__always)
func sumRows(_ a: __m512, _ b: __m512, _ c: __m512, _ d: __m512) -> __m512 {
    sumQuads(sumPairs(a, b), sumPairs(c, d))
}

/// Sixteen rows times one column. `last` is the last row there is, counted from this tile's first: rows beyond it are
/// read from it again. `steps` whole steps of sixteen values, then the values in `mask`, if any.
@inline(__always)
func floatRows<F: FloatFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ last: Int, _ steps: Int, _ mask: UInt16,
    _ column: UnsafeRawPointer, _ ahead: Int
) -> __m512 {
    var p0 = weights + 0 &* stride
    var p1 = weights + (last < 1 ? last : 1) &* stride
    var p2 = weights + (last < 2 ? last : 2) &* stride
    var p3 = weights + (last < 3 ? last : 3) &* stride
    var p4 = weights + (last < 4 ? last : 4) &* stride
    var p5 = weights + (last < 5 ? last : 5) &* stride
    var p6 = weights + (last < 6 ? last : 6) &* stride
    var p7 = weights + (last < 7 ? last : 7) &* stride
    var p8 = weights + (last < 8 ? last : 8) &* stride
    var p9 = weights + (last < 9 ? last : 9) &* stride
    var p10 = weights + (last < 10 ? last : 10) &* stride
    var p11 = weights + (last < 11 ? last : 11) &* stride
    var p12 = weights + (last < 12 ? last : 12) &* stride
    var p13 = weights + (last < 13 ? last : 13) &* stride
    var p14 = weights + (last < 14 ? last : 14) &* stride
    var p15 = weights + (last < 15 ? last : 15) &* stride
    var s0 = _mm512_setzero_ps()
    var s1 = _mm512_setzero_ps()
    var s2 = _mm512_setzero_ps()
    var s3 = _mm512_setzero_ps()
    var s4 = _mm512_setzero_ps()
    var s5 = _mm512_setzero_ps()
    var s6 = _mm512_setzero_ps()
    var s7 = _mm512_setzero_ps()
    var s8 = _mm512_setzero_ps()
    var s9 = _mm512_setzero_ps()
    var s10 = _mm512_setzero_ps()
    var s11 = _mm512_setzero_ps()
    var s12 = _mm512_setzero_ps()
    var s13 = _mm512_setzero_ps()
    var s14 = _mm512_setzero_ps()
    var s15 = _mm512_setzero_ps()
    var x = column
    let step = 16 &* F.byteCount
    var next = weights + ahead
    for _ in 0..<steps {
        let v = loadFloats(x)
        var line = 0
        while line < 16 &* step {
            prefetch(next + line)
            line = line &+ 64
        }
        next += 16 &* step
        s0 = _mm512_fmadd_ps(F.load(p0), v, s0)
        s1 = _mm512_fmadd_ps(F.load(p1), v, s1)
        s2 = _mm512_fmadd_ps(F.load(p2), v, s2)
        s3 = _mm512_fmadd_ps(F.load(p3), v, s3)
        s4 = _mm512_fmadd_ps(F.load(p4), v, s4)
        s5 = _mm512_fmadd_ps(F.load(p5), v, s5)
        s6 = _mm512_fmadd_ps(F.load(p6), v, s6)
        s7 = _mm512_fmadd_ps(F.load(p7), v, s7)
        s8 = _mm512_fmadd_ps(F.load(p8), v, s8)
        s9 = _mm512_fmadd_ps(F.load(p9), v, s9)
        s10 = _mm512_fmadd_ps(F.load(p10), v, s10)
        s11 = _mm512_fmadd_ps(F.load(p11), v, s11)
        s12 = _mm512_fmadd_ps(F.load(p12), v, s12)
        s13 = _mm512_fmadd_ps(F.load(p13), v, s13)
        s14 = _mm512_fmadd_ps(F.load(p14), v, s14)
        s15 = _mm512_fmadd_ps(F.load(p15), v, s15)
        p0 += step
        p1 += step
        p2 += step
        p3 += step
        p4 += step
        p5 += step
        p6 += step
        p7 += step
        p8 += step
        p9 += step
        p10 += step
        p11 += step
        p12 += step
        p13 += step
        p14 += step
        p15 += step
        x += 64
    }
    if mask != 0 {
        let v = loadFloats(x)
        s0 = _mm512_fmadd_ps(F.load(p0, mask), v, s0)
        s1 = _mm512_fmadd_ps(F.load(p1, mask), v, s1)
        s2 = _mm512_fmadd_ps(F.load(p2, mask), v, s2)
        s3 = _mm512_fmadd_ps(F.load(p3, mask), v, s3)
        s4 = _mm512_fmadd_ps(F.load(p4, mask), v, s4)
        s5 = _mm512_fmadd_ps(F.load(p5, mask), v, s5)
        s6 = _mm512_fmadd_ps(F.load(p6, mask), v, s6)
        s7 = _mm512_fmadd_ps(F.load(p7, mask), v, s7)
        s8 = _mm512_fmadd_ps(F.load(p8, mask), v, s8)
        s9 = _mm512_fmadd_ps(F.load(p9, mask), v, s9)
        s10 = _mm512_fmadd_ps(F.load(p10, mask), v, s10)
        s11 = _mm512_fmadd_ps(F.load(p11, mask), v, s11)
        s12 = _mm512_fmadd_ps(F.load(p12, mask), v, s12)
        s13 = _mm512_fmadd_ps(F.load(p13, mask), v, s13)
        s14 = _mm512_fmadd_ps(F.load(p14, mask), v, s14)
        s15 = _mm512_fmadd_ps(F.load(p15, mask), v, s15)
    }
    let low = sumLanesApart(sumRows(s0, s1, s2, s3), sumRows(s4, s5, s6, s7))
    let high = sumLanesApart(sumRows(s8, s9, s10, s11), sumRows(s12, s13, s14, s15))
    return sumLanesBeside(low, high)
}

/// Four rows times `nc` columns (1 to 6), packed [step][nc][16]. Leaves the sums as [8 columns][4 rows] in `target`.
@inline(__always)
func floatTile<F: FloatFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ last: Int, _ steps: Int, _ mask: UInt16,
    _ columns: UnsafeRawPointer, _ nc: Int, _ target: UnsafeMutableRawPointer
) {
    var p0 = weights + 0 &* stride
    var p1 = weights + (last < 1 ? last : 1) &* stride
    var p2 = weights + (last < 2 ? last : 2) &* stride
    var p3 = weights + (last < 3 ? last : 3) &* stride
    var s00 = _mm512_setzero_ps(), s01 = s00, s02 = s00, s03 = s00
    var s10 = _mm512_setzero_ps(), s11 = s10, s12 = s10, s13 = s10
    var s20 = _mm512_setzero_ps(), s21 = s20, s22 = s20, s23 = s20
    var s30 = _mm512_setzero_ps(), s31 = s30, s32 = s30, s33 = s30
    var s40 = _mm512_setzero_ps(), s41 = s40, s42 = s40, s43 = s40
    var s50 = _mm512_setzero_ps(), s51 = s50, s52 = s50, s53 = s50
    var x = columns
    @inline(__always) func add(_ w0: __m512, _ w1: __m512, _ w2: __m512, _ w3: __m512) {
        let v = loadFloats(x)
        s00 = _mm512_fmadd_ps(w0, v, s00)
        s01 = _mm512_fmadd_ps(w1, v, s01)
        s02 = _mm512_fmadd_ps(w2, v, s02)
        s03 = _mm512_fmadd_ps(w3, v, s03)
        if nc > 1 {
            let v = loadFloats(x + 64)
            s10 = _mm512_fmadd_ps(w0, v, s10)
            s11 = _mm512_fmadd_ps(w1, v, s11)
            s12 = _mm512_fmadd_ps(w2, v, s12)
            s13 = _mm512_fmadd_ps(w3, v, s13)
        }
        if nc > 2 {
            let v = loadFloats(x + 128)
            s20 = _mm512_fmadd_ps(w0, v, s20)
            s21 = _mm512_fmadd_ps(w1, v, s21)
            s22 = _mm512_fmadd_ps(w2, v, s22)
            s23 = _mm512_fmadd_ps(w3, v, s23)
        }
        if nc > 3 {
            let v = loadFloats(x + 192)
            s30 = _mm512_fmadd_ps(w0, v, s30)
            s31 = _mm512_fmadd_ps(w1, v, s31)
            s32 = _mm512_fmadd_ps(w2, v, s32)
            s33 = _mm512_fmadd_ps(w3, v, s33)
        }
        if nc > 4 {
            let v = loadFloats(x + 256)
            s40 = _mm512_fmadd_ps(w0, v, s40)
            s41 = _mm512_fmadd_ps(w1, v, s41)
            s42 = _mm512_fmadd_ps(w2, v, s42)
            s43 = _mm512_fmadd_ps(w3, v, s43)
        }
        if nc > 5 {
            let v = loadFloats(x + 320)
            s50 = _mm512_fmadd_ps(w0, v, s50)
            s51 = _mm512_fmadd_ps(w1, v, s51)
            s52 = _mm512_fmadd_ps(w2, v, s52)
            s53 = _mm512_fmadd_ps(w3, v, s53)
        }
    }
    for _ in 0..<steps {
        add(F.load(p0), F.load(p1), F.load(p2), F.load(p3))
        p0 += 16 &* F.byteCount
        p1 += 16 &* F.byteCount
        p2 += 16 &* F.byteCount
        p3 += 16 &* F.byteCount
        x += 64 &* nc
    }
    if mask != 0 { add(F.load(p0, mask), F.load(p1, mask), F.load(p2, mask), F.load(p3, mask)) }
    let c0 = sumRows(s00, s01, s02, s03), c1 = sumRows(s10, s11, s12, s13)
    let c2 = sumRows(s20, s21, s22, s23), c3 = sumRows(s30, s31, s32, s33)
    store(sumLanesBeside(sumLanesApart(c0, c1), sumLanesApart(c2, c3)), target)
    if nc > 4 {
        let c4 = sumRows(s40, s41, s42, s43), c5 = sumRows(s50, s51, s52, s53)
        let both = sumLanesApart(c4, c5)
        store(sumLanesBeside(both, both), target + 64)
    }
}
