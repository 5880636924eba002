// Variants fill their tables through these functions rather than by building the structs themselves. Copying,
// destroying and hashing the structs needs helpers that every module emits alike and of which the linker keeps one
// copy for the whole program; were they emitted in a variant, that copy might be compiled for too wide a processor.

extension ProductTable {
    /// Adds the conversions of the element type with ggml's number `type`.
    @inline(never)
    public mutating func setConversion(
        _ type: UInt32,
        toF32: @escaping @Sendable (UnsafeRawPointer, UnsafeMutablePointer<Float>, Int) -> Void,
        fromF32: (@Sendable (UnsafePointer<Float>, UnsafeMutableRawPointer, Int) -> Void)?
    ) {
        conversions[type] = ConversionKernel(toF32: toF32, fromF32: fromF32)
    }

    /// Adds the product with weights of the element type with ggml's number `type`; see ``ProductKernel``.
    @inline(never)
    public mutating func setProduct(
        _ type: UInt32,
        packedByteCount: @escaping @Sendable (Int, Int) -> Int,
        pack: @escaping @Sendable (UnsafePointer<UnsafeRawPointer>, Int, Int, Int, Int, UnsafeMutableRawPointer) -> Void,
        multiply: @escaping @Sendable (
            UnsafeRawPointer, Int, Int, Int, Int, UnsafeRawPointer, Int, Int, Int,
            UnsafePointer<UnsafeMutablePointer<Float>>, UnsafeMutableRawPointer
        ) -> Void,
        scratchByteCount: @escaping @Sendable (Int, Int) -> Int, rowGranularity: Int, columnGranularity: Int
    ) {
        products[type] = ProductKernel(
            packedByteCount: packedByteCount, pack: pack, multiply: multiply, scratchByteCount: scratchByteCount,
            rowGranularity: rowGranularity, columnGranularity: columnGranularity)
    }
}
