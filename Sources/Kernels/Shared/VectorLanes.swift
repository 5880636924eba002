#if arch(x86_64)
internal import _Builtin_intrinsics.intel
#endif

// One register of F32 values in the variant's own width, and how to get values in and out of it.

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

@inline(__always)
func lanes(_ value: Float) -> Lanes { Lanes(repeating: value) }

@inline(__always)
func load(_ pointer: Floats) -> Lanes {
    UnsafeRawPointer(pointer).loadUnaligned(as: Lanes.self)
}

@inline(__always)
func store(_ value: Lanes, _ pointer: MutableFloats) {
    UnsafeMutableRawPointer(pointer).storeBytes(of: value, as: Lanes.self)
}

/// The first `count` values, fewer than a register holds; the other lanes are zero. Reads nothing past them.
@inline(__always)
func load(_ pointer: Floats, first count: Int) -> Lanes {
    #if KERNELS_AVX512
    return _mm512_maskz_loadu_ps(UInt16(truncatingIfNeeded: (1 << count) &- 1), pointer)
    #else
    var value = Lanes(repeating: 0)
    for i in 0..<count { value[i] = pointer[i] }
    return value
    #endif
}

/// Writes the first `count` lanes, fewer than a register holds, and nothing past them.
@inline(__always)
func store(_ value: Lanes, _ pointer: MutableFloats, first count: Int) {
    #if KERNELS_AVX512
    _mm512_mask_storeu_ps(pointer, UInt16(truncatingIfNeeded: (1 << count) &- 1), value)
    #else
    for i in 0..<count { pointer[i] = value[i] }
    #endif
}

/// `a · b + c`: in one rounding where the instruction set has it.
@inline(__always)
func fused(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes {
    #if KERNELS_AVX512 || KERNELS_AVX2 || !arch(x86_64)
    return c.addingProduct(a, b)
    #else
    // Without the instruction, a fused product is a library call per lane.
    return a * b + c
    #endif
}

/// `a > b ? a : b`, so `b` where either is NaN.
@inline(__always)
func larger(_ a: Lanes, _ b: Lanes) -> Lanes { b.replacing(with: a, where: a .> b) }

/// `a < b ? a : b`, so `b` where either is NaN.
@inline(__always)
func smaller(_ a: Lanes, _ b: Lanes) -> Lanes { b.replacing(with: a, where: a .< b) }

@inline(__always)
func bits(_ value: Lanes) -> BitLanes { unsafeBitCast(value, to: BitLanes.self) }

@inline(__always)
func floats(_ value: BitLanes) -> Lanes { unsafeBitCast(value, to: Lanes.self) }

@inline(__always)
func magnitude(_ value: Lanes) -> Lanes { floats(bits(value) & BitLanes(repeating: 0x7fff_ffff)) }

/// The sum of all lanes, always added in the same tree.
@inline(__always)
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
@inline(__always)
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
@inline(__always)
func laneNumbers() -> BitLanes {
    #if KERNELS_AVX512
    return BitLanes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    #elseif KERNELS_AVX2
    return BitLanes(0, 1, 2, 3, 4, 5, 6, 7)
    #else
    return BitLanes(0, 1, 2, 3)
    #endif
}

/// Computes a row register by register. The last, partial register goes through the same arithmetic.
@inline(__always)
func mapRow(_ a: Floats, _ out: MutableFloats, _ count: Int, _ function: (Lanes) -> Lanes) {
    var i = 0
    while i &+ laneCount <= count {
        store(function(load(a + i)), out + i)
        i &+= laneCount
    }
    if i < count {
        store(function(load(a + i, first: count &- i)), out + i, first: count &- i)
    }
}

/// As ``mapRow(_:_:_:_:)``, of two rows.
@inline(__always)
func mapRows(_ a: Floats, _ b: Floats, _ out: MutableFloats, _ count: Int, _ function: (Lanes, Lanes) -> Lanes) {
    var i = 0
    while i &+ laneCount <= count {
        store(function(load(a + i), load(b + i)), out + i)
        i &+= laneCount
    }
    if i < count {
        let rest = count &- i
        store(function(load(a + i, first: rest), load(b + i, first: rest)), out + i, first: rest)
    }
}
