// Products with float weights: F32, F16, BF16 by F32 activations.
//
// Order of sums, for every result: vectors of weights ascending, the even ones into one accumulator, the odd ones into
// another, lane by lane; the last pair of vectors is filled up with zeros. At the end the sum of the two, then of the
// lanes.

/// What differs between the float types.
protocol FloatFormat {
    static var byteCount: Int { get }
    static func load(_ pointer: UnsafeRawPointer) -> FloatLanes
}

enum FormatF32: FloatFormat {
    @inline(__always) static var byteCount: Int { 4 }
    @inline(__always) static func load(_ pointer: UnsafeRawPointer) -> FloatLanes { loadFloats(pointer) }
}

enum FormatF16: FloatFormat {
    @inline(__always) static var byteCount: Int { 2 }
    @inline(__always) static func load(_ pointer: UnsafeRawPointer) -> FloatLanes { loadHalfLanes(pointer) }
}

enum FormatBF16: FloatFormat {
    @inline(__always) static var byteCount: Int { 2 }
    @inline(__always) static func load(_ pointer: UnsafeRawPointer) -> FloatLanes { loadBfloats(pointer) }
}

/// A result on its way: what has been summed so far for one row and one column.
private struct SumFloat {
    var even = zeroFloats()
    var odd = zeroFloats()

    @inline(__always)
    mutating func add(_ first: FloatLanes, _ second: FloatLanes, _ activations: UnsafeRawPointer) {
        even = multiplyAdd(first, loadFloats(activations), even)
        odd = multiplyAdd(second, loadFloats(activations + 4 &* floatLaneCount), odd)
    }

    @inline(__always)
    var total: Float { laneSum(plus(even, odd)) }
}

/// The end of a row that fills no pair of vectors, copied to where zeros can follow it: the row itself may end where
/// readable memory ends.
@inline(__always)
private func fillUp(_ tail: UnsafeRawPointer, _ byteCount: Int, _ scratch: UnsafeMutableRawPointer) {
    var offset = 0
    while offset < 64 {
        scratch.storeBytes(of: 0, toByteOffset: offset, as: UInt64.self)
        offset = offset &+ 8
    }
    scratch.copyMemory(from: tail, byteCount: byteCount)
}

@inline(__always)
private func multiplyFloats<Format: FloatFormat>(
    _ type: Format.Type, _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    let layout = ColumnsFloat(k)
    let step = 2 &* floatLaneCount
    let whole = k / step
    let rest = (k &- whole &* step) &* Format.byteCount
    let vectorBytes = floatLaneCount &* Format.byteCount
    forEachTile(firstRow, rowCount, firstColumn, columnCount) { row, column in
        var source = weights + row &* rowStride
        let column0 = packed + column &* layout.stride
        let column1 = column0 + layout.stride
        let column2 = column1 + layout.stride
        let column3 = column2 + layout.stride
        var sum0 = SumFloat()
        var sum1 = SumFloat()
        var sum2 = SumFloat()
        var sum3 = SumFloat()
        var offset = 0
        @inline(__always) func add(_ pointer: UnsafeRawPointer) {
            let first = Format.load(pointer)
            let second = Format.load(pointer + vectorBytes)
            sum0.add(first, second, column0 + offset)
            sum1.add(first, second, column1 + offset)
            sum2.add(first, second, column2 + offset)
            sum3.add(first, second, column3 + offset)
        }
        for _ in 0..<whole {
            add(source)
            source += 2 &* vectorBytes
            offset = offset &+ 4 &* step
        }
        if rest > 0 {
            fillUp(source, rest, scratch)
            add(scratch)
        }
        outputs[column][row] = sum0.total
        outputs[column &+ 1][row] = sum1.total
        outputs[column &+ 2][row] = sum2.total
        outputs[column &+ 3][row] = sum3.total
    } oneColumn: { rows, column in
        let column0 = packed + column &* layout.stride
        var row = rows.lowerBound
        // Two rows at a time, since a row's sums would wait for themselves.
        while row &+ 2 <= rows.upperBound {
            var source = weights + row &* rowStride
            var activations = column0
            var sum0 = SumFloat()
            var sum1 = SumFloat()
            for _ in 0..<whole {
                let below = source + rowStride
                prefetch(source + prefetchDistance)
                prefetch(below + prefetchDistance)
                sum0.add(Format.load(source), Format.load(source + vectorBytes), activations)
                sum1.add(Format.load(below), Format.load(below + vectorBytes), activations)
                source += 2 &* vectorBytes
                activations += 4 &* step
            }
            if rest > 0 {
                fillUp(source, rest, scratch)
                sum0.add(Format.load(scratch), Format.load(scratch + vectorBytes), activations)
                fillUp(source + rowStride, rest, scratch)
                sum1.add(Format.load(scratch), Format.load(scratch + vectorBytes), activations)
            }
            outputs[column][row] = sum0.total
            outputs[column][row &+ 1] = sum1.total
            row = row &+ 2
        }
        if row < rows.upperBound {
            var source = weights + row &* rowStride
            var activations = column0
            var sum = SumFloat()
            for _ in 0..<whole {
                sum.add(Format.load(source), Format.load(source + vectorBytes), activations)
                source += 2 &* vectorBytes
                activations += 4 &* step
            }
            if rest > 0 {
                fillUp(source, rest, scratch)
                sum.add(Format.load(scratch), Format.load(scratch + vectorBytes), activations)
            }
            outputs[column][row] = sum.total
        }
    }
}

@Sendable
func scratchByteCountFloat(_ k: Int, _ n: Int) -> Int { 64 }

@Sendable
func multiplyF32(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiplyFloats(
        FormatF32.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs, scratch)
}

@Sendable
func multiplyF16(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiplyFloats(
        FormatF16.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs, scratch)
}

@Sendable
func multiplyBF16(
    _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
    _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
    _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
) {
    multiplyFloats(
        FormatBF16.self, weights, rowStride, k, firstRow, rowCount, packed, firstColumn, columnCount, outputs, scratch)
}
