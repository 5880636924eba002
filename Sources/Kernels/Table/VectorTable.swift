/// One row in, one row out: `count` F32 values. The pointers may be equal (in place); otherwise they do not overlap.
public typealias RowKernel = @Sendable (_ a: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int) -> Void

/// Two rows in, one out. `out` may equal `a` or `b`.
public typealias RowPairKernel =
    @Sendable (
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int
    ) -> Void

/// The kernels over rows of F32 values and the attention of one instruction-set variant.
///
/// Each computes its row in one fixed order, whatever else is computed beside it. None traps on NaN or infinity.
/// Pointers are trusted. Filled in by the variant; see the files of `Shared/` for what each does.
public struct VectorTable: Sendable {
    public var add: RowPairKernel
    public var sub: RowPairKernel
    public var mul: RowPairKernel
    public var div: RowPairKernel
    /// `a · factor + bias`.
    public var scale: @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, _ factor: Float, _ bias: Float) -> Void
    public var clamp: @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, _ low: Float, _ high: Float) -> Void

    /// By ggml's number of the function (`UnaryKind`); nil where there is none yet.
    public var unary: [RowKernel?]
    /// By ggml's number of the unit (`GLUKind`): gate, value, out.
    public var glu: [RowPairKernel?]

    /// `a / sqrt(mean(a²) + epsilon)`, then times `weight` if there is one.
    public var rmsNorm:
        @Sendable (
            _ a: UnsafePointer<Float>, _ weight: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<Float>, _ count: Int,
            _ epsilon: Float
        ) -> Void
    public var sum: @Sendable (UnsafePointer<Float>, Int) -> Float
    /// `softmax(a · scale + mask · slope)`; a row that is masked whole gives zeros. `sink`, if finite, joins the denominator.
    public var softMax:
        @Sendable (
            _ a: UnsafePointer<Float>, _ mask: UnsafePointer<Float>?, _ slope: Float, _ sink: Float,
            _ out: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float
        ) -> Void

    /// Rotates the first `2 · pairs` values of one head. `cosSin` holds cosine and sine of each pair, interleaved.
    /// `neox`: value i with value i + pairs; otherwise 2i with 2i + 1. Values past those are copied up to `count`.
    public var rope:
        @Sendable (
            _ a: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int, _ pairs: Int, _ neox: Bool,
            _ cosSin: UnsafePointer<Float>
        ) -> Void

    public var f32ToF16: @Sendable (UnsafePointer<Float>, UnsafeMutableRawPointer, Int) -> Void
    public var f16ToF32: @Sendable (UnsafeRawPointer, UnsafeMutablePointer<Float>, Int) -> Void

    /// See ``AttentionArguments``.
    public var attention: @Sendable (_ arguments: UnsafePointer<AttentionArguments>) -> Void
    /// Bytes of scratch, 64-byte aligned, that one call of `attention` with these head sizes needs.
    public var attentionScratchByteCount: @Sendable (_ keySize: Int, _ valueSize: Int) -> Int
    /// Queries that `attention` takes at once at most; more is split by the caller.
    public var attentionQueries: Int

    public init(
        add: @escaping RowPairKernel, sub: @escaping RowPairKernel, mul: @escaping RowPairKernel,
        div: @escaping RowPairKernel,
        scale: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Float, Float) -> Void,
        clamp: @escaping @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Float, Float) -> Void,
        unary: [RowKernel?], glu: [RowPairKernel?],
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
        self.add = add
        self.sub = sub
        self.mul = mul
        self.div = div
        self.scale = scale
        self.clamp = clamp
        self.unary = unary
        self.glu = glu
        self.rmsNorm = rmsNorm
        self.sum = sum
        self.softMax = softMax
        self.rope = rope
        self.f32ToF16 = f32ToF16
        self.f16ToF32 = f16ToF32
        self.attention = attention
        self.attentionScratchByteCount = attentionScratchByteCount
        self.attentionQueries = attentionQueries
    }
}

/// Attention of a few queries over the keys and values of one KV head of one stream.
///
/// Queries that share the keys (heads of one group, neighbouring tokens) are given together so that keys are loaded
/// once; each query's result is the same bytes however they are grouped: keys are visited in blocks of
/// ``keysPerBlock`` from key 0 on, the softmax is carried from block to block, and a block that the mask hides from a
/// query leaves that query's sums untouched.
public struct AttentionArguments {
    /// Keys are visited in blocks of this many, counted from key 0.
    public static let keysPerBlock = 64

    /// Up to ``VectorTable/attentionQueries``: each query's F32 values (`keySize`).
    public var queries: UnsafePointer<UnsafePointer<Float>>
    /// Each query's row of the mask, F16, `keyCount` values; nil for none.
    public var masks: UnsafePointer<UnsafeRawPointer?>
    /// ALiBi's slope of each query's head: multiplies the mask. 1 without ALiBi.
    public var slopes: UnsafePointer<Float>
    /// Each query's attention sink: joins the denominator; -infinity for none.
    public var sinks: UnsafePointer<Float>
    /// Where each query's result goes: `valueSize` F32 values.
    public var outputs: UnsafePointer<UnsafeMutablePointer<Float>>
    public var queryCount: Int

    /// Key 0, F16; keys lie `keyStride` bytes apart.
    public var keys: UnsafeRawPointer
    public var keyStride: Int
    public var values: UnsafeRawPointer
    public var valueStride: Int
    public var keyCount: Int
    public var keySize: Int
    public var valueSize: Int

    public var scale: Float
    /// 0 for none.
    public var softcap: Float
    public var scratch: UnsafeMutableRawPointer

    public init(
        queries: UnsafePointer<UnsafePointer<Float>>, masks: UnsafePointer<UnsafeRawPointer?>,
        slopes: UnsafePointer<Float>, sinks: UnsafePointer<Float>,
        outputs: UnsafePointer<UnsafeMutablePointer<Float>>, queryCount: Int, keys: UnsafeRawPointer, keyStride: Int,
        values: UnsafeRawPointer, valueStride: Int, keyCount: Int, keySize: Int, valueSize: Int, scale: Float,
        softcap: Float, scratch: UnsafeMutableRawPointer
    ) {
        self.queries = queries
        self.masks = masks
        self.slopes = slopes
        self.sinks = sinks
        self.outputs = outputs
        self.queryCount = queryCount
        self.keys = keys
        self.keyStride = keyStride
        self.values = values
        self.valueStride = valueStride
        self.keyCount = keyCount
        self.keySize = keySize
        self.valueSize = valueSize
        self.scale = scale
        self.softcap = softcap
        self.scratch = scratch
    }
}
