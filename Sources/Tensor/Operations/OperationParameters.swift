/// How exactly a product is to be summed, where a backend has a choice.
public enum Precision: Int32, CaseIterable, Hashable, Sendable {
    case standard = 0
    case f32 = 10
    case bf16 = 15
    case f16 = 20
    case q8 = 30
    case q4 = 40
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

public enum SortOrder: Int32, CaseIterable, Hashable, Sendable {
    case ascending = 0
    case descending = 1
}

public enum TriangleKind: Int32, CaseIterable, Hashable, Sendable {
    case upperWithDiagonal = 0
    case upper = 1
    case lowerWithDiagonal = 2
    case lower = 3
}

/// The functions of one variable, with ggml's numbers.
public enum UnaryKind: Int32, CaseIterable, Hashable, Sendable {
    case abs = 0
    case sgn, neg, step, tanh, elu, relu, sigmoid, gelu, geluQuick, silu, hardSwish, hardSigmoid, exp, expm1
    case softplus, geluErf, xielu, floor, ceil, round, trunc
}

/// The gated linear units, with ggml's numbers. (Shazeer, "GLU Variants Improve Transformer", 2020.)
public enum GLUKind: Int32, CaseIterable, Hashable, Sendable {
    case reglu = 0
    case geglu, swiglu, swigluOAI, gegluErf, gegluQuick, swigluClamp
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
    public enum Mode: Int32, CaseIterable, Hashable, Sendable {
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
