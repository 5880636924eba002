internal import _Builtin_intrinsics.intel

/// A type whose blocks hold 32 weights under one scale, as the products see it: unsigned bytes `u`, a scale `d` and
/// either a fixed zero point, `w = d·(u − zero)`, or a minimum per block, `w = d·u + m`.
///
/// Block layouts: ggml's `block_q8_0`, `block_q4_0`, `block_q4_1`, `block_q5_0`, `block_q5_1`, `block_iq4_nl`.
protocol BlockFormat: SendableMetatype {
    static var byteCount: Int { get }
    static var zero: Int32 { get }
    static var hasMinimum: Bool { get }
    /// The 32 bytes `u` of the block at `p` in the lower half, of the block at `q` in the upper one.
    static func pair(_ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i
}

enum Q8Block0: BlockFormat {
    @inline(__always) static var byteCount: Int { 34 }
    @inline(__always) static var zero: Int32 { 128 }
    @inline(__always) static var hasMinimum: Bool { false }

    @inline(__always)
    static func pair(_ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i {
        let both = __m512i(lowHalf: load256(p + 2), highHalf: load256(q + 2))
        return _mm512_xor_si512(both, _mm512_set1_epi8(-128))
    }
}

/// Sixteen bytes of two nibbles: the low nibbles are weights 0 to 15, the high ones 16 to 31.
@inline(__always)
func nibblePair(_ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i {
    let both = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load128(p)), 0xff00, load128(q))
    let shifted = _mm512_srlv_epi64(both, quads(0, 0, 4, 4, 0, 0, 4, 4))
    return _mm512_and_si512(shifted, _mm512_set1_epi8(15))
}

/// Adds the fifth bits: bit i of the 32-bit word belongs to weight i.
@inline(__always)
func addFifthBits(_ nibbles: __m512i, _ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i {
    let low = UInt64(p.loadUnaligned(as: UInt32.self))
    let high = UInt64(q.loadUnaligned(as: UInt32.self))
    return _mm512_mask_add_epi8(nibbles, low | (high &<< 32), nibbles, _mm512_set1_epi8(16))
}

enum Q4Block0: BlockFormat {
    @inline(__always) static var byteCount: Int { 18 }
    @inline(__always) static var zero: Int32 { 8 }
    @inline(__always) static var hasMinimum: Bool { false }

    @inline(__always)
    static func pair(_ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i { nibblePair(p + 2, q + 2) }
}

enum Q4Block1: BlockFormat {
    @inline(__always) static var byteCount: Int { 20 }
    @inline(__always) static var zero: Int32 { 0 }
    @inline(__always) static var hasMinimum: Bool { true }

    @inline(__always)
    static func pair(_ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i { nibblePair(p + 4, q + 4) }
}

enum Q5Block0: BlockFormat {
    @inline(__always) static var byteCount: Int { 22 }
    @inline(__always) static var zero: Int32 { 16 }
    @inline(__always) static var hasMinimum: Bool { false }

    @inline(__always)
    static func pair(_ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i {
        addFifthBits(nibblePair(p + 6, q + 6), p + 2, q + 2)
    }
}

enum Q5Block1: BlockFormat {
    @inline(__always) static var byteCount: Int { 24 }
    @inline(__always) static var zero: Int32 { 0 }
    @inline(__always) static var hasMinimum: Bool { true }

    @inline(__always)
    static func pair(_ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i {
        addFifthBits(nibblePair(p + 8, q + 8), p + 4, q + 4)
    }
}

/// Nibbles that stand for values of a table, here 128 larger.
enum IQ4Block: BlockFormat {
    @inline(__always) static var byteCount: Int { 18 }
    @inline(__always) static var zero: Int32 { 128 }
    @inline(__always) static var hasMinimum: Bool { false }

    @inline(__always)
    static func pair(_ p: UnsafeRawPointer, _ q: UnsafeRawPointer) -> __m512i {
        let low = Int64(bitPattern: 0x766a_5d4f_3f2d_1801)
        let high = Int64(bitPattern: 0xf1d9_c5b5_a699_8d81)
        return _mm512_shuffle_epi8(quads(low, high, low, high, low, high, low, high), nibblePair(p + 2, q + 2))
    }
}
