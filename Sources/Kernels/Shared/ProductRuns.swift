internal import KernelTable

// Products with weights of any quantized type: rows are unpacked one at a time into signed bytes with an F32 scale (and
// for some types a minimum) for each run of 16, and then meet all the columns.
//
// Order of sums, for every result: registers of weights ascending, acc = acc + float(dot) · (scale · activations' scale)
// lane by lane, where dot is exact; then the lanes; then, for types with minima, the sum of minima times the activations'
// sums.

/// What differs between types.
protocol RunFormat: SendableMetatype {
    static var byteCount: Int { get }
    static var elementCount: Int { get }
    static var hasMinima: Bool { get }
    /// Unpacks a block: `elementCount` signed bytes, a scale for each 16, and a minimum if there are any.
    static func unpack(
        _ block: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scales: MutableFloats, _ minima: MutableFloats)
}

/// A packed column: a signed byte for each value, a scale for each 32, for each 16 the sum of the bytes times the scale.
/// Lengths are filled up with zeros to whole numbers of 64.
struct ColumnsRuns {
    let padded: Int
    let sums: Int
    let stride: Int

    @inline(__always)
    init(_ k: Int) {
        padded = (k &+ 63) & ~63
        sums = padded &+ padded / 8
        stride = (sums &+ padded / 4 &+ 63) & ~63
    }
}

/// Quantizes 32 values to bytes under one scale. What is no number gets such a scale.
@inline(__always)
private func quantizeRuns(
    _ values: UnsafeRawPointer, _ bytes: UnsafeMutableRawPointer, _ scale: UnsafeMutableRawPointer,
    _ sums: UnsafeMutableRawPointer
) {
    @inline(__always) func part(_ i: Int) -> SIMD8<Float> { values.loadUnaligned(fromByteOffset: 32 &* i, as: SIMD8<Float>.self) }
    @inline(__always) func pattern(_ i: Int) -> SIMD8<Int32> {
        unsafeBitCast(part(i), to: SIMD8<Int32>.self) & SIMD8(repeating: 0x7fff_ffff)
    }
    @inline(__always) func larger(_ a: SIMD8<Int32>, _ b: SIMD8<Int32>) -> SIMD8<Int32> { a.replacing(with: b, where: b .> a) }
    // As integers, a NaN's pattern is larger than all others.
    let eight = larger(larger(pattern(0), pattern(1)), larger(pattern(2), pattern(3)))
    var pick: Int32 = 0
    for i in 0..<8 { pick = eight[i] > pick ? eight[i] : pick }
    let largest = Float(bitPattern: UInt32(bitPattern: pick))
    let inverse = SIMD8<Float>(repeating: largest == 0 ? 0 : 127 / largest)
    let step = largest / 127
    scale.storeBytes(of: step, as: Float.self)
    @inline(__always) func store(_ i: Int) -> SIMD8<Int32> {
        // The sum's lowest bits are the integer nearest to the product.
        let magic = part(i) * inverse + SIMD8(repeating: 0x1.8p23)
        let rounded = SIMD8<Int8>(truncatingIfNeeded: unsafeBitCast(magic, to: SIMD8<Int32>.self))
        bytes.storeBytes(of: rounded, toByteOffset: 8 &* i, as: SIMD8<Int8>.self)
        return SIMD8<Int32>(truncatingIfNeeded: rounded)
    }
    let first = store(0) &+ store(1)
    let second = store(2) &+ store(3)
    sums.storeBytes(of: step * Float(first.wrappedSum()), as: Float.self)
    sums.storeBytes(of: step * Float(second.wrappedSum()), toByteOffset: 4, as: Float.self)
}

@Sendable
func packColumnsRuns(
    _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
    _ packed: UnsafeMutableRawPointer
) {
    let layout = ColumnsRuns(k)
    for column in first..<(first &+ count) {
        let target = packed + column &* layout.stride
        let scales = target + layout.padded
        let sums = target + layout.sums
        for block in 0..<(k / 32) {
            quantizeRuns(columns[column] + 128 &* block, target + 32 &* block, scales + 4 &* block, sums + 8 &* block)
        }
        guard k < layout.padded else { continue }
        for i in 0..<4 { target.storeBytes(of: 0, toByteOffset: k &+ 8 &* i, as: UInt64.self) }
        scales.storeBytes(of: 0, toByteOffset: k / 8, as: Float.self)
        sums.storeBytes(of: 0, toByteOffset: k / 4, as: UInt64.self)
    }
}

/// An unpacked row.
private struct RunRow {
    let bytes: UnsafeMutableRawPointer
    let scales: MutableFloats
    let minima: MutableFloats

    @inline(__always)
    init(_ scratch: UnsafeMutableRawPointer, _ padded: Int) {
        bytes = scratch
        scales = (scratch + padded).assumingMemoryBound(to: Float.self)
        minima = (scratch + (padded &+ padded / 4)).assumingMemoryBound(to: Float.self)
    }

    @inline(__always)
    func unpack<F: RunFormat>(_ format: F.Type, _ row: UnsafeRawPointer, _ k: Int, _ padded: Int) {
        var block = row
        var start = 0
        while start < k {
            prefetch(block + 2048)
            F.unpack(block, bytes + start, scales + start / 16, minima + start / 16)
            block += F.byteCount
            start = start &+ F.elementCount
        }
        guard k < padded else { return }
        for i in 0..<4 { bytes.storeBytes(of: 0, toByteOffset: k &+ 8 &* i, as: UInt64.self) }
        scales[k / 16] = 0
        scales[k / 16 &+ 1] = 0
    }

