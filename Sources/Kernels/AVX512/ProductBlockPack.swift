internal import _Builtin_intrinsics.intel

// Activations for block types: signed bytes under one F32 scale per 32 values. The scale is not rounded to F16,
// so the bytes stand for the values they were made from as well as eight bits can.
//
// Few columns: each column alone, 40 bytes a block: 32 bytes, the correction, the scale.
// Many columns: panels of six, 240 bytes a block: bytes [8 steps][6 columns][4], 6 corrections, 6 scales;
// columns missing in the last panel are zeros.
//
// The correction is −zero·Σa as an integer, where the accumulators start, or Σa as a float for types with minima.

/// Up to this many columns are computed straight from the blocks; more pay for unpacking into panels.
let fewColumns = 4
let panelColumns = 6
let blockColumnBytes = 40
let blockPanelBytes = 240

func packedBlockBytes(_ k: Int, _ n: Int) -> Int {
    let blocks = k / 32
    if n <= fewColumns { return roundUp64(n &* blocks &* blockColumnBytes) }
    return roundUp64((n &+ 5) / 6 &* blocks &* blockPanelBytes)
}

@inline(__always)
func packBlocks<F: BlockFormat>(
    _ format: F.Type, _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
    _ packed: UnsafeMutableRawPointer
) {
    let blocks = k / 32
    for c in first..<(first &+ count) {
        if n <= fewColumns {
            let target = packed + c &* blocks &* blockColumnBytes
            quantizeColumn(columns[c], blocks, target, target + 32, target + 36, 4, blockColumnBytes, F.zero, F.hasMinimum)
        } else {
            let panel = packed + (c / panelColumns) &* blocks &* blockPanelBytes
            let place = c % panelColumns
            let target = panel + 4 &* place
            quantizeColumn(columns[c], blocks, target, target + 192, target + 216, 24, blockPanelBytes, F.zero, F.hasMinimum)
        }
    }
    let rest = n % panelColumns
    if n > fewColumns, rest != 0, first &+ count == n {
        let panel = packed + (n / panelColumns) &* blocks &* blockPanelBytes
        for place in rest..<panelColumns { clearColumn(panel + 4 &* place, blocks) }
    }
}

/// Quantizes one column, four values to a step of `step` bytes.
@inline(never)
func quantizeColumn(
    _ column: UnsafeRawPointer, _ blocks: Int, _ bytes: UnsafeMutableRawPointer, _ corrections: UnsafeMutableRawPointer,
    _ scales: UnsafeMutableRawPointer, _ step: Int, _ blockStride: Int, _ zero: Int32, _ plainSum: Bool
) {
    for b in 0..<blocks {
        let x0 = loadFloats(column + b &* 128), x1 = loadFloats(column + (b &* 128 &+ 64))
        let bits = _mm512_reduce_max_epi32(_mm512_max_epi32(magnitudeBits(x0), magnitudeBits(x1)))
        let largest = Float(bitPattern: UInt32(bitPattern: bits))
        let inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0)
        let i0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse))
        let i1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse))
        let q0 = unsafeBitCast(_mm512_cvtepi32_epi8(i0), to: SIMD4<Int32>.self)
        let q1 = unsafeBitCast(_mm512_cvtepi32_epi8(i1), to: SIMD4<Int32>.self)
        let target = bytes + b &* blockStride
        for t in 0..<4 {
            target.storeBytes(of: q0[t], toByteOffset: t &* step, as: Int32.self)
            target.storeBytes(of: q1[t], toByteOffset: (t &+ 4) &* step, as: Int32.self)
        }
        // The sum is taken over the bytes: values that are not numbers became other bytes than integers.
        let wide0 = _mm512_cvtepi8_epi32(_mm512_cvtepi32_epi8(i0)), wide1 = _mm512_cvtepi8_epi32(_mm512_cvtepi32_epi8(i1))
        let sum = _mm512_reduce_add_epi32(_mm512_add_epi32(wide0, wide1))
        if plainSum {
            corrections.storeBytes(of: Float(sum), toByteOffset: b &* blockStride, as: Float.self)
        } else {
            corrections.storeBytes(of: 0 &- zero &* sum, toByteOffset: b &* blockStride, as: Int32.self)
        }
        scales.storeBytes(of: largest / 127, toByteOffset: b &* blockStride, as: Float.self)
    }
}

@inline(never)
func clearColumn(_ panel: UnsafeMutableRawPointer, _ blocks: Int) {
    // Eight steps of bytes, the correction and the scale lie 24 bytes apart.
    for b in 0..<blocks {
        for t in 0..<10 { panel.storeBytes(of: 0, toByteOffset: b &* blockPanelBytes &+ 24 &* t, as: Int32.self) }
    }
}
