// A variant fills its table through these functions; ProductTable's file of the same kind says why.

extension VectorTable {
    /// Sets the whole table but for the functions of one variable and the gated units.
    @inline(never)
    public static func fill(
        _ table: UnsafeMutablePointer<VectorTable?>,
        add: @escaping RowPairKernel, sub: @escaping RowPairKernel, mul: @escaping RowPairKernel,
        div: @escaping RowPairKernel,
        scale: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Float, Float) -> Void,
        clamp: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Float, Float) -> Void,
        rmsNorm: @escaping @Sendable (
            UnsafePointer<Float>, UnsafePointer<Float>?, UnsafeMutablePointer<Float>, Int, Float
        ) -> Void,
        sum: @escaping @Sendable (UnsafePointer<Float>, Int) -> Float,
        softMax: @escaping @Sendable (
            UnsafePointer<Float>, UnsafePointer<Float>?, Float, Float, UnsafeMutablePointer<Float>, Int, Float
        ) -> Void,
        rope: @escaping @Sendable (
            UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Int, Bool, UnsafePointer<Float>
        ) -> Void,
        f32ToF16: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutableRawPointer, Int) -> Void,
        f16ToF32: @escaping @Sendable (UnsafeRawPointer, UnsafeMutablePointer<Float>, Int) -> Void,
        attention: @escaping @Sendable (UnsafePointer<AttentionArguments>) -> Void,
        attentionScratchByteCount: @escaping @Sendable (Int, Int) -> Int, attentionQueries: Int
    ) {
        table.pointee = VectorTable(
            add: add, sub: sub, mul: mul, div: div, scale: scale, clamp: clamp,
            unary: [RowKernel?](repeating: nil, count: unaryCount), glu: [RowPairKernel?](repeating: nil, count: gluCount),
            rmsNorm: rmsNorm, sum: sum, softMax: softMax, rope: rope, f32ToF16: f32ToF16, f16ToF32: f16ToF32,
            attention: attention, attentionScratchByteCount: attentionScratchByteCount,
            attentionQueries: attentionQueries)
    }

    /// Sets the function with ggml's number `index`. The table has been filled.
    @inline(never)
    public static func setUnary(_ table: UnsafeMutablePointer<VectorTable?>, _ index: Int, _ kernel: @escaping RowKernel) {
        table.pointee?.unary[index] = kernel
    }

    /// Sets the gated unit with ggml's number `index`. The table has been filled.
    @inline(never)
    public static func setGLU(_ table: UnsafeMutablePointer<VectorTable?>, _ index: Int, _ kernel: @escaping RowPairKernel) {
        table.pointee?.glu[index] = kernel
    }

    /// How many functions of one variable and gated units ggml numbers.
    static let unaryCount = 22
    static let gluCount = 7
}
