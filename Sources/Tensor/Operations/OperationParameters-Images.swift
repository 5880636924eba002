/// How a kernel moves over an image: per dimension, width first, in elements of the image.
public struct Window2D: Hashable, Sendable {
    public var stride: SIMD2<Int32>
    public var padding: SIMD2<Int32>
    public var dilation: SIMD2<Int32>

    public init(
        stride: SIMD2<Int32> = .init(repeating: 1), padding: SIMD2<Int32> = .zero,
        dilation: SIMD2<Int32> = .init(repeating: 1)
    ) {
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
    }
}

/// How a kernel moves over a volume: width, height, depth, in elements of it.
public struct Window3D: Hashable, Sendable {
    public var stride: SIMD3<Int32>
    public var padding: SIMD3<Int32>
    public var dilation: SIMD3<Int32>

    public init(
        stride: SIMD3<Int32> = .init(repeating: 1), padding: SIMD3<Int32> = .zero,
        dilation: SIMD3<Int32> = .init(repeating: 1)
    ) {
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
    }
}

public struct Im2colParameters: Hashable, Sendable {
    public var window: Window2D
    /// Whether the source has a height; otherwise it is `[length, channels, batch]`.
    public var is2D: Bool

    public init(_ window: Window2D, is2D: Bool) {
        self.window = window
        self.is2D = is2D
    }
}

/// Kernel `[width, height, depth, channels · outputs]` over `[width, height, depth, channels · batch]`.
public struct Convolution3DParameters: Hashable, Sendable {
    public var window: Window3D
    public var channels: Int32
    public var batch: Int32
    public var outputs: Int32

    public init(_ window: Window3D, channels: Int32, batch: Int32, outputs: Int32) {
        self.window = window
        self.channels = channels
        self.batch = batch
        self.outputs = outputs
    }
}

/// What is kept of the elements under a pooling window, with ggml's numbers.
public enum PoolKind: Int32, CaseIterable, Hashable, Sendable {
    case maximum = 0
    case average = 1
}

public struct Pool2DParameters: Hashable, Sendable {
    public var kind: PoolKind
    public var size: SIMD2<Int32>
    public var stride: SIMD2<Int32>
    public var padding: SIMD2<Int32>

    public init(_ kind: PoolKind, size: SIMD2<Int32>, stride: SIMD2<Int32>, padding: SIMD2<Int32> = .zero) {
        self.kind = kind
        self.size = size
        self.stride = stride
        self.padding = padding
    }
}

public struct UpscaleParameters: Hashable, Sendable {
    /// How values between elements are found, with ggml's numbers.
    public enum Mode: Int32, CaseIterable, Hashable, Sendable {
        case nearest = 0
        case bilinear = 1
        case bicubic = 2
    }

    public var mode: Mode
    /// Whether the outermost elements' centres fall on each other, rather than their outer edges.
    public var alignsCorners: Bool
    /// Whether elements are averaged when there are fewer of them; only bilinear.
    public var antialiases: Bool

    public init(_ mode: Mode, alignsCorners: Bool = false, antialiases: Bool = false) {
        self.mode = mode
        self.alignsCorners = alignsCorners
        self.antialiases = antialiases
    }
}

/// Elements added around a tensor, by dimension.
public struct PadParameters: Hashable, Sendable {
    public var before: SIMD4<Int32>
    public var after: SIMD4<Int32>
    /// Whether what is added repeats the other end, rather than being zero.
    public var circular: Bool

    public init(before: SIMD4<Int32> = .zero, after: SIMD4<Int32>, circular: Bool = false) {
        self.before = before
        self.after = after
        self.circular = circular
    }
}

/// The expanded integral of the ELU, in the form the kernels use. (Huang, Schlag, "xIELU", 2024.)
public struct XIELUParameters: Hashable, Sendable {
    /// β + softplus(α of the negative side).
    public var alphaNegative: Float
    /// softplus(α of the positive side).
    public var alphaPositive: Float
    public var beta: Float
    public var epsilon: Float

    public init(alphaNegative: Float, alphaPositive: Float, beta: Float, epsilon: Float) {
        self.alphaNegative = alphaNegative
        self.alphaPositive = alphaPositive
        self.beta = beta
        self.epsilon = epsilon
    }
}
