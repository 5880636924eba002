// The two 16-bit float formats, one value at a time, written without branches so that loops over them vectorise.

/// The value of the IEEE half whose bits these are.
@inline(__always)
func floatFromHalf(_ bits: UInt16) -> Float {
    #if KERNELS_BASELINE && arch(x86_64)
    // Without F16C a Float16 is converted by a call into the C runtime. Moving exponent and fraction into a Float's
    // place leaves the exponent 112 too small, subnormals included; a multiplication by 2^112 mends that exactly.
    let magnitude = UInt32(bits & 0x7fff) &<< 13
    let finite = (Float(bitPattern: magnitude) * 0x1p112).bitPattern
    let value = magnitude >= 0x0f80_0000 ? magnitude | 0x7f80_0000 : finite
    return Float(bitPattern: value | (UInt32(bits & 0x8000) &<< 16))
    #else
    return Float(Float16(bitPattern: bits))
    #endif
}

/// The bits of the IEEE half nearest to `value`, ties to even; infinity from 65520 on.
@inline(__always)
func halfBits(_ value: Float) -> UInt16 {
    #if KERNELS_BASELINE && arch(x86_64)
    let bits = value.bitPattern
    let magnitude = bits & 0x7fff_ffff
    // Normal halves: take 112 from the exponent and round at bit 13.
    let normal = (magnitude &- 0x3800_0000 &+ 0xfff &+ ((magnitude &>> 13) & 1)) &>> 13
    // Subnormal halves are multiples of 2^-24, the spacing of floats from 0.5 to 1: adding 0.5 rounds to them.
    let subnormal = (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3f00_0000
    let special = magnitude > 0x7f80_0000 ? 0x7e00 | ((magnitude &>> 13) & 0x1ff) : 0x7c00
    let finite = magnitude < 0x3880_0000 ? subnormal : normal
    let half = magnitude >= 0x477f_f000 ? special : finite
    return UInt16(truncatingIfNeeded: half | ((bits &>> 16) & 0x8000))
    #else
    return Float16(value).bitPattern
    #endif
}

/// The bits of the bfloat16 nearest to `value`, ties to even; a NaN stays a NaN.
@inline(__always)
func bfloatBits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let rounded = (bits &+ 0x7fff &+ ((bits &>> 16) & 1)) &>> 16
    let quiet = (bits &>> 16) | 0x40
    return UInt16(truncatingIfNeeded: (bits & 0x7fff_ffff) > 0x7f80_0000 ? quiet : rounded)
}

/// A half stored at `pointer`, of any alignment.
@inline(__always)
func loadHalf(_ pointer: UnsafeRawPointer) -> Float {
    floatFromHalf(pointer.loadUnaligned(as: UInt16.self))
}
