#if arch(x86_64)
internal import _Builtin_intrinsics.intel
#endif

// One register of F32 values in the variant's own width, and how to get values in and out of it.
//
// What is called with registers is `@_transparent`: the optimizer stops heeding `@inline(__always)` in a caller that has
// grown large, and a call passes registers through memory.

#if KERNELS_AVX512
typealias Lanes = SIMD16<Float>
typealias BitLanes = SIMD16<Int32>
#elseif KERNELS_AVX2
typealias Lanes = SIMD8<Float>
typealias BitLanes = SIMD8<Int32>
#else
typealias Lanes = SIMD4<Float>
typealias BitLanes = SIMD4<Int32>
#endif

/// Values in one ``Lanes``.
#if KERNELS_AVX512
let laneCount = 16
#elseif KERNELS_AVX2
let laneCount = 8
#else
let laneCount = 4
#endif

typealias Floats = UnsafePointer<Float>
typealias MutableFloats = UnsafeMutablePointer<Float>

@_transparent
func lanes(_ value: Float) -> Lanes { Lanes(repeating: value) }

@_transparent
func load(_ pointer: Floats) -> Lanes {
    UnsafeRawPointer(pointer).loadUnaligned(as: Lanes.self)
}

@_transparent
func store(_ value: Lanes, _ pointer: MutableFloats) {
    UnsafeMutableRawPointer(pointer).storeBytes(of: value, as: Lanes.self)
}

/// The first `count` values, fewer than a register holds; the other lanes are zero. Reads nothing past them.
@_transparent
func load(_ pointer: Floats, first count: Int) -> Lanes {
    #if KERNELS_AVX512
    return _mm512_maskz_loadu_ps(UInt16(truncatingIfNeeded: (1 &<< count) &- 1), pointer)
    #else
    var value = Lanes(repeating: 0)
    for i in 0..<count { value[i] = pointer[i] }
    return value
    #endif
}

/// Writes the first `count` lanes, fewer than a register holds, and nothing past them.
@_transparent
func store(_ value: Lanes, _ pointer: MutableFloats, first count: Int) {
    #if KERNELS_AVX512
    _mm512_mask_storeu_ps(pointer, UInt16(truncatingIfNeeded: (1 &<< count) &- 1), value)
    #else
    for i in 0..<count { pointer[i] = value[i] }
    #endif
}

/// `a · b + c`: in one rounding where the instruction set has it.
@_transparent
func fused(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes {
    #if KERNELS_AVX512 || KERNELS_AVX2 || !arch(x86_64)
    return c.addingProduct(a, b)
    #else
    // Without the instruction, a fused product is a library call per lane.
    return a * b + c
    #endif
}

/// `a > b ? a : b`, so `b` where either is NaN.
@_transparent
func larger(_ a: Lanes, _ b: Lanes) -> Lanes {
    #if KERNELS_AVX512
    return _mm512_max_ps(a, b)
    #elseif KERNELS_AVX2
    return _mm256_max_ps(a, b)
    #elseif arch(x86_64)
    return _mm_max_ps(a, b)
    #else
    return b.replacing(with: a, where: a .> b)
    #endif
}

/// `a < b ? a : b`, so `b` where either is NaN.
@_transparent
func smaller(_ a: Lanes, _ b: Lanes) -> Lanes {
    #if KERNELS_AVX512
    return _mm512_min_ps(a, b)
    #elseif KERNELS_AVX2
    return _mm256_min_ps(a, b)
    #elseif arch(x86_64)
    return _mm_min_ps(a, b)
    #else
    return b.replacing(with: a, where: a .< b)
    #endif
}

@_transparent
func bits(_ value: Lanes) -> BitLanes { unsafeBitCast(value, to: BitLanes.self) }

@_transparent
func floats(_ value: BitLanes) -> Lanes { unsafeBitCast(value, to: Lanes.self) }

@_transparent
func magnitude(_ value: Lanes) -> Lanes { floats(bits(value) & BitLanes(repeating: 0x7fff_ffff)) }

/// The sum of all lanes, always added in the same tree.
@_transparent
func total(_ value: Lanes) -> Float {
    #if KERNELS_AVX512
    let eight = value.lowHalf + value.highHalf
    let four = eight.lowHalf + eight.highHalf
    #elseif KERNELS_AVX2
    let four = value.lowHalf + value.highHalf
    #else
    let four = value
    #endif
    let two = four.lowHalf + four.highHalf
    return two[0] + two[1]
}

/// The largest lane, of lanes that are numbers.
@_transparent
func largest(_ value: Lanes) -> Float {
    #if KERNELS_AVX512
    let eight = value.lowHalf.replacing(with: value.highHalf, where: value.highHalf .> value.lowHalf)
    let four = eight.lowHalf.replacing(with: eight.highHalf, where: eight.highHalf .> eight.lowHalf)
    #elseif KERNELS_AVX2
    let four = value.lowHalf.replacing(with: value.highHalf, where: value.highHalf .> value.lowHalf)
    #else
    let four = value
    #endif
    let two = four.lowHalf.replacing(with: four.highHalf, where: four.highHalf .> four.lowHalf)
    return two[1] > two[0] ? two[1] : two[0]
}

/// 0, 1, 2, …: each lane's own number.
@_transparent
func laneNumbers() -> BitLanes {
    #if KERNELS_AVX512
    return BitLanes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    #elseif KERNELS_AVX2
    return BitLanes(0, 1, 2, 3, 4, 5, 6, 7)
    #else
    return BitLanes(0, 1, 2, 3)
    #endif
}

/// Up to a register's worth of what is left of a row.
@_transparent
func loadUpTo(_ pointer: Floats, _ left: Int) -> Lanes {
    left >= laneCount ? load(pointer) : load(pointer, first: left)
}

@_transparent
func storeUpTo(_ value: Lanes, _ pointer: MutableFloats, _ left: Int) {
    if left >= laneCount { store(value, pointer) } else { store(value, pointer, first: left) }
}

/// A walk along one row and the row it makes, register by register; the last register may be partial and goes through
/// the same arithmetic. (A closure per row would not be inlined: each register would pass through memory.)
struct RowWalk {
    private var a: Floats
    private var out: MutableFloats
    private var left: Int

    @_transparent
    init(_ a: Floats, _ out: MutableFloats, _ count: Int) {
        self.a = a
        self.out = out
        left = count
    }

    @_transparent
    var goesOn: Bool { left > 0 }

    @_transparent
    var value: Lanes { loadUpTo(a, left) }

    /// Writes what comes of ``value`` and steps on.
    @_transparent
    mutating func put(_ result: Lanes) {
        storeUpTo(result, out, left)
        a += laneCount
        out += laneCount
        left &-= laneCount
    }
}

/// As ``RowWalk``, along two rows.
struct RowPairWalk {
    private var a: Floats
    private var b: Floats
    private var out: MutableFloats
    private var left: Int

    @_transparent
    init(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int) {
        self.a = a
        self.b = b
        self.out = out
        left = count
    }

    @_transparent
    var goesOn: Bool { left > 0 }

    @_transparent
    var first: Lanes { loadUpTo(a, left) }

    @_transparent
    var second: Lanes { loadUpTo(b, left) }

    /// Writes what comes of ``first`` and ``second`` and steps on.
    @_transparent
    mutating func put(_ result: Lanes) {
        storeUpTo(result, out, left)
        a += laneCount
        b += laneCount
        out += laneCount
        left &-= laneCount
    }
}
