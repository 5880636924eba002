// How activation columns lie in packed memory: one after the other, each a whole number of cache lines.

/// A column for weights of 32-element blocks: a signed byte for each value; for each 32 values a scale; for each 32
/// values the sum of their bytes times the scale, which types with minima need.
struct Columns32 {
    let scales: Int
    let sums: Int
    let stride: Int

    @inline(__always)
    init(_ k: Int) {
        let blocks = k / 32
        scales = k
        sums = k &+ 4 &* blocks
        stride = (k &+ 8 &* blocks &+ 63) & ~63
    }
}

/// A column for weights of 256-element blocks: a signed byte for each value; for each 256 values the sums of the bytes
/// of each 16, in 16 bits; for each 256 values a scale.
struct Columns256 {
    let sums: Int
    let scales: Int
    let stride: Int

    @inline(__always)
    init(_ k: Int) {
        let blocks = k / 256
        sums = k
        scales = k &+ 32 &* blocks
        stride = (k &+ 36 &* blocks &+ 63) & ~63
    }
}

/// A column for float weights: its values, and zeros up to a whole number of vectors.
struct ColumnsFloat {
    let stride: Int

    @inline(__always)
    init(_ k: Int) { stride = (4 &* k &+ 63) & ~63 }
}

@Sendable
func packedByteCount32(_ k: Int, _ n: Int) -> Int { Columns32(k).stride &* n }

@Sendable
func packedByteCount256(_ k: Int, _ n: Int) -> Int { Columns256(k).stride &* n }

@Sendable
func packedByteCountFloat(_ k: Int, _ n: Int) -> Int { ColumnsFloat(k).stride &* n }

/// Packs columns for weights of 32-element blocks. A block that holds an infinity or a NaN gets such a scale, so that
/// the sums it takes part in are no numbers either.
@Sendable
func packColumns32(
    _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
    _ packed: UnsafeMutableRawPointer
) {
    let layout = Columns32(k)
    for column in first..<(first &+ count) {
        let target = packed + column &* layout.stride
        var values = columns[column]
        for block in 0..<(k / 32) {
            let largest = largestValue(largestPattern(values))
            let scale = largest / 127
            let inverse = largest == 0 ? 0 : 127 / largest
            let bytes = storeRounded(values, splat(inverse), target + 32 &* block)
            let (low, high) = halfSums(bytes)
            target.storeBytes(of: scale, toByteOffset: layout.scales &+ 4 &* block, as: Float.self)
            let sum = scale * Float(low &+ high)
            target.storeBytes(of: sum, toByteOffset: layout.sums &+ 4 &* block, as: Float.self)
            values += 128
        }
    }
}

/// Packs columns for weights of 256-element blocks; infinities and NaNs as with `packColumns32`.
@Sendable
func packColumns256(
    _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
    _ packed: UnsafeMutableRawPointer
) {
    let layout = Columns256(k)
    for column in first..<(first &+ count) {
        let target = packed + column &* layout.stride
        var values = columns[column]
        for block in 0..<(k / 256) {
            var patterns = largestPattern(values)
            for part in 1..<8 { patterns = largerPattern(patterns, largestPattern(values + 128 &* part)) }
            let largest = largestValue(patterns)
            let scale = largest / 127
            let inverse = splat(largest == 0 ? 0 : 127 / largest)
            target.storeBytes(of: scale, toByteOffset: layout.scales &+ 4 &* block, as: Float.self)
            for part in 0..<8 {
                let bytes = storeRounded(values + 128 &* part, inverse, target + (256 &* block &+ 32 &* part))
                let (low, high) = halfSums(bytes)
                let sums = target + (layout.sums &+ 32 &* block &+ 4 &* part)
                sums.storeBytes(of: Int16(truncatingIfNeeded: low), as: Int16.self)
                sums.storeBytes(of: Int16(truncatingIfNeeded: high), toByteOffset: 2, as: Int16.self)
            }
            values += 1024
        }
    }
}

/// Copies columns for float weights.
@Sendable
func packColumnsFloat(
    _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
    _ packed: UnsafeMutableRawPointer
) {
    let layout = ColumnsFloat(k)
    for column in first..<(first &+ count) {
        let target = packed + column &* layout.stride
        target.copyMemory(from: columns[column], byteCount: 4 &* k)
        var padding = 4 &* k
        while padding < layout.stride {
            target.storeBytes(of: 0, toByteOffset: padding, as: Float.self)
            padding = padding &+ 4
        }
    }
}
