internal import _Builtin_intrinsics.intel

// Activations for block types: signed bytes under one F32 scale per 32 values. The scale is not rounded to F16,
// so the bytes stand for the values they were made from as well as eight bits can.
//
// Few columns: each column alone, 40 bytes a block: 32 bytes, the correction, the scale.
// Many columns: panels of six, 240 bytes a block: bytes [8 steps][6 columns][4], 6 corrections, 6 scales;
// columns missing in the last panel are zeros. Eight blocks of one panel are followed by those of the next panel,
// so that a product which takes eight blocks of weights through all columns reads straight on.
//
// The correction is where the integer sums of bytes start: −zero·Σa above `magicBits`. For types with minima it is Σa
// as a float instead.

/// Up to this many columns are computed straight from the blocks; more pay for unpacking into panels.
let fewColumns = 4
let panelColumns = 6

/// The bits of the float 1.5·2²³, where one step of the integer is one of the float: an integer sum that starts here is,
/// seen as a float, 12582912 + sum. Times a scale, less 12582912 times the scale (which is exact for scales that were
/// F16), that is the product rounded once, without a conversion.
let magicBits: Int32 = 0x4b40_0000
let magicFloat: Float = 12_582_912

let blockColumnBytes = 40
let blockPanelBytes = 240

func packedBlockBytes(_ k: Int, _ n: Int) -> Int {
    let blocks = k / 32
    if n <= fewColumns { return roundUp64(n &* blocks &* blockColumnBytes) }
    return roundUp64((n &+ 5) / 6 &* blocks &* blockPanelBytes)
}

/// Where in the packed columns block `b` of panel `p` lies, counted in blocks.
@inline(__always)
func panelPlace(_ b: Int, _ blocks: Int, _ p: Int, _ panels: Int) -> Int {
    let start = b & ~7, left = blocks &- start
    return start &* panels &+ p &* (left < 8 ? left : 8) &+ (b &- start)
}

@inline(__always)
func packBlocks<F: BlockFormat>(
    _ format: F.Type, _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
    _ packed: UnsafeMutableRawPointer
) {
    let blocks = k / 32, panels = (n &+ 5) / 6, rest = n % panelColumns
    for c in first..<(first &+ count) {
        if n <= fewColumns {
            let target = packed + c &* blocks &* blockColumnBytes
            for b in 0..<blocks {
                let place = target + b &* blockColumnBytes
                quantizeBlock(columns[c] + b &* 128, place, 4, place + 32, place + 36, F.zero, F.hasMinimum)
            }
        } else {
            for b in 0..<blocks {
                let place = packed + (panelPlace(b, blocks, c / 6, panels) &* blockPanelBytes &+ c % 6 &* 4)
                quantizeBlock(columns[c] + b &* 128, place, 24, place + 192, place + 216, F.zero, F.hasMinimum)
            }
        }
    }
    guard n > fewColumns, rest != 0, first &+ count == n else { return }
    for b in 0..<blocks {
        let panel = packed + panelPlace(b, blocks, panels &- 1, panels) &* blockPanelBytes
        for place in rest..<panelColumns { clearColumn(panel + 4 &* place, 10) }
    }
}

/// Quantizes 32 values. Fours of bytes lie `step` bytes apart.
@inline(__always)
func quantizeBlock(
    _ x: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ step: Int, _ correction: UnsafeMutableRawPointer,
    _ scale: UnsafeMutableRawPointer, _ zero: Int32, _ plainSum: Bool
) {
    let x0 = loadFloats(x), x1 = loadFloats(x + 64)
    let bits = _mm512_reduce_max_epi32(_mm512_max_epi32(magnitudeBits(x0), magnitudeBits(x1)))
    let largest = Float(bitPattern: UInt32(bitPattern: bits))
    let inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0)
    let b0 = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse)))
    let b1 = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse)))
    let q0 = unsafeBitCast(b0, to: SIMD4<Int32>.self), q1 = unsafeBitCast(b1, to: SIMD4<Int32>.self)
    for t in 0..<4 {
        bytes.storeBytes(of: q0[t], toByteOffset: t &* step, as: Int32.self)
        bytes.storeBytes(of: q1[t], toByteOffset: (t &+ 4) &* step, as: Int32.self)
    }
    // The sum is taken over the bytes: values that are not numbers became other bytes than integers.
    let sum = _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_cvtepi8_epi32(b0), _mm512_cvtepi8_epi32(b1)))
    if plainSum {
        correction.storeBytes(of: Float(sum), as: Float.self)
    } else {
        correction.storeBytes(of: magicBits &- zero &* sum, as: Int32.self)
    }
    scale.storeBytes(of: largest / 127, as: Float.self)
}

/// Zeroes one column of a block: its `count` 32-bit values lie 24 bytes apart.
@inline(__always)
func clearColumn(_ panel: UnsafeMutableRawPointer, _ count: Int) {
    for t in 0..<count { panel.storeBytes(of: 0, toByteOffset: 24 &* t, as: Int32.self) }
}
