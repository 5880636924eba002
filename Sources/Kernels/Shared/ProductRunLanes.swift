#if arch(x86_64)
    internal import _Builtin_intrinsics.intel
#endif

// The vectors that products over runs of 16 weights are written in, as wide as the variant's registers: one, two or four
// runs at once, each in four lanes of its own.

/// Signed bytes of weights, ready to meet activations, with the scale of each lane's run.
struct RunWeights {
    #if KERNELS_AVX512
        var magnitudes: __m512i
        var negative: UInt64
    #elseif KERNELS_AVX2
        var bytes: __m256i
        var magnitudes: __m256i
    #elseif arch(x86_64)
        var bytes: __m128i
        var magnitudes: __m128i
    #else
        var bytes: SIMD16<Int8>
    #endif
    var scales: Lanes

    @_transparent
    init(_ pointer: UnsafeRawPointer, _ scale: Floats) {
        #if KERNELS_AVX512
            let bytes = pointer.loadUnaligned(as: __m512i.self)
            magnitudes = _mm512_abs_epi8(bytes)
            negative = _mm512_movepi8_mask(bytes)
            let four = UnsafeRawPointer(scale).loadUnaligned(as: SIMD4<Float>.self)
            scales = _mm512_permutexvar_ps(
                SIMD8<Int64>(0, 0, 0x1_0000_0001, 0x1_0000_0001, 0x2_0000_0002, 0x2_0000_0002, 0x3_0000_0003, 0x3_0000_0003),
                _mm512_castps128_ps512(four))
        #elseif KERNELS_AVX2
            bytes = pointer.loadUnaligned(as: __m256i.self)
            magnitudes = _mm256_abs_epi8(bytes)
            scales = Lanes(lowHalf: SIMD4(repeating: scale[0]), highHalf: SIMD4(repeating: scale[1]))
        #elseif arch(x86_64)
            bytes = pointer.loadUnaligned(as: __m128i.self)
            magnitudes = _mm_abs_epi8(bytes)
            scales = Lanes(repeating: scale[0])
        #else
            bytes = pointer.loadUnaligned(as: SIMD16<Int8>.self)
            scales = Lanes(repeating: scale[0])
        #endif
    }

    /// Products with signed activations, summed within each lane. x86's instruction takes unsigned by signed, so a sign
    /// moves from the weight to the activation.
    @_transparent
    func dots(_ activations: UnsafeRawPointer) -> Lanes {
        #if KERNELS_AVX512
            let zero = _mm512_setzero_si512()
            let values = activations.loadUnaligned(as: __m512i.self)
            let moved = _mm512_mask_sub_epi8(values, negative, zero, values)
            return _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(zero, magnitudes, moved))
        #elseif KERNELS_AVX2
            let moved = _mm256_sign_epi8(activations.loadUnaligned(as: __m256i.self), bytes)
            let pairs = _mm256_maddubs_epi16(magnitudes, moved)
            return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        #elseif arch(x86_64)
            let moved = _mm_sign_epi8(activations.loadUnaligned(as: __m128i.self), bytes)
            let pairs = _mm_maddubs_epi16(magnitudes, moved)
            return _mm_cvtepi32_ps(_mm_madd_epi16(pairs, _mm_set1_epi16(1)))
        #else
            let values = activations.loadUnaligned(as: SIMD16<Int8>.self)
            let products = SIMD16<Int16>(truncatingIfNeeded: bytes) &* SIMD16<Int16>(truncatingIfNeeded: values)
            let pairs = SIMD8<Int32>(truncatingIfNeeded: products.evenHalf) &+ SIMD8<Int32>(truncatingIfNeeded: products.oddHalf)
            return Lanes(pairs.evenHalf &+ pairs.oddHalf)
        #endif
    }
}

/// Weights in one ``RunWeights``.
#if KERNELS_AVX512
    let runWeightCount = 64
#elseif KERNELS_AVX2
    let runWeightCount = 32
#else
    let runWeightCount = 16
#endif

/// The scales of the activations, one for each 32, in the lanes of those from `first` on.
@_transparent
func activationScales(_ scales: UnsafeRawPointer, _ first: Int) -> Lanes {
    #if KERNELS_AVX512
        let low = scales.loadUnaligned(fromByteOffset: first / 8, as: Float.self)
        let high = scales.loadUnaligned(fromByteOffset: first / 8 &+ 4, as: Float.self)
        return Lanes(lowHalf: SIMD8(repeating: low), highHalf: SIMD8(repeating: high))
    #else
        return Lanes(repeating: scales.loadUnaligned(fromByteOffset: first / 32 &* 4, as: Float.self))
    #endif
}

/// The bytes of `table` that the low nibbles of `indices` number.
@_transparent
func lookUp(_ table: SIMD16<Int8>, _ indices: SIMD16<UInt8>) -> SIMD16<Int8> {
    #if arch(x86_64)
        return unsafeBitCast(
            _mm_shuffle_epi8(unsafeBitCast(table, to: __m128i.self), unsafeBitCast(indices, to: __m128i.self)), to: SIMD16<Int8>.self)
    #else
        var found = SIMD16<Int8>()
        for i in 0..<16 { found[i] = table[Int(indices[i] & 15)] }
        return found
    #endif
}
