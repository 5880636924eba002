internal import _Builtin_intrinsics.intel

// Block types times few columns: sixteen rows at a time, block by block in the file's layout, while the next sixteen
// rows are fetched. Every column's sum runs over ascending blocks in one chain of floats:
// `sum = fma(float(dot) · d, scale, sum)` (see `magicBits`), and with minima
// `sum = fma(fma(float(dot), d, m · Σa), scale, sum)`.

/// Bytes of a ring of four blocks' scales, gathered from sixteen rows two blocks before they are read, since reading
/// what sixteen narrow stores have just written would stall; then the rows' stride.
let scaleRingBytes = 320

/// Sixteen rows times `nc` columns (1 to 4).
@inline(__always)
func blockRows<F: BlockFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ column: UnsafeRawPointer, _ nc: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ row: Int, _ ring: UnsafeMutableRawPointer
) {
    let zero = _mm512_setzero_si512()
    let columnStride = blocks &* blockColumnBytes
    let ahead = weights + 16 &* stride
    let lines = 16 &* F.byteCount
    var s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0

    // The stride is read anew for every block. Were it a constant of the loop, the compiler would keep a pointer for
    // each of the sixteen rows, most of them on the stack.
    ring.storeBytes(of: stride, toByteOffset: 256, as: Int.self)

    @inline(__always) func gather(_ b: Int, _ x: UnsafeRawPointer, _ s: Int) {
        let target = ring + (b & 3) &* 64
        @inline(__always) func one(_ r: Int, _ block: UnsafeRawPointer) {
            if F.hasMinimum {
                target.storeBytes(of: block.loadUnaligned(as: UInt32.self), toByteOffset: 4 &* r, as: UInt32.self)
            } else {
                target.storeBytes(of: block.loadUnaligned(as: UInt16.self), toByteOffset: 2 &* r, as: UInt16.self)
            }
        }
        @inline(__always) func four(_ r: Int, _ block: UnsafeRawPointer) {
            one(r, block)
            one(r &+ 1, block + s)
            one(r &+ 2, block + 2 &* s)
            one(r &+ 3, block + 3 &* s)
        }
        four(0, x)
        four(4, x + 4 &* s)
        four(8, x + 8 &* s)
        four(12, x + 12 &* s)
    }
    gather(0, weights, stride)
    if blocks > 1 { gather(1, weights + F.byteCount, stride) }
    for b in 0..<blocks {
        let x = weights + b &* F.byteCount
        let s = UnsafeRawPointer(ring).load(fromByteOffset: 256, as: Int.self)
        let next = ahead + b &* lines
        var line = 0
        while line < lines { prefetch(next + line); line = line &+ 64 }
        if b &+ 2 < blocks { gather(b &+ 2, x + 2 &* F.byteCount, s) }
        let x4 = x + 4 &* s, x8 = x + 8 &* s, x12 = x + 12 &* s
        let w0 = F.pair(x, x8), w1 = F.pair(x + s, x8 + s)
        let w2 = F.pair(x + 2 &* s, x8 + 2 &* s), w3 = F.pair(x + 3 &* s, x8 + 3 &* s)
        let w4 = F.pair(x4, x12), w5 = F.pair(x4 + s, x12 + s)
        let w6 = F.pair(x4 + 2 &* s, x12 + 2 &* s), w7 = F.pair(x4 + 3 &* s, x12 + 3 &* s)
        let slot = UnsafeRawPointer(ring + (b & 3) &* 64)
        let d: __m512, m: __m512
        if F.hasMinimum {
            let both = load512(slot)
            d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(both))
            m = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(both, 16)))
        } else {
            d = _mm512_cvtph_ps(load256(slot))
            m = _mm512_mul_ps(d, _mm512_set1_ps(0 - magicFloat))
        }
        @inline(__always) func add(_ c: Int, _ sum: __m512) -> __m512 {
            let y = column + (c &* columnStride &+ b &* blockColumnBytes)
            let a = _mm512_broadcast_i64x4(load256(y))
            @inline(__always) func dot(_ w: __m512i) -> __m512i { _mm512_dpbusd_epi32(zero, w, a) }
            let low = sumQuads(sumPairs(dot(w0), dot(w1)), sumPairs(dot(w2), dot(w3)))
            let high = sumQuads(sumPairs(dot(w4), dot(w5)), sumPairs(dot(w6), dot(w7)))
            let dots = sumLanesWoven(low, high)
            let scale = broadcastFloat(y + 36)
            if F.hasMinimum {
                let r = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), d, _mm512_mul_ps(m, broadcastFloat(y + 32)))
                return _mm512_fmadd_ps(r, scale, sum)
            }
            let f = unsafeBitCast(_mm512_add_epi32(dots, broadcast32(y + 32)), to: __m512.self)
            return _mm512_fmadd_ps(_mm512_fmadd_ps(f, d, m), scale, sum)
        }
        s0 = add(0, s0)
        if nc > 1 { s1 = add(1, s1) }
        if nc > 2 { s2 = add(2, s2) }
        if nc > 3 { s3 = add(3, s3) }
    }
    store(s0, UnsafeMutableRawPointer(outputs[0] + row))
    if nc > 1 { store(s1, UnsafeMutableRawPointer(outputs[1] + row)) }
    if nc > 2 { store(s2, UnsafeMutableRawPointer(outputs[2] + row)) }
    if nc > 3 { store(s3, UnsafeMutableRawPointer(outputs[3] + row)) }
}

/// Sixteen rows times `count` columns.
@inline(never)
func blockRowsAllColumns<F: BlockFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ columns: UnsafeRawPointer, _ count: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ row: Int, _ ring: UnsafeMutableRawPointer
) {
    switch count {
    case 4: blockRows(format, weights, stride, blocks, columns, 4, outputs, row, ring)
    case 3: blockRows(format, weights, stride, blocks, columns, 3, outputs, row, ring)
    case 2: blockRows(format, weights, stride, blocks, columns, 2, outputs, row, ring)
    default: blockRows(format, weights, stride, blocks, columns, 1, outputs, row, ring)
    }
}
