import KernelTable
internal import _Builtin_intrinsics.intel

// Activations for floating-point weights stay F32: panels of six columns (the last one of what is left),
// [step of sixteen values][column][16], padded with zeros to a whole step.

/// Bytes of weights taken through all columns before the next ones: they stay in the second cache meanwhile.
private let floatRowsBytes = 512 * 1024

func packedFloatBytes(_ k: Int, _ n: Int) -> Int { n &* ((k &+ 15) / 16) &* 64 }

func packFloats(
    _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
    _ packed: UnsafeMutableRawPointer
) {
    let steps = k / 16, rest = k % 16, allSteps = (k &+ 15) / 16
    for c in first..<(first &+ count) {
        let panel = c / panelColumns &* panelColumns
        let width = n &- panel < panelColumns ? n &- panel : panelColumns
        var target = packed + (panel &* allSteps &+ (c &- panel)) &* 64
        var source = columns[c]
        for _ in 0..<steps {
            store(load512(source), target)
            source += 64
            target += 64 &* width
        }
        if rest != 0 {
            store(_mm512_maskz_loadu_ps(UInt16(truncatingIfNeeded: (1 &<< rest) &- 1), source), target)
        }
    }
}

@inline(__always)
func multiplyFloats<F: FloatFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ stride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    let steps = k / 16, columnBytes = (k &+ 15) / 16 &* 64
    let mask = UInt16(truncatingIfNeeded: (1 &<< (k % 16)) &- 1)
    let end = firstRow &+ rowCount
    if n == 1 {
        var row = firstRow
        while row < end {
            let left = end &- row
            let sums = floatRows(format, weights + row &* stride, stride, left &- 1, steps, mask, packed, 16 &* stride)
            let target = outputs[0] + row
            if left >= 16 {
                store(sums, UnsafeMutableRawPointer(target))
            } else {
                _mm512_mask_storeu_ps(target, UInt16(truncatingIfNeeded: (1 &<< left) &- 1), sums)
            }
            row = row &+ 16
        }
        return
    }
    let fitting = floatRowsBytes / (stride > 0 ? stride : 1) & ~3
    let chunk = fitting < 32 ? 32 : fitting
    var chunkStart = firstRow
    while chunkStart < end {
        let chunkEnd = end &- chunkStart < chunk ? end : chunkStart &+ chunk
        var column = firstColumn, left = columnCount
        while left > 0 {
            let nc = left < panelColumns ? left : panelColumns
            let columns = packed + column &* columnBytes
            var row = chunkStart
            while row < chunkEnd {
                let w = weights + row &* stride, last = chunkEnd &- row &- 1
                switch nc {
                case 6: floatTile(format, w, stride, last, steps, mask, columns, 6, scratch)
                case 5: floatTile(format, w, stride, last, steps, mask, columns, 5, scratch)
                case 4: floatTile(format, w, stride, last, steps, mask, columns, 4, scratch)
                case 3: floatTile(format, w, stride, last, steps, mask, columns, 3, scratch)
                case 2: floatTile(format, w, stride, last, steps, mask, columns, 2, scratch)
                default: floatTile(format, w, stride, last, steps, mask, columns, 1, scratch)
                }
                for c in 0..<nc {
                    let target = UnsafeMutableRawPointer(outputs[column &+ c] + row), source = scratch + 16 &* c
                    if last >= 3 {
                        target.storeBytes(of: load128(source), as: __m128i.self)
                    } else {
                        target.copyMemory(from: source, byteCount: 4 &* (last &+ 1))
                    }
                }
                row = row &+ 4
            }
            column = column &+ nc
            left = left &- nc
        }
        chunkStart = chunkEnd
    }
}

func addFloatProducts(_ table: UnsafeMutablePointer<ProductTable>) {
    addFloatProduct(table, TypeNumber.f32, Float32Weights.self)
    addFloatProduct(table, TypeNumber.f16, Float16Weights.self)
    addFloatProduct(table, TypeNumber.bf16, BrainFloat16Weights.self)
}

/// `type` is ggml's number of the element type.
@inline(__always)
func addFloatProduct<F: FloatFormat>(_ table: UnsafeMutablePointer<ProductTable>, _ type: UInt32, _ format: F.Type) {
    table.pointee.setProduct(
        type,
        packedByteCount: { packedFloatBytes($0, $1) },
        pack: { packFloats($0, $1, $2, $3, $4, $5) },
        multiply: { multiplyFloats(F.self, $0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) },
        scratchByteCount: { _, _ in 128 },
        rowGranularity: panelRows, columnGranularity: panelColumns)
}
