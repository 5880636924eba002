internal import _Builtin_intrinsics.intel

// Types of 256 weights to a block times few columns. Per block S = Σ scale·dot and M = Σ minimum·sum are exact
// integers, so that their order is free; then `r = fnmadd(dmin, M, d·S)` (or `d·S`) and `sum = fma(r, scale, sum)`,
// blocks ascending. Sixteen rows at a time; a block's sixteen vectors of partial sums are added up while the next
// block is under way, since reading them at once would wait for the stores.

/// Half of the buffer: [4 columns][16 rows] vectors | d and dmin of 16 rows | minima of 16 rows.
private let halfBytes = 4096 + 64 + 128
let superBufferBytes = 2 * halfBytes

/// Sums of sixteen vectors of sixteen integers.
@inline(__always)
func sumSixteen(_ p: UnsafeRawPointer) -> __m512i {
    @inline(__always) func four(_ i: Int) -> __m512i {
        let low = sumPairs(load512(p + 256 &* i), load512(p + (256 &* i &+ 64)))
        return sumQuads(low, sumPairs(load512(p + (256 &* i &+ 128)), load512(p + (256 &* i &+ 192))))
    }
    return sumLanesBeside(sumLanesApart(four(0), four(1)), sumLanesApart(four(2), four(3)))
}

/// Indices that widen two scales of eight to 16-bit lanes: number 2·j in the lower half, 2·j + 1 in the upper.
@inline(__always)
func wideningByHalves(_ j: Int64) -> __m512i {
    let unit: Int64 = Int64(bitPattern: 0x8000_8000_8000_8000)
    let low = unit | (2 &* j) &* 0x0001_0001_0001_0001, high = unit | (2 &* j &+ 1) &* 0x0001_0001_0001_0001
    return quads(low, low, low, low, high, high, high, high)
}

/// Indices that put four scales of sixteen into the upper bytes of 16-bit lanes, 4·j + i in the i-th 128-bit lane.
@inline(__always)
func wideningByLanes(_ j: Int64) -> __m512i {
    @inline(__always) func lane(_ i: Int64) -> Int64 { (4 &* j &+ i) &* 0x0100_0100_0100_0100 | 0x0080_0080_0080_0080 }
    return quads(lane(0), lane(0), lane(1), lane(1), lane(2), lane(2), lane(3), lane(3))
}

/// Indices that widen bytes `from` and `from + 1` of each 32-bit lane to 16 bits.
@inline(__always)
func wideningMinima(_ from: Int64) -> __m512i {
    @inline(__always) func two(_ lane: Int64) -> Int64 {
        let low: Int64 = 4 &* lane &+ from, base = Int64(bitPattern: 0x8000_8000_8000_8000)
        return base | low | ((low &+ 1) &<< 16) | ((low &+ 4) &<< 32) | ((low &+ 5) &<< 48)
    }
    return quads(two(0), two(2), two(0), two(2), two(0), two(2), two(0), two(2))
}

