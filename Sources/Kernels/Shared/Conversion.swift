public import KernelTable

/// Adds this variant's conversions between F32 and the stored types.
///
/// Each gives the bytes that the formats' definition gives when every multiplication and addition is rounded to
/// F32 on its own, so that all variants agree. Block layouts: ggml's `ggml-common.h`.
public func fillConversions(_ table: UnsafeMutablePointer<ProductTable>) {
    table.pointee.setConversion(TypeNumber.f32, toF32: convertF32, fromF32: convertToF32)
    table.pointee.setConversion(TypeNumber.f16, toF32: convertF16, fromF32: convertToF16)
    table.pointee.setConversion(TypeNumber.bf16, toF32: convertBF16, fromF32: convertToBF16)
    table.pointee.setConversion(TypeNumber.q8_0, toF32: dequantizeQ8_0, fromF32: quantizeQ8_0)
    table.pointee.setConversion(TypeNumber.q4_0, toF32: dequantizeQ4_0, fromF32: quantizeQ4_0)
    table.pointee.setConversion(TypeNumber.q4_1, toF32: dequantizeQ4_1, fromF32: quantizeQ4_1)
    table.pointee.setConversion(TypeNumber.q5_0, toF32: dequantizeQ5_0, fromF32: quantizeQ5_0)
    table.pointee.setConversion(TypeNumber.q5_1, toF32: dequantizeQ5_1, fromF32: quantizeQ5_1)
    table.pointee.setConversion(TypeNumber.q4_K, toF32: dequantizeQ4_K, fromF32: quantizeQ4_K)
    table.pointee.setConversion(TypeNumber.q5_K, toF32: dequantizeQ5_K, fromF32: quantizeQ5_K)
    table.pointee.setConversion(TypeNumber.q6_K, toF32: dequantizeQ6_K, fromF32: quantizeQ6_K)
    table.pointee.setConversion(TypeNumber.q2_K, toF32: dequantizeQ2_K, fromF32: quantizeQ2_K)
    table.pointee.setConversion(TypeNumber.q3_K, toF32: dequantizeQ3_K, fromF32: quantizeQ3_K)
    table.pointee.setConversion(TypeNumber.iq2_xxs, toF32: dequantizeIQ2_XXS, fromF32: nil)
    table.pointee.setConversion(TypeNumber.iq2_xs, toF32: dequantizeIQ2_XS, fromF32: nil)
    table.pointee.setConversion(TypeNumber.iq2_s, toF32: dequantizeIQ2_S, fromF32: nil)
    table.pointee.setConversion(TypeNumber.iq3_xxs, toF32: dequantizeIQ3_XXS, fromF32: nil)
    table.pointee.setConversion(TypeNumber.iq3_s, toF32: dequantizeIQ3_S, fromF32: nil)
    table.pointee.setConversion(TypeNumber.iq1_s, toF32: dequantizeIQ1_S, fromF32: nil)
    table.pointee.setConversion(TypeNumber.iq1_m, toF32: dequantizeIQ1_M, fromF32: nil)
    table.pointee.setConversion(TypeNumber.iq4_nl, toF32: dequantizeIQ4_NL, fromF32: quantizeIQ4_NL)
    table.pointee.setConversion(TypeNumber.iq4_xs, toF32: dequantizeIQ4_XS, fromF32: quantizeIQ4_XS)
    table.pointee.setConversion(TypeNumber.tq1_0, toF32: dequantizeTQ1_0, fromF32: quantizeTQ1_0)
    table.pointee.setConversion(TypeNumber.tq2_0, toF32: dequantizeTQ2_0, fromF32: quantizeTQ2_0)
    table.pointee.setConversion(TypeNumber.mxfp4, toF32: dequantizeMXFP4, fromF32: quantizeMXFP4)
    table.pointee.setConversion(TypeNumber.nvfp4, toF32: dequantizeNVFP4, fromF32: quantizeNVFP4)
    table.pointee.setConversion(TypeNumber.q1_0, toF32: dequantizeQ1_0, fromF32: quantizeQ1_0)
    table.pointee.setConversion(TypeNumber.q2_0, toF32: dequantizeQ2_0, fromF32: quantizeQ2_0)
    table.pointee.setConversion(TypeNumber.q8_1, toF32: dequantizeQ8_1, fromF32: quantizeQ8_1)
    table.pointee.setConversion(TypeNumber.q8_K, toF32: dequantizeQ8_K, fromF32: quantizeQ8_K)
    table.pointee.setConversion(TypeNumber.i8, toF32: convertI8, fromF32: nil)
    table.pointee.setConversion(TypeNumber.i16, toF32: convertI16, fromF32: nil)
    table.pointee.setConversion(TypeNumber.i32, toF32: convertI32, fromF32: convertToI32)
    table.pointee.setConversion(TypeNumber.i64, toF32: convertI64, fromF32: nil)
    table.pointee.setConversion(TypeNumber.f64, toF32: convertF64, fromF32: nil)
}

@Sendable
func convertF32(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count &* 4)
}

@Sendable
func convertToF32(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    target.copyMemory(from: source, byteCount: count &* 4)
}

@Sendable
func convertF16(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { target[i] = loadHalf(source + 2 &* i) }
}

@Sendable
func convertToF16(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<count { target.storeBytes(of: halfBits(source[i]), toByteOffset: 2 &* i, as: UInt16.self) }
}

@Sendable
func convertBF16(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count {
        let bits = source.loadUnaligned(fromByteOffset: 2 &* i, as: UInt16.self)
        target[i] = Float(bitPattern: UInt32(bits) &<< 16)
    }
}

@Sendable
func convertToBF16(_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) {
    for i in 0..<count { target.storeBytes(of: bfloatBits(source[i]), toByteOffset: 2 &* i, as: UInt16.self) }
}
