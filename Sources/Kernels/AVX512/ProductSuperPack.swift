internal import _Builtin_intrinsics.intel

// Activations for types of 256 weights to a block: signed bytes under one F32 scale per 256 values, with the sums of
// their groups of 32 (types with minima) or 16 (with a zero point) as 16-bit integers.
//
// Few columns: each column alone, 320 bytes a block: 256 bytes, sums at 256, the scale at 288.
// Many columns: [block][panel of six] of 1792 bytes: bytes [64 steps][6 columns][4], sums [pairs][6 columns][2] at
// 1536, 6 scales at 1728; columns missing in the last panel are zeros.

let superColumnBytes = 320
let superPanelBytes = 1792

func packedSuperBytes(_ k: Int, _ n: Int) -> Int {
    let blocks = k / 256
    if n <= fewColumns { return n &* blocks &* superColumnBytes }
    return (n &+ 5) / 6 &* blocks &* superPanelBytes
}

@inline(__always)
func packSupers<F: SuperFormat>(
    _ format: F.Type, _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
    _ packed: UnsafeMutableRawPointer
) {
    let blocks = k / 256
    let blockStride = n <= fewColumns ? superColumnBytes : (n &+ 5) / 6 &* superPanelBytes
    for c in first..<(first &+ count) {
        if n <= fewColumns {
            let target = packed + c &* blocks &* superColumnBytes
            quantizeSuperColumn(columns[c], blocks, target, target + 256, target + 288, 4, blockStride, F.hasMinimum)
        } else {
            let target = packed + (c / panelColumns &* superPanelBytes &+ c % panelColumns &* 4)
            quantizeSuperColumn(columns[c], blocks, target, target + 1536, target + 1728, 24, blockStride, F.hasMinimum)
        }
    }
    let rest = n % panelColumns
    if n > fewColumns, rest != 0, first &+ count == n {
        for b in 0..<blocks {
            let panel = packed + (b &* blockStride &+ n / panelColumns &* superPanelBytes)
            for place in rest..<panelColumns { clearColumn(panel + 4 &* place, 73) }
        }
    }
}

/// Quantizes one column; steps of four values, and pairs of sums, lie `step` bytes apart.
@inline(never)
func quantizeSuperColumn(
    _ column: UnsafeRawPointer, _ blocks: Int, _ bytes: UnsafeMutableRawPointer, _ sums: UnsafeMutableRawPointer,
    _ scales: UnsafeMutableRawPointer, _ step: Int, _ blockStride: Int, _ by32: Bool
) {
    for b in 0..<blocks {
        let x = column + b &* 1024
        var magnitude = _mm512_setzero_si512()
        for i in 0..<16 { magnitude = _mm512_max_epi32(magnitude, magnitudeBits(loadFloats(x + 64 &* i))) }
        let largest = Float(bitPattern: UInt32(bitPattern: _mm512_reduce_max_epi32(magnitude)))
        let inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0)
        scales.storeBytes(of: largest / 127, toByteOffset: b &* blockStride, as: Float.self)
        let target = bytes + b &* blockStride, sumTarget = sums + b &* blockStride
        for s in 0..<8 {
            let q0 = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(loadFloats(x + 128 &* s), inverse)))
            let q1 = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(loadFloats(x + (128 &* s &+ 64)), inverse)))
            let v0 = unsafeBitCast(q0, to: SIMD4<Int32>.self), v1 = unsafeBitCast(q1, to: SIMD4<Int32>.self)
            let place = target + 8 &* s &* step
            for t in 0..<4 {
                place.storeBytes(of: v0[t], toByteOffset: t &* step, as: Int32.self)
                place.storeBytes(of: v1[t], toByteOffset: (t &+ 4) &* step, as: Int32.self)
            }
            // Sums of the bytes themselves: values that are not numbers became other bytes than integers.
            let sum0 = Int16(truncatingIfNeeded: _mm512_reduce_add_epi32(_mm512_cvtepi8_epi32(q0)))
            let sum1 = Int16(truncatingIfNeeded: _mm512_reduce_add_epi32(_mm512_cvtepi8_epi32(q1)))
            if by32 {
                sumTarget.storeBytes(of: sum0 &+ sum1, toByteOffset: s / 2 &* step &+ s % 2 &* 2, as: Int16.self)
            } else {
                sumTarget.storeBytes(of: sum0, toByteOffset: s &* step, as: Int16.self)
                sumTarget.storeBytes(of: sum1, toByteOffset: s &* step &+ 2, as: Int16.self)
            }
        }
    }
}
