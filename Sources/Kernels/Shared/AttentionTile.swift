#if arch(x86_64)
internal import _Builtin_intrinsics.intel
#endif

// The two inner products of attention, on tiles that fit the registers: scores of a few queries with four keys, and
// weighted sums of values for a few queries over four registers of the head.
//
// Every score is summed in the same order in whichever tile it falls: lane by lane along the head, then the tree of
// `sums(of:)`. Every value sum adds the keys of a block in their order.

/// Queries in a tile.
#if KERNELS_AVX512
let tileQueries = 4
#else
let tileQueries = 2
#endif

/// Values of the head in a tile's four registers.
let tileValues = 4 * laneCount

/// Four registers: sums with four keys, or four neighbouring parts of the head.
struct Quad {
    var a = lanes(0)
    var b = lanes(0)
    var c = lanes(0)
    var d = lanes(0)

    @_transparent
    init() {}

    /// Values from `offset` on of four rows.
    @_transparent
    init(rows: KeyRows, offset: Int, half: Bool) {
        a = loadLanes(rows.a, offset, half)
        b = loadLanes(rows.b, offset, half)
        c = loadLanes(rows.c, offset, half)
        d = loadLanes(rows.d, offset, half)
    }

    /// Four registers of one row.
    @_transparent
    init(row: UnsafeRawPointer, half: Bool) {
        a = loadLanes(row, 0, half)
        b = loadLanes(row, laneCount, half)
        c = loadLanes(row, 2 &* laneCount, half)
        d = loadLanes(row, 3 &* laneCount, half)
    }

    /// Adds `factor · other`.
    @_transparent
    mutating func add(_ factor: Lanes, _ other: Quad) {
        a = fused(factor, other.a, a)
        b = fused(factor, other.b, b)
        c = fused(factor, other.c, c)
        d = fused(factor, other.d, d)
    }

    /// `row = row · factor + self`.
    @_transparent
    func carry(into row: MutableFloats, _ factor: Float) {
        let f = lanes(factor)
        store(fused(load(row), f, a), row)
        store(fused(load(row + laneCount), f, b), row + laneCount)
        store(fused(load(row + 2 &* laneCount), f, c), row + 2 &* laneCount)
        store(fused(load(row + 3 &* laneCount), f, d), row + 3 &* laneCount)
    }

    /// The sums of the four registers' lanes, written one after the other.
    @_transparent
    func storeSums(_ target: MutableFloats) {
        let ab = pairSums(a, b)
        let cd = pairSums(c, d)
        #if KERNELS_AVX512
        let low = _mm512_unpacklo_pd(doubles(ab), doubles(cd))
        let high = _mm512_unpackhi_pd(doubles(ab), doubles(cd))
        let quads = unsafeBitCast(low, to: Lanes.self) + unsafeBitCast(high, to: Lanes.self)
        let eight = quads.lowHalf + quads.highHalf
        let sums = eight.lowHalf + eight.highHalf
        #elseif KERNELS_AVX2
        let low = _mm256_unpacklo_pd(doubles(ab), doubles(cd))
        let high = _mm256_unpackhi_pd(doubles(ab), doubles(cd))
        let quads = unsafeBitCast(low, to: Lanes.self) + unsafeBitCast(high, to: Lanes.self)
        let sums = quads.lowHalf + quads.highHalf
        #else
        let sums = SIMD4<Float>(lowHalf: ab.lowHalf, highHalf: cd.lowHalf)
            + SIMD4<Float>(lowHalf: ab.highHalf, highHalf: cd.highHalf)
        #endif
        UnsafeMutableRawPointer(target).storeBytes(of: sums, as: SIMD4<Float>.self)
    }
}

#if KERNELS_AVX512
@_transparent
private func doubles(_ value: Lanes) -> SIMD8<Double> { unsafeBitCast(value, to: SIMD8<Double>.self) }
#elseif KERNELS_AVX2
@_transparent
private func doubles(_ value: Lanes) -> SIMD4<Double> { unsafeBitCast(value, to: SIMD4<Double>.self) }
#endif

/// Of each four lanes: a0 + a2, b0 + b2, a1 + a3, b1 + b3.
@_transparent
private func pairSums(_ a: Lanes, _ b: Lanes) -> Lanes {
    #if KERNELS_AVX512
    return _mm512_unpacklo_ps(a, b) + _mm512_unpackhi_ps(a, b)
    #elseif KERNELS_AVX2
    return _mm256_unpacklo_ps(a, b) + _mm256_unpackhi_ps(a, b)
    #elseif arch(x86_64)
    return _mm_unpacklo_ps(a, b) + _mm_unpackhi_ps(a, b)
    #else
    return Lanes(a[0], b[0], a[1], b[1]) + Lanes(a[2], b[2], a[3], b[3])
    #endif
}

