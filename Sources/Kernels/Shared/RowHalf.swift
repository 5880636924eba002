#if arch(x86_64)
internal import _Builtin_intrinsics.intel
#endif

// Conversion between F16 and F32.

/// Widens one register's worth of F16 values.
@_transparent
func loadHalves(_ pointer: UnsafeRawPointer) -> Lanes {
    #if KERNELS_AVX512
    return _mm512_cvtph_ps(pointer.loadUnaligned(as: SIMD4<Int64>.self))
    #elseif KERNELS_AVX2
    return _mm256_cvtph_ps(pointer.loadUnaligned(as: SIMD2<Int64>.self))
    #elseif arch(x86_64)
    let narrow = pointer.loadUnaligned(as: SIMD4<UInt16>.self)
    let h = BitLanes(Int32(narrow[0]), Int32(narrow[1]), Int32(narrow[2]), Int32(narrow[3]))
    let exponent = h & BitLanes(repeating: 0x7c00)
    let shifted = (h & BitLanes(repeating: 0x7fff)) &<< BitLanes(repeating: 13)
    // Times 2^112 the exponent has F32's bias, denormals included; only infinity and NaN need theirs set.
    let scaled = bits(floats(shifted) * lanes(0x1p112))
    let special = scaled | BitLanes(repeating: 0x7f80_0000)
    let magnitude = scaled.replacing(with: special, where: exponent .== BitLanes(repeating: 0x7c00))
    return floats(magnitude | ((h & BitLanes(repeating: 0x8000)) &<< BitLanes(repeating: 16)))
    #else
    return Lanes(pointer.loadUnaligned(as: SIMD4<Float16>.self))
    #endif
}

/// Widens the first `count` F16 values, fewer than a register holds, and reads nothing past them; zeros in the rest.
@_transparent
func loadHalves(_ pointer: UnsafeRawPointer, first count: Int) -> Lanes {
    var value = Lanes(repeating: 0)
    for i in 0..<count {
        value[i] = Float(pointer.loadUnaligned(fromByteOffset: 2 &* i, as: Float16.self))
    }
    return value
}

func f16ToF32Row(_ source: UnsafeRawPointer, _ out: MutableFloats, _ count: Int) {
    var i = 0
    while i &+ laneCount <= count {
        store(loadHalves(source + 2 &* i), out + i)
        i &+= laneCount
    }
    while i < count {
        out[i] = Float(source.loadUnaligned(fromByteOffset: 2 &* i, as: Float16.self))
        i &+= 1
    }
}

/// Rounds to nearest, ties to even. A plain loop, which the compiler makes vectors of.
func f32ToF16Row(_ source: Floats, _ out: UnsafeMutableRawPointer, _ count: Int) {
    let halves = out.assumingMemoryBound(to: Float16.self)
    for i in 0..<count { halves[i] = Float16(source[i]) }
}
