import KernelTable
internal import _Builtin_intrinsics.intel

// The products of the types with 32 weights to a block, from both sides: straight from the rows for few columns, and
// through panels in the first cache for many.

/// Blocks of 32 that a panel holds; with its scales it fits the first cache beside the columns that stream past.
let panelBlocks = 8
let panelRows = 32

// Scratch: panel of bytes, scales and minima | ring of scales | tail columns' outputs | sums of all columns | copied
// tail rows.
private let ringOffset = panelBlocks * 1024 + 2 * panelBlocks * 128
private let tailOutOffset = ringOffset + scaleRingBytes
private let sumsOffset = tailOutOffset + tailOutBytes

func sumsBytes(_ n: Int) -> Int { n <= fewColumns ? 0 : (n &+ 5) / 6 &* 768 }

@inline(__always)
func blockScratchBytes<F: BlockFormat>(_ format: F.Type, _ k: Int, _ n: Int) -> Int {
    sumsOffset &+ sumsBytes(n) &+ roundUp64(panelRows &* (k / 32) &* F.byteCount)
}

/// Spreads `count` blocks of 32 rows over the panel: 4 bytes of each row side by side, see `blockTile`.
@inline(never)
func unpackBlocks<F: BlockFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ count: Int, _ panel: UnsafeMutableRawPointer
) {
    let scales = panel + panelBlocks &* 1024, minima = scales + panelBlocks &* 128
    for b in 0..<count {
        let target = panel + b &* 1024
        var block = weights + b &* F.byteCount
        // Rows r and r + 16 share a vector: its first eight values are steps of the one, the others of the other.
        @inline(__always) func bytes(_ r: Int) -> __m512i {
            F.pair(block + r &* stride, block + (r &+ 16) &* stride)
        }
        storeTransposed(
            bytes(0), bytes(1), bytes(2), bytes(3), bytes(4), bytes(5), bytes(6), bytes(7), bytes(8), bytes(9),
            bytes(10), bytes(11), bytes(12), bytes(13), bytes(14), bytes(15), target, target + 64)
        for r in 0..<16 {
            let other = block + 16 &* stride
            let place = 128 &* b &+ 4 &* r
            let d0 = block.loadUnaligned(as: UInt16.self), d1 = other.loadUnaligned(as: UInt16.self)
            scales.storeBytes(of: halfToFloat(d0), toByteOffset: place, as: Float.self)
            scales.storeBytes(of: halfToFloat(d1), toByteOffset: place &+ 64, as: Float.self)
            if F.hasMinimum {
                let m0 = block.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
                let m1 = other.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
                minima.storeBytes(of: halfToFloat(m0), toByteOffset: place, as: Float.self)
                minima.storeBytes(of: halfToFloat(m1), toByteOffset: place &+ 64, as: Float.self)
            }
            block += stride
        }
    }
}

/// 32 rows times `panels` panels of columns from `firstPanel` on, of `allPanels` that are packed; leaves the sums as
/// [panel][6 columns][32 rows].
@inline(never)
func blockPanels<F: BlockFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ blocks: Int, _ packed: UnsafeRawPointer,
    _ allPanels: Int, _ firstPanel: Int, _ panels: Int, _ scratch: UnsafeMutableRawPointer
) {
    let scales = scratch + panelBlocks &* 1024, minima = scales + panelBlocks &* 128
    let sums = scratch + sumsOffset
    var b = 0
    while b < blocks {
        let left = blocks &- b
        let count = left < panelBlocks ? left : panelBlocks
        unpackBlocks(format, weights + b &* F.byteCount, stride, count, scratch)
        for p in 0..<panels {
            let a = packed + panelPlace(b, blocks, firstPanel &+ p, allPanels) &* blockPanelBytes
            if F.hasMinimum {
                blockTileMinimum(scratch, scales, minima, a, count, sums + p &* 768, b == 0)
            } else {
                blockTilePlain(scratch, scales, a, count, sums + p &* 768, b == 0)
            }
        }
        b = b &+ panelBlocks
    }
}

