public import KernelTable

/// Adds this variant's matrix products.
///
/// Quantized weights meet activations that were quantized to signed bytes, one scale for as many values as the
/// weights' blocks have; products and their sums within a block are exact integers. A result is summed along its row
/// from the first block to the last, whatever other rows and columns are computed beside it.
public func fillProducts(_ table: UnsafeMutablePointer<ProductTable>) {
    addFloats(table, TypeNumber.f32, multiplyF32)
    addFloats(table, TypeNumber.f16, multiplyF16)
    addFloats(table, TypeNumber.bf16, multiplyBF16)
    addBlocks32(table, TypeNumber.q8_0, multiplyQ8_0)
    addBlocks32(table, TypeNumber.q4_0, multiplyQ4_0)
    addBlocks32(table, TypeNumber.q4_1, multiplyQ4_1)
    addBlocks32(table, TypeNumber.q5_0, multiplyQ5_0)
    addBlocks32(table, TypeNumber.q5_1, multiplyQ5_1)
    addBlocks256(table, TypeNumber.q4_K, multiplyQ4_K)
    addBlocks256(table, TypeNumber.q5_K, multiplyQ5_K)
    addBlocks256(table, TypeNumber.q6_K, multiplyQ6_K)
    addRunProducts(table)
}

private typealias Multiply =
    @Sendable (
        UnsafeRawPointer, Int, Int, Int, Int, UnsafeRawPointer, Int, Int, Int,
        UnsafePointer<UnsafeMutablePointer<Float>>, UnsafeMutableRawPointer
    ) -> Void

private func addFloats(_ table: UnsafeMutablePointer<ProductTable>, _ type: UInt32, _ multiply: @escaping Multiply) {
    table.pointee.setProduct(
        type, packedByteCount: packedByteCountFloat, pack: packColumnsFloat, multiply: multiply,
        scratchByteCount: scratchByteCountFloat, rowGranularity: 1, columnGranularity: 4)
}

private func addBlocks32(_ table: UnsafeMutablePointer<ProductTable>, _ type: UInt32, _ multiply: @escaping Multiply) {
    table.pointee.setProduct(
        type, packedByteCount: packedByteCount32, pack: packColumns32, multiply: multiply,
        scratchByteCount: noScratch, rowGranularity: 1, columnGranularity: 4)
}

private func addBlocks256(_ table: UnsafeMutablePointer<ProductTable>, _ type: UInt32, _ multiply: @escaping Multiply) {
    table.pointee.setProduct(
        type, packedByteCount: packedByteCount256, pack: packColumns256, multiply: multiply,
        scratchByteCount: noScratch, rowGranularity: 1, columnGranularity: 4)
}
