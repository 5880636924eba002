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
    table.pointee.setConversion(TypeNumber.q4_0, toF32: dequantizeQ4_0, fromF32: nil)
    table.pointee.setConversion(TypeNumber.q4_1, toF32: dequantizeQ4_1, fromF32: nil)
    table.pointee.setConversion(TypeNumber.q5_0, toF32: dequantizeQ5_0, fromF32: nil)
    table.pointee.setConversion(TypeNumber.q5_1, toF32: dequantizeQ5_1, fromF32: nil)
    table.pointee.setConversion(TypeNumber.q4_K, toF32: dequantizeQ4_K, fromF32: nil)
    table.pointee.setConversion(TypeNumber.q5_K, toF32: dequantizeQ5_K, fromF32: nil)
    table.pointee.setConversion(TypeNumber.q6_K, toF32: dequantizeQ6_K, fromF32: nil)
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