    /// The minima's share of a result.
    @inline(__always)
    func minimaTimes(_ sums: UnsafeRawPointer, _ k: Int) -> Float {
        let sums = sums.assumingMemoryBound(to: Float.self)
        var acc = lanes(0)
        var i = 0
        while i < k / 16 {
            acc = fused(load(minima + i), load(sums + i), acc)
            i = i &+ laneCount
        }
        return total(acc)
    }
}

@inline(__always)
private func multiplyRuns<F: RunFormat>(
    _ format: F.Type, _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    let layout = ColumnsRuns(k)
    let unpacked = RunRow(scratch, layout.padded)
    for row in firstRow..<(firstRow &+ rowCount) {
        unpacked.unpack(format, weights + row &* rowStride, k, layout.padded)
        @inline(__always) func deliver(_ sum: Lanes, _ column: Int, _ at: UnsafeRawPointer) {
            let minima = F.hasMinima ? unpacked.minimaTimes(at + layout.sums, k) : 0
            outputs[column][row] = total(sum) + minima
        }
        var column = firstColumn
        let end = firstColumn &+ columnCount
        while column &+ 4 <= end {
            let column0 = packed + column &* layout.stride
            let column1 = column0 + layout.stride
            let column2 = column1 + layout.stride
            let column3 = column2 + layout.stride
            var sum0 = lanes(0)
            var sum1 = sum0
            var sum2 = sum0
            var sum3 = sum0
            var i = 0
            while i < layout.padded {
                let w = RunWeights(unpacked.bytes + i, unpacked.scales + i / 16)
                let place = layout.padded
                sum0 = fused(w.dots(column0 + i), w.scales * activationScales(column0 + place, i), sum0)
                sum1 = fused(w.dots(column1 + i), w.scales * activationScales(column1 + place, i), sum1)
                sum2 = fused(w.dots(column2 + i), w.scales * activationScales(column2 + place, i), sum2)
                sum3 = fused(w.dots(column3 + i), w.scales * activationScales(column3 + place, i), sum3)
                i = i &+ runWeightCount
            }
            deliver(sum0, column, column0)
            deliver(sum1, column &+ 1, column1)
            deliver(sum2, column &+ 2, column2)
            deliver(sum3, column &+ 3, column3)
            column = column &+ 4
        }
        while column < end {
            let column0 = packed + column &* layout.stride
            var sum0 = lanes(0)
            var i = 0
            while i < layout.padded {
                let w = RunWeights(unpacked.bytes + i, unpacked.scales + i / 16)
                sum0 = fused(w.dots(column0 + i), w.scales * activationScales(column0 + layout.padded, i), sum0)
                i = i &+ runWeightCount
            }
            deliver(sum0, column, column0)
            column = column &+ 1
        }
    }
}

func addRunProducts(_ table: UnsafeMutablePointer<ProductTable>) {
    addRunProduct(table, TypeNumber.q2_K, RunsQ2_K.self)
    addRunProduct(table, TypeNumber.q3_K, RunsQ3_K.self)
    addRunProduct(table, TypeNumber.iq4_nl, RunsIQ4_NL.self)
    addRunProduct(table, TypeNumber.iq4_xs, RunsIQ4_XS.self)
    addRunProduct(table, TypeNumber.mxfp4, RunsMXFP4.self)
    addRunProduct(table, TypeNumber.nvfp4, RunsNVFP4.self)
    addRunProduct(table, TypeNumber.tq1_0, RunsTQ1_0.self)
    addRunProduct(table, TypeNumber.tq2_0, RunsTQ2_0.self)
    addRunProduct(table, TypeNumber.q1_0, RunsQ1_0.self)
    addRunProduct(table, TypeNumber.q2_0, RunsQ2_0.self)
    addRunProduct(table, TypeNumber.iq2_xxs, RunsIQ2_XXS.self)
    addRunProduct(table, TypeNumber.iq2_xs, RunsIQ2_XS.self)
    addRunProduct(table, TypeNumber.iq2_s, RunsIQ2_S.self)
    addRunProduct(table, TypeNumber.iq3_xxs, RunsIQ3_XXS.self)
    addRunProduct(table, TypeNumber.iq3_s, RunsIQ3_S.self)
    addRunProduct(table, TypeNumber.iq1_s, RunsIQ1_S.self)
    addRunProduct(table, TypeNumber.iq1_m, RunsIQ1_M.self)
}

/// `type` is ggml's number of the element type.
@inline(__always)
private func addRunProduct<F: RunFormat>(_ table: UnsafeMutablePointer<ProductTable>, _ type: UInt32, _ format: F.Type) {
    table.pointee.setProduct(
        type,
        packedByteCount: { ColumnsRuns($0).stride &* $1 },
        pack: packColumnsRuns,
        multiply: { multiplyRuns(F.self, $0, $1, $2, $3, $4, $5, $7, $8, $9, $10) },
        scratchByteCount: { k, _ in ColumnsRuns(k).padded &* 3 / 2 },
        rowGranularity: 1, columnGranularity: 4)
}
