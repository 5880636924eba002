// Products with weights of 256-element blocks, the K types.
//
// Order of sums, for every result: blocks ascending. A block's products times the integer scales of its sub-blocks
// are summed exactly within each lane, then acc = acc + float(sum) · (d · scale) lane by lane; types with minima
// follow with acc = acc - float(minima · sums of activations) · (dmin · scale). At the end the sum of the lanes.

/// What of a block is not weights.
struct Header256 {
    var d: FloatLanes
    var dmin: FloatLanes
    /// The scales of sub-blocks, for types that keep them in eight bytes once unpacked.
    var scales: UInt64
    /// What the sums of each 16 activations are multiplied by: minima, or scales of weights that are stored 32 too
    /// large.
    var sumFactors: ShortLanes
}

/// Two parts of 32 weights, unsigned, with the scale in each one's place.
struct Parts256 {
    var low: ByteLanes
    var high: ByteLanes
    var lowScales: ShortLanes
    var highScales: ShortLanes
    /// Which 32 of the 256 elements the parts are.
    var lowIndex: Int
    var highIndex: Int
}

/// What differs between types of 256-element blocks.
protocol Block256 {
    static var byteCount: Int { get }
    /// Whether sub-blocks have minima; otherwise weights are stored with 32 added.
    static var hasMinima: Bool { get }
    static func header(_ block: UnsafeRawPointer) -> Header256
    /// `pair` from 0 to 3.
    static func parts(_ block: UnsafeRawPointer, _ header: Header256, _ pair: Int) -> Parts256
}

@inline(__always)
private func scaleOfPart(_ scales: UInt64, _ part: Int) -> ShortLanes {
    splatShorts(Int16(truncatingIfNeeded: (scales &>> UInt64(truncatingIfNeeded: 8 &* part)) & 255))
}

@inline(__always)
private func headerWithMinima(_ block: UnsafeRawPointer) -> Header256 {
    let (scales, minima) = scalesAndMinima(block + 4)
    return Header256(
        d: splat(loadHalf(block)), dmin: splat(loadHalf(block + 2)), scales: scales, sumFactors: doubledShorts(minima))
}

enum BlockQ4_K: Block256 {
    @inline(__always) static var byteCount: Int { 144 }
    @inline(__always) static var hasMinima: Bool { true }
    @inline(__always) static func header(_ block: UnsafeRawPointer) -> Header256 { headerWithMinima(block) }

    @inline(__always)
    static func parts(_ block: UnsafeRawPointer, _ header: Header256, _ pair: Int) -> Parts256 {
        let nibbles = loadBytes(block + (16 &+ 32 &* pair))
        return Parts256(
            low: lowNibbles(nibbles), high: highNibbles(nibbles), lowScales: scaleOfPart(header.scales, 2 &* pair),
            highScales: scaleOfPart(header.scales, 2 &* pair &+ 1), lowIndex: 2 &* pair, highIndex: 2 &* pair &+ 1)
    }
}

enum BlockQ5_K: Block256 {
    @inline(__always) static var byteCount: Int { 176 }
    @inline(__always) static var hasMinima: Bool { true }
    @inline(__always) static func header(_ block: UnsafeRawPointer) -> Header256 { headerWithMinima(block) }

    @inline(__always)
    static func parts(_ block: UnsafeRawPointer, _ header: Header256, _ pair: Int) -> Parts256 {
        let nibbles = loadBytes(block + (48 &+ 32 &* pair))
        let fifths = field(loadBytes(block + 16), Int32(truncatingIfNeeded: 2 &* pair), 3)
        return Parts256(
            low: union(lowNibbles(nibbles), fieldUp(fifths, 4, 16)),
            high: union(highNibbles(nibbles), fieldUp(fifths, 3, 16)),
            lowScales: scaleOfPart(header.scales, 2 &* pair), highScales: scaleOfPart(header.scales, 2 &* pair &+ 1),
            lowIndex: 2 &* pair, highIndex: 2 &* pair &+ 1)
    }
}

enum BlockQ6_K: Block256 {
    @inline(__always) static var byteCount: Int { 210 }
    @inline(__always) static var hasMinima: Bool { false }

    @inline(__always)
    static func header(_ block: UnsafeRawPointer) -> Header256 {
        Header256(
            d: splat(loadHalf(block + 208)), dmin: zeroFloats(), scales: 0, sumFactors: widenedShorts(block + 192))
    }

