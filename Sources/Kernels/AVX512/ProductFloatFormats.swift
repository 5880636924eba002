internal import _Builtin_intrinsics.intel

/// A type of separate floating-point weights, widened to F32 sixteen at a time.
protocol FloatFormat: SendableMetatype {
    static var byteCount: Int { get }
    static func load(_ p: UnsafeRawPointer) -> __m512
    /// Only the weights whose bit is set are read; the others are 0.
    static func load(_ p: UnsafeRawPointer, _ mask: UInt16) -> __m512
}

enum Float32Weights: FloatFormat {
    @inline(__always) static var byteCount: Int { 4 }

    @inline(__always)
    static func load(_ p: UnsafeRawPointer) -> __m512 { loadFloats(p) }

    @inline(__always)
    static func load(_ p: UnsafeRawPointer, _ mask: UInt16) -> __m512 { _mm512_maskz_loadu_ps(mask, p) }
}

enum Float16Weights: FloatFormat {
    @inline(__always) static var byteCount: Int { 2 }

    @inline(__always)
    static func load(_ p: UnsafeRawPointer) -> __m512 { _mm512_cvtph_ps(load256(p)) }

    @inline(__always)
    static func load(_ p: UnsafeRawPointer, _ mask: UInt16) -> __m512 { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p)) }
}

enum BrainFloat16Weights: FloatFormat {
    @inline(__always) static var byteCount: Int { 2 }

    @inline(__always)
    static func widen(_ v: __m256i) -> __m512 {
        unsafeBitCast(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16), to: __m512.self)
    }

    @inline(__always)
    static func load(_ p: UnsafeRawPointer) -> __m512 { widen(load256(p)) }

    @inline(__always)
    static func load(_ p: UnsafeRawPointer, _ mask: UInt16) -> __m512 { widen(_mm256_maskz_loadu_epi16(mask, p)) }
}
