import KernelTable
internal import _Builtin_intrinsics.intel

// The products of the types with 256 weights to a block, from both sides: straight from the rows for few columns, and
// through panels in the first cache for many.

// A panel of 32 rows by one block: bytes [64 steps][32 rows][4] | scales [8 or 16 groups][32] Int32 |
// pairs of minima, or of scales where there are none, [4 or 8][32][2] Int16 | d [32], dmin [32] F32.
let superScalesOffset = 8192
let superPairsOffset = superScalesOffset + 16 * 128
let superFactorsOffset = superPairsOffset + 8 * 128
private let superPanelScratch = superFactorsOffset + 256

// Scratch: panel, or the buffer of the rows | tail columns' outputs | sums of all columns | copied tail rows.
private let tailOutOffset = superPanelScratch
private let sumsOffset = tailOutOffset + tailOutBytes

@inline(__always)
func superScratchBytes<F: SuperFormat>(_ format: F.Type, _ k: Int, _ n: Int) -> Int {
    sumsOffset &+ sumsBytes(n) &+ roundUp64(panelRows &* (k / 256) &* F.byteCount)
}

/// Spreads one block of each of 32 rows over the panel.
@inline(never)
func unpackSupers<F: SuperFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ panel: UnsafeMutableRawPointer
) {
    @inline(__always) func spread(_ rows: UnsafeRawPointer, _ half: Int, _ j: Int) {
        @inline(__always) func bytes(_ r: Int) -> __m512i { F.bytes(rows + r &* stride, j) }
        let target = panel + (2048 &* j &+ 64 &* half)
        storeTransposed(
            bytes(0), bytes(1), bytes(2), bytes(3), bytes(4), bytes(5), bytes(6), bytes(7), bytes(8), bytes(9), bytes(10),
            bytes(11), bytes(12), bytes(13), bytes(14), bytes(15), target, target + 1024)
    }
    for half in 0..<2 {
        let rows = weights + 16 &* half &* stride
        spread(rows, half, 0)
        spread(rows, half, 1)
        spread(rows, half, 2)
        spread(rows, half, 3)
    }
    var x = weights
    for r in 0..<panelRows {
        let place = panel + 4 &* r
        let scales = place + superScalesOffset, pairs = place + superPairsOffset, factors = place + superFactorsOffset
        if F.hasMinimum {
            let six = sixBitScales(x + 4)
            for g in 0..<8 {
                let scale = Int32(truncatingIfNeeded: (six.scales &>> UInt64(8 &* g)) & 255)
                scales.storeBytes(of: scale, toByteOffset: 128 &* g, as: Int32.self)
            }
            for g in 0..<4 {
                let two = UInt32(truncatingIfNeeded: six.minima &>> UInt64(16 &* g))
                pairs.storeBytes(of: (two & 255) | ((two & 0xff00) &<< 8), toByteOffset: 128 &* g, as: UInt32.self)
            }
            factors.storeBytes(of: halfToFloat(x.loadUnaligned(as: UInt16.self)), as: Float.self)
            let dmin = halfToFloat(x.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            factors.storeBytes(of: dmin, toByteOffset: 128, as: Float.self)
        } else {
            for g in 0..<8 {
                let low = Int16((x + (192 &+ 2 &* g)).loadUnaligned(as: Int8.self))
                let high = Int16((x + (193 &+ 2 &* g)).loadUnaligned(as: Int8.self))
                scales.storeBytes(of: Int32(low), toByteOffset: 256 &* g, as: Int32.self)
                scales.storeBytes(of: Int32(high), toByteOffset: 256 &* g &+ 128, as: Int32.self)
                pairs.storeBytes(of: low, toByteOffset: 128 &* g, as: Int16.self)
                pairs.storeBytes(of: high, toByteOffset: 128 &* g &+ 2, as: Int16.self)
            }
            let d = halfToFloat(x.loadUnaligned(fromByteOffset: 208, as: UInt16.self))
            factors.storeBytes(of: d, as: Float.self)
        }
        x += stride
    }
}

/// 32 rows times the panels `firstPanel` and on; leaves the sums as [panel][6 columns][32 rows].
@inline(never)
func superPanels<F: SuperFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ columns: UnsafeRawPointer,
    _ blockStride: Int, _ panels: Int, _ scratch: UnsafeMutableRawPointer
) {
    let sums = scratch + sumsOffset
    for b in 0..<blocks {
        unpackSupers(format, weights + b &* F.byteCount, stride, scratch)
        for p in 0..<panels {
            let a = columns + (b &* blockStride &+ p &* superPanelBytes)
            if F.hasMinimum {
                superTileMinimum(scratch, a, sums + p &* 768, b == 0)
            } else {
                superTileZero(scratch, a, sums + p &* 768, b == 0)
            }
        }
    }
}

@inline(__always)
func multiplySupers<F: SuperFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    let blocks = k / 256, rowBytes = blocks &* F.byteCount
    let out = outputs + firstColumn
    let tailRows = scratch + (sumsOffset &+ sumsBytes(n))
    var row = firstRow
    let end = firstRow &+ rowCount
    if n <= fewColumns {
        let columns = packed + firstColumn &* blocks &* superColumnBytes
        while end &- row >= 16 {
            superRowsAllColumns(format, weights + row &* stride, stride, blocks, columns, columnCount, out, row, scratch)
            row = row &+ 16
        }
        guard row < end else { return }
        let tail = TailOutputs(scratch + tailOutOffset)
        copyRows(weights + row &* stride, stride, rowBytes, end &- row, 16, tailRows)
        superRowsAllColumns(format, tailRows, rowBytes, blocks, columns, columnCount, tail.pointers, 0, scratch)
        tail.deliver(columnCount, end &- row, out, row)
    } else {
        let panels = (columnCount &+ 5) / panelColumns, blockStride = (n &+ 5) / 6 &* superPanelBytes
        let columns = packed + firstColumn / panelColumns &* superPanelBytes
        while row < end {
            let left = end &- row
            let rows = left < panelRows ? left : panelRows
            if rows == panelRows {
                superPanels(format, weights + row &* stride, stride, blocks, columns, blockStride, panels, scratch)
            } else {
                copyRows(weights + row &* stride, stride, rowBytes, rows, panelRows, tailRows)
                superPanels(format, tailRows, rowBytes, blocks, columns, blockStride, panels, scratch)
            }
            deliverSums(scratch + sumsOffset, columnCount, rows, out, row)
            row = row &+ panelRows
        }
    }
}

func addSuperProducts(_ table: UnsafeMutablePointer<ProductTable>) {
    addSuperProduct(table, TypeNumber.q4_K, Q4Super.self)
    addSuperProduct(table, TypeNumber.q5_K, Q5Super.self)
    addSuperProduct(table, TypeNumber.q6_K, Q6Super.self)
}

/// `type` is ggml's number of the element type.
@inline(__always)
func addSuperProduct<F: SuperFormat>(_ table: UnsafeMutablePointer<ProductTable>, _ type: UInt32, _ format: F.Type) {
    table.pointee.setProduct(
        type,
        packedByteCount: { packedSuperBytes($0, $1) },
        pack: { packSupers(F.self, $0, $1, $2, $3, $4, $5) },
        multiply: { multiplySupers(F.self, $0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) },
        scratchByteCount: { superScratchBytes(F.self, $0, $1) },
        rowGranularity: panelRows, columnGranularity: panelColumns)
}
