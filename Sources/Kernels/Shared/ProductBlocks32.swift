// Products with weights of 32-element blocks.
//
// Order of sums, for every result: blocks ascending, acc = acc + float(dot) · (d · scale) lane by lane, where dot is
// the block's exact integer products summed within each lane; beside it, for types with minima, the scalar sum of
// m · (scale · sum of the activation's bytes); at the end the sum of the lanes plus the latter.

/// What differs between types of 32-element blocks. The scale is a half at the block's start in all of them.
protocol Block32 {
    static var byteCount: Int { get }
    /// Whether the unpacked weights are signed; otherwise they are below 128 and the block has a minimum, a half
    /// beside the scale, that is added to each element.
    static var isSigned: Bool { get }
    static func unpack(_ block: UnsafeRawPointer) -> ByteLanes
}

enum BlockQ8_0: Block32 {
    @inline(__always) static var byteCount: Int { 34 }
    @inline(__always) static var isSigned: Bool { true }
    @inline(__always) static func unpack(_ block: UnsafeRawPointer) -> ByteLanes { loadBytes(block + 2) }
}

enum BlockQ4_0: Block32 {
    @inline(__always) static var byteCount: Int { 18 }
    @inline(__always) static var isSigned: Bool { true }
    @inline(__always) static func unpack(_ block: UnsafeRawPointer) -> ByteLanes { minus(nibblesOf16(block + 2), 8) }
}

enum BlockQ4_1: Block32 {
    @inline(__always) static var byteCount: Int { 20 }
    @inline(__always) static var isSigned: Bool { false }
    @inline(__always) static func unpack(_ block: UnsafeRawPointer) -> ByteLanes { nibblesOf16(block + 4) }
}

enum BlockQ5_0: Block32 {
    @inline(__always) static var byteCount: Int { 22 }
    @inline(__always) static var isSigned: Bool { true }
    @inline(__always) static func unpack(_ block: UnsafeRawPointer) -> ByteLanes {
        let fifths = sixteens(block.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
        return minus(union(nibblesOf16(block + 6), fifths), 16)
    }
}

enum BlockQ5_1: Block32 {
    @inline(__always) static var byteCount: Int { 24 }
    @inline(__always) static var isSigned: Bool { false }
    @inline(__always) static func unpack(_ block: UnsafeRawPointer) -> ByteLanes {
        let fifths = sixteens(block.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        return union(nibblesOf16(block + 8), fifths)
    }
}

/// A weight block ready to meet activations.
private struct Unpacked32 {
    var weights: ByteLanes
    var magnitudes: ByteLanes
    var scale: FloatLanes
    var minimum: Float
}

@inline(__always)
private func unpacked<Block: Block32>(_ type: Block.Type, _ block: UnsafeRawPointer) -> Unpacked32 {
    let weights = Block.unpack(block)
    return Unpacked32(
        weights: weights, magnitudes: Block.isSigned ? magnitudes(weights) : weights, scale: splat(loadHalf(block)),
        minimum: Block.isSigned ? 0 : loadHalf(block + 2))
}

/// A result on its way: what has been summed so far for one row and one column.
private struct Sum32 {
    var lanes = zeroFloats()
    var minima: Float = 0

    @inline(__always)
    mutating func add<Block: Block32>(
        _ type: Block.Type, _ weights: Unpacked32, _ column: UnsafeRawPointer, _ layout: Columns32, _ block: Int
    ) {
        let activations = column + 32 &* block
        let scale = column.loadUnaligned(fromByteOffset: layout.scales &+ 4 &* block, as: Float.self)
        let factor = times(weights.scale, splat(scale))
        if Block.isSigned {
            lanes = multiplyAdd(floats(dotSigned(weights.magnitudes, weights.weights, activations)), factor, lanes)
        } else {
            lanes = multiplyAdd(floats(dotUnsigned(weights.weights, activations)), factor, lanes)
            let sum = column.loadUnaligned(fromByteOffset: layout.sums &+ 4 &* block, as: Float.self)
            minima = multiplyAdd(weights.minimum, sum, minima)
        }
    }

    @inline(__always)
    var total: Float { laneSum(lanes) + minima }
}

@inline(__always)
private func multiply32<Block: Block32>(
    _ type: Block.Type, _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>
) {
    let layout = Columns32(k)
    let blocks = k / 32
    forEachTile(firstRow, rowCount, firstColumn, columnCount) { row, column in
        var block = weights + row &* rowStride
        let column0 = packed + column &* layout.stride
        let column1 = column0 + layout.stride
        let column2 = column1 + layout.stride
        let column3 = column2 + layout.stride
        var sum0 = Sum32()
        var sum1 = Sum32()
        var sum2 = Sum32()
        var sum3 = Sum32()
        for i in 0..<blocks {
            let unpacked = unpacked(type, block)
            sum0.add(type, unpacked, column0, layout, i)
            sum1.add(type, unpacked, column1, layout, i)
            sum2.add(type, unpacked, column2, layout, i)
            sum3.add(type, unpacked, column3, layout, i)
            block += Block.byteCount
        }
        outputs[column][row] = sum0.total
        outputs[column &+ 1][row] = sum1.total
        outputs[column &+ 2][row] = sum2.total
        outputs[column &+ 3][row] = sum3.total
    } oneColumn: { rows, column in
        let column0 = packed + column &* layout.stride
        for row in rows {
            var block = weights + row &* rowStride
            var sum = Sum32()
            for i in 0..<blocks {
                prefetch(block + prefetchDistance)
                sum.add(type, unpacked(type, block), column0, layout, i)
                block += Block.byteCount
            }
            outputs[column][row] = sum.total
        }
    }
}

@Sendable
func multiplyQ8_0(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiply32(BlockQ8_0.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs)
}

@Sendable
func multiplyQ4_0(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiply32(BlockQ4_0.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs)
}

@Sendable
func multiplyQ4_1(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiply32(BlockQ4_1.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs)
}

@Sendable
func multiplyQ5_0(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiply32(BlockQ5_0.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs)
}

@Sendable
func multiplyQ5_1(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiply32(BlockQ5_1.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs)
}
