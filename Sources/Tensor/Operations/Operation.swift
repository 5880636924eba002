/// What a node of a graph computes, with its parameters as types.
///
/// The cases are ggml's 101 operations in the order of its header. What each reads (``Tensor/sources``) and makes is
/// said by ``Operation/inferred(from:)``; how it is numbered and packed for the wire, by ``OperationTable``.
/// Shapes are given fastest dimension first.
public enum Operation: Hashable, Sendable {
    /// A leaf: weights, an input, a constant.
    case none

    // Element by element, the second source repeated over the first.
    case dup, add
    /// `dst[:, j, k] = a[:, j, k] + b[:, ids[j, k]]`; sources a, b, ids.
    case addID
    case add1
    case acc(SetParameters)
    case sub, mul, div
    case sqr, sqrt, log, sin, cos

    // Sums and counts.
    case sum, sumRows, cumsum, mean, argmax, countEqual

    // Copies with another shape.
    case `repeat`, repeatBack
    case concat(dimension: Int)

    // Norms over rows.
    case siluBack
    case norm(epsilon: Float)
    case rmsNorm(epsilon: Float)
    case rmsNormBack(epsilon: Float)
    case groupNorm(groups: Int, epsilon: Float)
    case l2Norm(epsilon: Float)

    /// Weights `[k, m]` times activations `[k, n]` gives `[m, n]`, in F32.
    case matMul(precision: Precision)
    /// Experts `[k, m, experts]`, activations `[k, used or 1, tokens]`, ids `[used, tokens]` give `[m, used, tokens]`.
    case matMulID
    case outProd

    case scale(factor: Float, bias: Float)
    case set(SetParameters)
    case cpy, cont

    // Other views of the same bytes: nothing is computed.
    case reshape
    case view(byteOffset: Int)
    case permute(axes: SIMD4<Int32>)
    case transpose

    /// Rows of source 0 picked by the indices (I32) of source 1.
    case getRows
    case getRowsBack
    /// Rows of source 0 (F32) written into source 2 at the indices (I64 or I32) of source 1; a view of source 2.
    case setRows
    case diag
    case diagMaskInf(past: Int)
    case diagMaskZero(past: Int)

    /// Over rows of source 0; sources mask (optional), sinks (optional).
    case softMax(scale: Float, maxBias: Float)
    case softMaxBack(scale: Float, maxBias: Float)
    /// Source 0 `[head size, heads, tokens]`, positions I32 `[tokens]`, frequency factors F32 (optional).
    case rope(RopeParameters)
    case ropeBack(RopeParameters)
    case clamp(minimum: Float, maximum: Float)

    // Convolution and images.
    case convTranspose1D, im2col, im2colBack, im2col3D, col2im1D, conv2D, conv3D, conv2DDepthwise, convTranspose2D
    case pool1D, pool2D, pool2DBack, upscale, pad, padReflect1D, roll, arange, timestepEmbedding

    /// Indices (I32) that sort each row.
    case argsort(SortOrder)
    /// Indices (I32) of the `count` largest of each row, in no promised order.
    case topK(count: Int)
    case leakyRelu(slope: Float)
    case tri(TriangleKind)
    case fill(value: Float)

    /// Sources q `[head size, tokens, heads, streams]` F32, k and v `[head size, keys, KV heads, streams]`, mask F16
    /// `[keys, tokens, 1, streams]` (optional), sinks (optional); gives `[v head size, heads, tokens, streams]`.
    case flashAttention(FlashAttentionParameters)
    case flashAttentionBack(masked: Bool)
    case ssmConv, ssmScan, winPart, winUnpart, getRelPos, addRelPos, rwkvWKV6, gatedLinearAttention, rwkvWKV7, solveTri
    case gatedDeltaNet, lightningIndexer, dsv4HCComb, dsv4HCPre, dsv4HCPost

    case unary(UnaryKind)

    // Functions of the host program: no backend over the wire can run them.
    case mapCustom1, mapCustom2, mapCustom3, custom

    case crossEntropyLoss, crossEntropyLossBack, optStepAdamW, optStepSGD

    /// Gate and value: halves of source 0's rows, or source 0 and source 1.
    case glu(GLUParameters)
}

/// How exactly a product is to be summed, where a backend has a choice.
public enum Precision: Int32, Hashable, Sendable {
    case standard = 0
    case f32 = 10
}

/// For operations that write a part of a copy: strides and offset of the part, in bytes.
public struct SetParameters: Hashable, Sendable {
    public var stride1: Int
    public var stride2: Int
    public var stride3: Int
    public var byteOffset: Int
    public var inPlace: Bool