    /// The low nibbles of 32 bytes belong to the half block's first or second 32 elements, the high ones to those 64
    /// elements later; the two top bits of the half's four runs of 32 lie above each other in one set of bytes.
    @inline(__always)
    static func parts(_ block: UnsafeRawPointer, _ header: Header256, _ pair: Int) -> Parts256 {
        let half = pair / 2
        let run = pair % 2
        let nibbles = loadBytes(block + 32 &* pair)
        let tops = loadBytes(block + (128 &+ 32 &* half))
        let shift = Int32(truncatingIfNeeded: 2 &* run)
        let index = 4 &* half &+ run
        return Parts256(
            low: union(lowNibbles(nibbles), fieldUp(tops, 4 &- shift, 48)),
            high: union(highNibbles(nibbles), field(tops, shift, 48)),
            lowScales: pairOfShorts(block + 192, index), highScales: pairOfShorts(block + 192, index &+ 2),
            lowIndex: index, highIndex: index &+ 2)
    }
}

/// A result on its way: what has been summed so far for one row and one column.
private struct Sum256 {
    var lanes = zeroFloats()
    /// Of the block at hand.
    var products = zeroInts()

    @inline(__always)
    mutating func add(_ parts: Parts256, _ activations: UnsafeRawPointer) {
        products = plus(products, dotScaled(parts.low, activations + 32 &* parts.lowIndex, parts.lowScales))
        products = plus(products, dotScaled(parts.high, activations + 32 &* parts.highIndex, parts.highScales))
    }

    @inline(__always)
    mutating func finish<Block: Block256>(
        _ type: Block.Type, _ header: Header256, _ column: UnsafeRawPointer, _ layout: Columns256, _ block: Int
    ) {
        let scale = splat(column.loadUnaligned(fromByteOffset: layout.scales &+ 4 &* block, as: Float.self))
        let sums = dotShorts(header.sumFactors, loadShorts(column + (layout.sums &+ 32 &* block)))
        if Block.hasMinima {
            lanes = multiplyAdd(floats(products), times(header.d, scale), lanes)
            lanes = multiplySubtract(floats(sums), times(header.dmin, scale), lanes)
        } else {
            lanes = multiplyAdd(floats(minus32(products, sums)), times(header.d, scale), lanes)
        }
        products = zeroInts()
    }
}

@inline(__always)
private func multiply256<Block: Block256>(
    _ type: Block.Type, _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>
) {
    let layout = Columns256(k)
    let blocks = k / 256
    forEachTile(firstRow, rowCount, firstColumn, columnCount) { row, column in
        var block = weights + row &* rowStride
        let column0 = packed + column &* layout.stride
        let column1 = column0 + layout.stride
        let column2 = column1 + layout.stride
        let column3 = column2 + layout.stride
        var sum0 = Sum256()
        var sum1 = Sum256()
        var sum2 = Sum256()
        var sum3 = Sum256()
        for i in 0..<blocks {
            let header = Block.header(block)
            let start = 256 &* i
            for pair in 0..<4 {
                let parts = Block.parts(block, header, pair)
                sum0.add(parts, column0 + start)
                sum1.add(parts, column1 + start)
                sum2.add(parts, column2 + start)
                sum3.add(parts, column3 + start)
            }
            sum0.finish(type, header, column0, layout, i)
            sum1.finish(type, header, column1, layout, i)
            sum2.finish(type, header, column2, layout, i)
            sum3.finish(type, header, column3, layout, i)
            block += Block.byteCount
        }
        outputs[column][row] = laneSum(sum0.lanes)
        outputs[column &+ 1][row] = laneSum(sum1.lanes)
        outputs[column &+ 2][row] = laneSum(sum2.lanes)
        outputs[column &+ 3][row] = laneSum(sum3.lanes)
    } oneColumn: { rows, column in
        let column0 = packed + column &* layout.stride
        for row in rows {
            var block = weights + row &* rowStride
            var sum = Sum256()
            for i in 0..<blocks {
                prefetch(block + prefetchDistance)
                prefetch(block + (prefetchDistance &+ 64))
                prefetch(block + (prefetchDistance &+ 128))
                let header = Block.header(block)
                for pair in 0..<4 { sum.add(Block.parts(block, header, pair), column0 + 256 &* i) }
                sum.finish(type, header, column0, layout, i)
                block += Block.byteCount
            }
            outputs[column][row] = laneSum(sum.lanes)
        }
    }
}

@Sendable
func multiplyQ4_K(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiply256(BlockQ4_K.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs)
}

@Sendable
func multiplyQ5_K(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiply256(BlockQ5_K.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs)
}

@Sendable
func multiplyQ6_K(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiply256(BlockQ6_K.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs)
}