/// Sixteen rows times `nc` columns (1 to 4).
@inline(__always)
func superRows<F: SuperFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ column: UnsafeRawPointer, _ nc: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ row: Int, _ buffer: UnsafeMutableRawPointer
) {
    let columnStride = blocks &* superColumnBytes
    let ahead = weights + 16 &* stride
    var t0 = _mm512_setzero_ps(), t1 = t0, t2 = t0, t3 = t0

    @inline(__always) func finish(_ b: Int) {
        let half = UnsafeRawPointer(buffer + (b & 1) &* halfBytes)
        let scales = load512(half + 4096)
        let d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(scales))
        let dmin = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(scales, 16)))
        let z0 = load512(half + 4160), z1 = load512(half + 4224)
        // Minima 0 to 3 and 4 to 7 of the sixteen rows, then pairs of them as 16-bit integers.
        let low = _mm512_cvtepi64_epi32(z0), low1 = _mm512_cvtepi64_epi32(z1)
        let high = _mm512_cvtepi64_epi32(_mm512_srli_epi64(z0, 32)), high1 = _mm512_cvtepi64_epi32(_mm512_srli_epi64(z1, 32))
        let first = __m512i(lowHalf: low, highHalf: low1), second = __m512i(lowHalf: high, highHalf: high1)
        let m0 = _mm512_shuffle_epi8(first, wideningMinima(0)), m1 = _mm512_shuffle_epi8(first, wideningMinima(2))
        let m2 = _mm512_shuffle_epi8(second, wideningMinima(0)), m3 = _mm512_shuffle_epi8(second, wideningMinima(2))
        @inline(__always) func add(_ c: Int, _ sum: __m512) -> __m512 {
            let y = column + (c &* columnStride &+ b &* superColumnBytes)
            let s = _mm512_mul_ps(d, _mm512_cvtepi32_ps(sumSixteen(half + 1024 &* c)))
            let scale = broadcastFloat(y + 288)
            if !F.hasMinimum { return _mm512_fmadd_ps(s, scale, sum) }
            var m = _mm512_dpwssd_epi32(_mm512_setzero_si512(), m0, broadcast32(y + 256))
            m = _mm512_dpwssd_epi32(m, m1, broadcast32(y + 260))
            m = _mm512_dpwssd_epi32(m, m2, broadcast32(y + 264))
            m = _mm512_dpwssd_epi32(m, m3, broadcast32(y + 268))
            return _mm512_fmadd_ps(_mm512_fnmadd_ps(dmin, _mm512_cvtepi32_ps(m), s), scale, sum)
        }
        t0 = add(0, t0)
        if nc > 1 { t1 = add(1, t1) }
        if nc > 2 { t2 = add(2, t2) }
        if nc > 3 { t3 = add(3, t3) }
    }

    for b in 0..<blocks {
        let half = buffer + (b & 1) &* halfBytes
        var x = weights + b &* F.byteCount
        var next = ahead + 16 &* b &* F.byteCount
        let a = column + b &* superColumnBytes
        for r in 0..<16 {
            prefetch(next)
            prefetch(next + 64)
            prefetch(next + 128)
            if F.byteCount > 192 { prefetch(next + 192) }
            next += F.byteCount
            let c0: __m512i, c1: __m512i, c2: __m512i, c3: __m512i
            var zeroScales = _mm256_setzero_si256()
            if F.hasMinimum {
                half.storeBytes(of: x.loadUnaligned(as: UInt32.self), toByteOffset: 4096 &+ 4 &* r, as: UInt32.self)
                let six = sixBitScales(x + 4)
                half.storeBytes(of: six.minima, toByteOffset: 4160 &+ 8 &* r, as: UInt64.self)
                let scales = _mm512_set1_epi64(Int64(bitPattern: six.scales))
                c0 = _mm512_shuffle_epi8(scales, wideningByHalves(0))
                c1 = _mm512_shuffle_epi8(scales, wideningByHalves(1))
                c2 = _mm512_shuffle_epi8(scales, wideningByHalves(2))
                c3 = _mm512_shuffle_epi8(scales, wideningByHalves(3))
            } else {
                let d = UInt32(x.loadUnaligned(fromByteOffset: 208, as: UInt16.self))
                half.storeBytes(of: d, toByteOffset: 4096 &+ 4 &* r, as: UInt32.self)
                let bytes = load128(x + 192), scales = _mm512_broadcast_i32x4(bytes)
                zeroScales = _mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 5)
                c0 = _mm512_srai_epi16(_mm512_shuffle_epi8(scales, wideningByLanes(0)), 8)
                c1 = _mm512_srai_epi16(_mm512_shuffle_epi8(scales, wideningByLanes(1)), 8)
                c2 = _mm512_srai_epi16(_mm512_shuffle_epi8(scales, wideningByLanes(2)), 8)
                c3 = _mm512_srai_epi16(_mm512_shuffle_epi8(scales, wideningByLanes(3)), 8)
            }
            let w0 = F.bytes(x, 0), w1 = F.bytes(x, 1), w2 = F.bytes(x, 2), w3 = F.bytes(x, 3)
            @inline(__always) func dot(_ c: Int) {
                let y = a + c &* columnStride
                // Six bits times seven, twice: at most 16002, so that nothing saturates.
                var even = _mm512_madd_epi16(_mm512_maddubs_epi16(w0, load512(y)), c0)
                var odd = _mm512_madd_epi16(_mm512_maddubs_epi16(w1, load512(y + 64)), c1)
                even = _mm512_dpwssd_epi32(even, _mm512_maddubs_epi16(w2, load512(y + 128)), c2)
                odd = _mm512_dpwssd_epi32(odd, _mm512_maddubs_epi16(w3, load512(y + 192)), c3)
                if !F.hasMinimum {
                    let zero = _mm256_madd_epi16(zeroScales, load256(y + 256))
                    even = _mm512_sub_epi32(even, _mm512_zextsi256_si512(zero))
                }
                store(_mm512_add_epi32(even, odd), half + (1024 &* c &+ 64 &* r))
            }
            dot(0)
            if nc > 1 { dot(1) }
            if nc > 2 { dot(2) }
            if nc > 3 { dot(3) }
            x += stride
        }
        if b > 0 { finish(b &- 1) }
    }
    if blocks > 0 { finish(blocks &- 1) }
    store(t0, UnsafeMutableRawPointer(outputs[0] + row))
    if nc > 1 { store(t1, UnsafeMutableRawPointer(outputs[1] + row)) }
    if nc > 2 { store(t2, UnsafeMutableRawPointer(outputs[2] + row)) }
    if nc > 3 { store(t3, UnsafeMutableRawPointer(outputs[3] + row)) }
}

/// Sixteen rows times `count` columns.
@inline(never)
func superRowsAllColumns<F: SuperFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ columns: UnsafeRawPointer, _ count: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ row: Int, _ buffer: UnsafeMutableRawPointer
) {
    switch count {
    case 4: superRows(format, weights, stride, blocks, columns, 4, outputs, row, buffer)
    case 3: superRows(format, weights, stride, blocks, columns, 3, outputs, row, buffer)
    case 2: superRows(format, weights, stride, blocks, columns, 2, outputs, row, buffer)
    default: superRows(format, weights, stride, blocks, columns, 1, outputs, row, buffer)
    }
}