    public init(stride1: Int, stride2: Int, stride3: Int, byteOffset: Int, inPlace: Bool) {
        self.stride1 = stride1
        self.stride2 = stride2
        self.stride3 = stride3
        self.byteOffset = byteOffset
        self.inPlace = inPlace
    }
}

public enum SortOrder: Int32, Hashable, Sendable {
    case ascending = 0
    case descending = 1
}

public enum TriangleKind: Int32, Hashable, Sendable {
    case upperWithDiagonal = 0
    case upper = 1
    case lowerWithDiagonal = 2
    case lower = 3
}

/// The functions of one variable, with ggml's numbers.
public enum UnaryKind: Int32, CaseIterable, Hashable, Sendable {
    case abs = 0, sgn, neg, step, tanh, elu, relu, sigmoid, gelu, geluQuick, silu, hardSwish, hardSigmoid, exp, expm1
    case softplus, geluErf, xielu, floor, ceil, round, trunc
}

/// The gated linear units, with ggml's numbers. (Shazeer, "GLU Variants Improve Transformer", 2020.)
public enum GLUKind: Int32, CaseIterable, Hashable, Sendable {
    case reglu = 0, geglu, swiglu, swigluOAI, gegluErf, gegluQuick, swigluClamp
}

public struct GLUParameters: Hashable, Sendable {
    public var kind: GLUKind
    /// Whether, with one source, the gate is the second half of its rows instead of the first.
    public var swapped: Bool
    public var alpha: Float
    public var limit: Float

    public init(_ kind: GLUKind, swapped: Bool = false, alpha: Float = 0, limit: Float = 0) {
        self.kind = kind
        self.swapped = swapped
        self.alpha = alpha
        self.limit = limit
    }
}

/// Rotary position embedding (Su et al., "RoFormer", 2021), with YaRN's extrapolation (Peng et al., 2023).
public struct RopeParameters: Hashable, Sendable {
    /// Which elements are rotated together, with ggml's numbers.
    public enum Mode: Int32, Hashable, Sendable {
        /// Neighbours: 2i and 2i + 1.
        case normal = 0
        /// Halves: i and i + n/2.
        case neox = 2
        case multi = 8
        case vision = 24
        case interleavedMulti = 40
    }

    /// How many of each head's elements are rotated; the rest pass through.
    public var dimensions: Int
    public var mode: Mode
    /// The context the model was trained with; for YaRN's corrections.
    public var originalContext: Int
    public var frequencyBase: Float
    public var frequencyScale: Float
    public var extrapolationFactor: Float
    public var attentionFactor: Float
    public var betaFast: Float
    public var betaSlow: Float
    public var sections: SIMD4<Int32>
    /// Where in the head the rotated elements begin (RPC 5.1 and later).
    public var offset: Int

    public init(
        dimensions: Int, mode: Mode, originalContext: Int = 0, frequencyBase: Float = 10000, frequencyScale: Float = 1,
        extrapolationFactor: Float = 0, attentionFactor: Float = 1, betaFast: Float = 32, betaSlow: Float = 1,
        sections: SIMD4<Int32> = .zero, offset: Int = 0
    ) {
        self.dimensions = dimensions
        self.mode = mode
        self.originalContext = originalContext
        self.frequencyBase = frequencyBase
        self.frequencyScale = frequencyScale
        self.extrapolationFactor = extrapolationFactor
        self.attentionFactor = attentionFactor
        self.betaFast = betaFast
        self.betaSlow = betaSlow
        self.sections = sections
        self.offset = offset
    }
}

/// Attention in one pass over keys and values (Dao et al., "FlashAttention", 2022).
public struct FlashAttentionParameters: Hashable, Sendable {
    /// Multiplies the products of queries and keys.
    public var scale: Float
    /// ALiBi's slope; 0 for none.
    public var maxBias: Float
    /// The products are squashed to `softcap · tanh(x / softcap)`; 0 for not at all.
    public var softcap: Float
    public var precision: Precision
    /// A hint of how many keys there are (RPC 7.0 and later); 0 for none.
    public var keyCountHint: Int

    public init(
        scale: Float, maxBias: Float = 0, softcap: Float = 0, precision: Precision = .standard, keyCountHint: Int = 0
    ) {
        self.scale = scale
        self.maxBias = maxBias
        self.softcap = softcap
        self.precision = precision
        self.keyCountHint = keyCountHint
    }
}
