/// What a node of a graph computes, with its parameters as types.
///
/// The cases are ggml's 101 operations in the order of its header; one of them, the functions of one variable, has two
/// cases. What each reads (``Tensor/sources``) and makes is said by ``Operation/inferred(from:declared:name:)``; how it
/// is numbered and packed for a wire is for that wire to know. Shapes are given fastest dimension first.
///
/// As in ggml, a few operations do not determine their result by sources and parameters alone (a repetition, a
/// conversion to another type): there the tensor itself says its type and shape, and is held against what is possible.
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

    // Copies with another shape. A repetition fills the shape that the result declares; its counterpart adds up what
    // falls on the same element.
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
    /// Source 0 converted into source 1, of which the result is a view; without source 1, into the type it declares.
    case cpy
    /// A contiguous copy, of source 0's shape or of another with as many elements.
    case cont

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

    // Convolutions. Kernels are `[width, height, in, out]`, images `[width, height, channels, batch]`.

    /// Kernel `[size, out, in]`, signal `[length, in, batch]`: `[(length - 1) · stride + size, out, batch]`.
    case convTranspose1D(stride: Int32)
    /// Kernel (for its shape) and image: a column of `width · height · in` elements for each place of the kernel.
    case im2col(Im2colParameters)
    /// The gradient of im2col's result and the kernel: the gradient of the image, in the shape the result declares.
    case im2colBack(Im2colParameters)
    /// As im2col, over `[width, height, depth, channels · batch]`.
    case im2col3D(Window3D, channels: Int32)
    /// Columns `[size · channels, steps]` added up to a signal `[length, channels]`.
    case col2im1D(stride: Int32, channels: Int32, padding: Int32)
    case conv2D(Window2D)
    case conv3D(Convolution3DParameters)
    /// Kernel `[width, height, 1, channels]`: each channel by itself.
    case conv2DDepthwise(Window2D)
    /// Kernel `[width, height, out, in]`.
    case convTranspose2D(stride: Int32)

    // Images.
    case pool1D(PoolKind, size: Int32, stride: Int32, padding: Int32)
    case pool2D(Pool2DParameters)
    /// The gradient of the pooled image, and the image: the image's gradient.
    case pool2DBack(Pool2DParameters)
    /// Source 0 (F32) at the size that the result declares.
    case upscale(UpscaleParameters)
    case pad(PadParameters)
    /// Rows lengthened by their own mirror images.
    case padReflect1D(before: Int32, after: Int32)
    /// Elements moved along each dimension, what falls off one end coming in at the other.
    case roll(shifts: SIMD4<Int32>)
    /// `start`, `start + step`, … below `stop`, in F32; no sources.
    case arange(start: Float, stop: Float, step: Float)
    /// Steps `[n]`: `[dimension, n]` of cosines and sines, halves each. (Ho et al., "DDPM", 2020.)
    case timestepEmbedding(dimension: Int32, maxPeriod: Int32)

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

    // Recurrences. States come in and go out; the results hold outputs first and states behind them.

    /// Source 0 `[size - 1 + tokens, inner, sequences]`, kernel `[size, inner]`: `[inner, tokens, sequences]`.
    case ssmConv
    /// State s, x, dt, A, B, C, ids (I32): outputs and `snapshots` states per sequence, in one row. (Gu, Dao, "Mamba".)
    case ssmScan(snapshots: Int32)
    /// `[embedding, columns, rows]` cut into windows: `[embedding, window, window, columnCount · rowCount]`.
    case winPart(columnCount: Int32, rowCount: Int32, window: Int32)
    /// The counterpart of winPart, in the shape that the result declares.
    case winUnpart(window: Int32)
    /// Rows of `[embedding, 2n - 1]` by the difference of two positions: `[embedding, n, n]`, in F16.
    case getRelPos
    /// Adds to source 0 by columns (source 1) and by rows (source 2).
    case addRelPos(inPlace: Bool)
    /// Sources k, v, r, time first, time decay, state. (Peng et al., "Eagle and Finch", 2024.)
    case rwkvWKV6
    /// Sources k, v, q, g, state. (Yang et al., "Gated Linear Attention", 2024.)
    case gatedLinearAttention(scale: Float)
    /// Sources r, w, k, v, a, b, state. (Peng et al., "RWKV-7 Goose", 2025.)
    case rwkvWKV7
    /// Solves A·X = B with A lower triangular; sources A and B.
    case solveTri
    /// Sources q, k, v, g, beta, state. (Yang et al., "Gated Delta Networks", 2025.)
    case gatedDeltaNet(snapshots: Int32)
    /// Queries `[size, heads, tokens]`, keys `[size, 1, keys]`, weights `[heads, tokens]`, mask F16 `[keys, tokens]`: a
    /// score per key and token. (DeepSeek-AI, "DeepSeek-V3.2", 2025.)
    case lightningIndexer
    /// Mixes `[hc² + 2hc, tokens]`, scale, base: doubly stochastic matrices `[hc, hc, tokens]`.
    case dsv4HCComb(epsilon: Float, iterations: Int32)
    /// Streams `[embedding, hc, tokens]` and weights, or, gated, a gate of the streams' shape: `[embedding, tokens]`.
    case dsv4HCPre(scale: Float, gated: Bool)
    /// x `[embedding, tokens]`, residual `[embedding, hc, tokens]`, post, comb (optional): the next residual.
    case dsv4HCPost

    /// A function of one variable. All but ``UnaryKind/xielu``, which has parameters and a case of its own.
    case unary(UnaryKind)
    case xielu(XIELUParameters)

    // Functions of the host program: no backend over the wire can run them.
    case mapCustom1, mapCustom2, mapCustom3, custom

    case crossEntropyLoss, crossEntropyLossBack, optStepAdamW, optStepSGD

    /// Gate and value: halves of source 0's rows, or source 0 and source 1.
    case glu(GLUParameters)
}