/// Copies `rows` (at most 32) sums of each column to where the result lies.
func deliverSums(
    _ sums: UnsafeRawPointer, _ columnCount: Int, _ rows: Int, _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ row: Int
) {
    for c in 0..<columnCount {
        let target = UnsafeMutableRawPointer(outputs[c] + row)
        let source = sums + c &* 128
        if rows == panelRows {
            store(load512(source), target)
            store(load512(source + 64), target + 64)
        } else {
            target.copyMemory(from: source, byteCount: 4 &* rows)
        }
    }
}

@inline(__always)
func multiplyBlocks<F: BlockFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    let blocks = k / 32, rowBytes = blocks &* F.byteCount
    let out = outputs + firstColumn
    let tailRows = scratch + (sumsOffset &+ sumsBytes(n))
    var row = firstRow
    let end = firstRow &+ rowCount
    if n <= fewColumns {
        let columns = packed + firstColumn &* blocks &* blockColumnBytes
        let ring = scratch + ringOffset
        while end &- row >= 16 {
            blockRowsAllColumns(format, weights + row &* stride, stride, blocks, columns, columnCount, out, row, ring)
            row = row &+ 16
        }
        guard row < end else { return }
        let tail = TailOutputs(scratch + tailOutOffset)
        copyRows(weights + row &* stride, stride, rowBytes, end &- row, 16, tailRows)
        blockRowsAllColumns(format, tailRows, rowBytes, blocks, columns, columnCount, tail.pointers, 0, ring)
        tail.deliver(columnCount, end &- row, out, row)
    } else {
        let panels = (columnCount &+ 5) / panelColumns
        let allPanels = (n &+ 5) / panelColumns, firstPanel = firstColumn / panelColumns
        while row < end {
            let left = end &- row
            let rows = left < panelRows ? left : panelRows
            if rows == panelRows {
                let w = weights + row &* stride
                blockPanels(format, w, stride, blocks, packed, allPanels, firstPanel, panels, scratch)
            } else {
                copyRows(weights + row &* stride, stride, rowBytes, rows, panelRows, tailRows)
                blockPanels(format, tailRows, rowBytes, blocks, packed, allPanels, firstPanel, panels, scratch)
            }
            deliverSums(scratch + sumsOffset, columnCount, rows, out, row)
            row = row &+ panelRows
        }
    }
}

/// Room for the pointers and sixteen rows of each of the few columns.
let tailOutBytes = 64 + fewColumns * 64

/// Sixteen rows of a few columns' results where the rows that do not exist may be written too.
struct TailOutputs {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<Float>>

    /// `place` has room for ``tailOutBytes``.
    @inline(__always)
    init(_ place: UnsafeMutableRawPointer) {
        pointers = place.assumingMemoryBound(to: UnsafeMutablePointer<Float>.self)
        let values = (place + 64).assumingMemoryBound(to: Float.self)
        for c in 0..<fewColumns { pointers[c] = values + 16 &* c }
    }

    @inline(__always)
    func deliver(_ columns: Int, _ rows: Int, _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ row: Int) {
        for c in 0..<columns {
            for r in 0..<rows { outputs[c][row &+ r] = pointers[c][r] }
        }
    }
}

func addBlockProducts(_ table: UnsafeMutablePointer<ProductTable>) {
    addBlockProduct(table, TypeNumber.q4_0, Q4Block0.self)
    addBlockProduct(table, TypeNumber.q4_1, Q4Block1.self)
    addBlockProduct(table, TypeNumber.q5_0, Q5Block0.self)
    addBlockProduct(table, TypeNumber.q5_1, Q5Block1.self)
    addBlockProduct(table, TypeNumber.q8_0, Q8Block0.self)
    addBlockProduct(table, TypeNumber.iq4_nl, IQ4Block.self)
}

/// `type` is ggml's number of the element type.
@inline(__always)
func addBlockProduct<F: BlockFormat>(_ table: UnsafeMutablePointer<ProductTable>, _ type: UInt32, _ format: F.Type) {
    table.pointee.setProduct(
        type,
        packedByteCount: { packedBlockBytes($0, $1) },
        pack: { packBlocks(F.self, $0, $1, $2, $3, $4, $5) },
        multiply: { multiplyBlocks(F.self, $0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) },
        scratchByteCount: { blockScratchBytes(F.self, $0, $1) },
        rowGranularity: panelRows, columnGranularity: panelColumns)
}
