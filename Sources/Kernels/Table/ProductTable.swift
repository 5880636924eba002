/// The matrix products of one instruction-set variant, one entry per element type of the weights.
///
/// A product runs in two phases. All activation columns are packed once (quantized, for quantized weights) into
/// scratch memory; then pieces of the product, a range of weight rows by a range of columns, are computed by any
/// threads in any order. Packing and summing never depend on how many columns there are or how the work is split:
/// a column's result has the same bytes alone and among others.
///
/// Pointers are trusted: whoever fills in the arguments has checked every extent.
public struct ProductKernel: Sendable {
    /// Bytes of scratch for `n` packed columns of `k` values. `k` is a whole number of the type's blocks.
    public var packedByteCount: @Sendable (_ k: Int, _ n: Int) -> Int

    /// Packs `count` columns beginning with column `first` of `n` columns in all. Ranges given to different threads
    /// begin at multiples of ``columnGranularity``. `columns[i]` points at the `k` contiguous F32 values of column i.
    public var pack:
        @Sendable (
            _ columns: UnsafePointer<UnsafeRawPointer>, _ k: Int, _ n: Int, _ first: Int, _ count: Int,
            _ packed: UnsafeMutableRawPointer
        ) -> Void

    /// Computes rows `firstRow ..< firstRow + rowCount` (`firstRow` a multiple of ``rowGranularity``) for columns
    /// `firstColumn ..< firstColumn + columnCount` (`firstColumn` a multiple of ``columnGranularity``).
    /// `weights` points at row 0, rows lie `rowStride` bytes apart; `outputs[i]` points at row 0 of result column i.
    public var multiply:
        @Sendable (
            _ weights: UnsafeRawPointer, _ rowStride: Int, _ k: Int, _ firstRow: Int, _ rowCount: Int,
            _ packed: UnsafeRawPointer, _ n: Int, _ firstColumn: Int, _ columnCount: Int,
            _ outputs: UnsafePointer<UnsafeMutablePointer<Float>>, _ scratch: UnsafeMutableRawPointer
        ) -> Void

    /// Bytes of scratch that one thread's `multiply` of `n` columns of `k` values needs, 64-byte aligned.
    public var scratchByteCount: @Sendable (_ k: Int, _ n: Int) -> Int

    public var rowGranularity: Int
    public var columnGranularity: Int

    public init(
        packedByteCount: @escaping @Sendable (Int, Int) -> Int,
        pack: @escaping @Sendable (UnsafePointer<UnsafeRawPointer>, Int, Int, Int, Int, UnsafeMutableRawPointer) -> Void,
        multiply: @escaping @Sendable (
            UnsafeRawPointer, Int, Int, Int, Int, UnsafeRawPointer, Int, Int, Int,
            UnsafePointer<UnsafeMutablePointer<Float>>, UnsafeMutableRawPointer
        ) -> Void,
        scratchByteCount: @escaping @Sendable (Int, Int) -> Int, rowGranularity: Int, columnGranularity: Int
    ) {
        self.packedByteCount = packedByteCount
        self.pack = pack
        self.multiply = multiply
        self.scratchByteCount = scratchByteCount
        self.rowGranularity = rowGranularity
        self.columnGranularity = columnGranularity
    }
}

/// Conversions of one element type to and from F32, `count` elements, a whole number of blocks.
public struct ConversionKernel: Sendable {
    public var toF32: @Sendable (_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) -> Void
    /// Nil where nothing writes this type yet.
    public var fromF32: (@Sendable (_ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int) -> Void)?

    public init(
        toF32: @escaping @Sendable (UnsafeRawPointer, UnsafeMutablePointer<Float>, Int) -> Void,
        fromF32: (@Sendable (UnsafePointer<Float>, UnsafeMutableRawPointer, Int) -> Void)? = nil
    ) {
        self.toF32 = toF32
        self.fromF32 = fromF32
    }
}

/// Everything a variant offers for weights: indexed by ggml's type numbers.
public struct ProductTable: Sendable {
    public var products: [UInt32: ProductKernel] = [:]
    public var conversions: [UInt32: ConversionKernel] = [:]

    public init() {}
}