/// A register's worth of a row of F16 or F32 values.
@_transparent
private func loadLanes(_ row: UnsafeRawPointer, _ offset: Int, _ half: Bool) -> Lanes {
    half ? loadHalves(row + 2 &* offset) : (row + 4 &* offset).loadUnaligned(as: Lanes.self)
}

/// Four neighbouring keys, F16 as they lie in the cache or F32 as converted.
struct KeyRows {
    var a: UnsafeRawPointer
    var b: UnsafeRawPointer
    var c: UnsafeRawPointer
    var d: UnsafeRawPointer
}

/// A row for each query of a tile: the queries themselves, or their sums.
struct TileRows<Row> {
    var r0: Row
    var r1: Row
    #if KERNELS_AVX512
    var r2: Row
    var r3: Row
    #endif
}

/// Scores of `tileQueries` queries with four keys. `size` is a whole number of registers. Query i's four scores go to
/// `scores + i · keysPerBlock`.
@_transparent
func scoreTile(
    _ queries: TileRows<Floats>, _ keys: KeyRows, _ half: Bool, _ size: Int, _ scores: MutableFloats
) {
    var s0 = Quad()
    var s1 = Quad()
    #if KERNELS_AVX512
    var s2 = Quad()
    var s3 = Quad()
    #endif
    var i = 0
    while i < size {
        let k = Quad(rows: keys, offset: i, half: half)
        s0.add(load(queries.r0 + i), k)
        s1.add(load(queries.r1 + i), k)
        #if KERNELS_AVX512
        s2.add(load(queries.r2 + i), k)
        s3.add(load(queries.r3 + i), k)
        #endif
        i &+= laneCount
    }
    s0.storeSums(scores)
    s1.storeSums(scores + keysPerBlock)
    #if KERNELS_AVX512
    s2.storeSums(scores + 2 &* keysPerBlock)
    s3.storeSums(scores + 3 &* keysPerBlock)
    #endif
}

/// As ``scoreTile``, of one query.
@_transparent
func scoreRow(_ query: Floats, _ keys: KeyRows, _ half: Bool, _ size: Int, _ scores: MutableFloats) {
    var sums = Quad()
    var i = 0
    while i < size {
        sums.add(load(query + i), Quad(rows: keys, offset: i, half: half))
        i &+= laneCount
    }
    sums.storeSums(scores)
}

/// Adds the values of keys `range`, weighted, to `tileQueries` sums over `tileValues` values of the head. Query i's
/// weights begin at `weights + i · keysPerBlock`; its sum so far is multiplied by `factors[i]` first.
@_transparent
func valueTile(
    _ sums: TileRows<MutableFloats>, _ weights: Floats, _ factors: Floats, _ values: UnsafeRawPointer,
    _ stride: Int, _ half: Bool, _ range: Range<Int>
) {
    var s0 = Quad()
    var s1 = Quad()
    #if KERNELS_AVX512
    var s2 = Quad()
    var s3 = Quad()
    #endif
    var row = values + stride &* range.lowerBound
    var j = range.lowerBound
    while j < range.upperBound {
        let v = Quad(row: row, half: half)
        let w = weights + j
        s0.add(lanes(w[0]), v)
        s1.add(lanes(w[keysPerBlock]), v)
        #if KERNELS_AVX512
        s2.add(lanes(w[2 &* keysPerBlock]), v)
        s3.add(lanes(w[3 &* keysPerBlock]), v)
        #endif
        row += stride
        j &+= 1
    }
    s0.carry(into: sums.r0, factors[0])
    s1.carry(into: sums.r1, factors[1])
    #if KERNELS_AVX512
    s2.carry(into: sums.r2, factors[2])
    s3.carry(into: sums.r3, factors[3])
    #endif
}

/// As ``valueTile``, for one query. With a mask, values of hidden keys are not even multiplied by zero, so that
/// infinities and NaN among them do no harm.
@_transparent
func valueRow(
    _ sum: MutableFloats, _ weights: Floats, _ factor: Float, _ values: UnsafeRawPointer, _ stride: Int, _ half: Bool,
    _ range: Range<Int>, _ mask: UnsafeRawPointer?
) {
    var s = Quad()
    var row = values + stride &* range.lowerBound
    var j = range.lowerBound
    while j < range.upperBound {
        var visible = true
        if let mask { visible = mask.loadUnaligned(fromByteOffset: 2 &* j, as: UInt16.self) != hiddenBits }
        if visible { s.add(lanes(weights[j]), Quad(row: row, half: half)) }
        row += stride
        j &+= 1
    }
    s.carry(into: sum, factor)
}
