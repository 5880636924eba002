import Tensor

/// One of every operation, with parameters none of which can take another's place unnoticed.
enum OperationSamples {
    /// The shape of every result: TOP_K has its parameter in it.
    static let shape = Shape(5, 3)

    static let part = SetParameters(stride1: 16, stride2: 48, stride3: 96, byteOffset: 4, inPlace: true)
    static let window = Window2D(stride: SIMD2(2, 1), padding: SIMD2(3, 4), dilation: SIMD2(5, 6))
    static let volume = Window3D(stride: SIMD3(2, 1, 3), padding: SIMD3(1, 0, 2), dilation: SIMD3(4, 5, 6))
    static let pool = Pool2DParameters(.average, size: SIMD2(2, 3), stride: SIMD2(4, 1), padding: SIMD2(0, 5))
    static let around = PadParameters(before: SIMD4(1, 4, 5, 6), after: SIMD4(2, 3, 7, 8), circular: true)
    static let rope = RopeParameters(
        dimensions: 64, mode: .neox, originalContext: 4096, frequencyBase: 1e6, frequencyScale: 0.5, extrapolationFactor: 1,
        attentionFactor: 2, betaFast: 32, betaSlow: 3, sections: SIMD4(1, 2, 3, 4), offset: 8)
    static let flash = FlashAttentionParameters(scale: 0.125, maxBias: 8, softcap: 50, precision: .f32, keyCountHint: 256)
    static let xielu = Operation.xielu(XIELUParameters(alphaNegative: 1, alphaPositive: 2, beta: 0.5, epsilon: -1e-6))

    /// The operation as it comes out of a version that has no room for the hint.
    static func withoutKeyCountHint(_ operation: Operation) -> Operation {
        guard case .flashAttention(var parameters) = operation else { return operation }
        parameters.keyCountHint = 0
        return .flashAttention(parameters)
    }

    static func operation(_ kind: OperationKind) -> Operation {
        switch kind {
        case .none: .none
        case .dup: .dup
        case .add: .add
        case .addID: .addID
        case .add1: .add1
        case .acc: .acc(part)
        case .sub: .sub
        case .mul: .mul
        case .div: .div
        case .sqr: .sqr
        case .sqrt: .sqrt
        case .log: .log
        case .sin: .sin
        case .cos: .cos
        case .sum: .sum
        case .sumRows: .sumRows
        case .cumsum: .cumsum
        case .mean: .mean
        case .argmax: .argmax
        case .countEqual: .countEqual
        case .repeat: .repeat
        case .repeatBack: .repeatBack
        case .concat: .concat(dimension: 3)
        case .siluBack: .siluBack
        case .norm: .norm(epsilon: 1e-5)
        case .rmsNorm: .rmsNorm(epsilon: 1e-6)
        case .rmsNormBack: .rmsNormBack(epsilon: 1e-7)
        case .groupNorm: .groupNorm(groups: 32, epsilon: 1e-6)
        case .l2Norm: .l2Norm(epsilon: 1e-8)
        case .matMul: .matMul(precision: .q8)
        case .matMulID: .matMulID
        case .outProd: .outProd
        case .scale: .scale(factor: 0.5, bias: -1)
        case .set: .set(part)
        case .cpy: .cpy
        case .cont: .cont
        case .reshape: .reshape
        case .view: .view(byteOffset: 0x1_2345_6789)
        case .permute: .permute(axes: SIMD4(1, 3, 0, 2))
        case .transpose: .transpose
        case .getRows: .getRows
        case .getRowsBack: .getRowsBack
        case .setRows: .setRows
        case .diag: .diag
        case .diagMaskInf: .diagMaskInf(past: 7)
        case .diagMaskZero: .diagMaskZero(past: 8)
        case .softMax: .softMax(scale: 0.5, maxBias: 8)
        case .softMaxBack: .softMaxBack(scale: 0.25, maxBias: 4)
        case .rope: .rope(rope)
        case .ropeBack: .ropeBack(rope)
        case .clamp: .clamp(minimum: -1, maximum: 2)
        case .convTranspose1D: .convTranspose1D(stride: 3)
        case .im2col: .im2col(Im2colParameters(window, is2D: true))
        case .im2colBack: .im2colBack(Im2colParameters(window, is2D: true))
        case .im2col3D: .im2col3D(volume, channels: 4)
        case .col2im1D: .col2im1D(stride: 2, channels: 5, padding: 1)
        case .conv2D: .conv2D(window)
        case .conv3D: .conv3D(Convolution3DParameters(volume, channels: 4, batch: 5, outputs: 6))
        case .conv2DDepthwise: .conv2DDepthwise(window)
        case .convTranspose2D: .convTranspose2D(stride: 4)
        case .pool1D: .pool1D(.average, size: 3, stride: 2, padding: 4)
        case .pool2D: .pool2D(pool)
        case .pool2DBack: .pool2DBack(pool)
        case .upscale: .upscale(UpscaleParameters(.bicubic, alignsCorners: true, antialiases: true))
        case .pad: .pad(around)
        case .padReflect1D: .padReflect1D(before: 3, after: 1)
        case .roll: .roll(shifts: SIMD4(3, -1, 2, -4))
        case .arange: .arange(start: 1, stop: 10, step: 3)
        case .timestepEmbedding: .timestepEmbedding(dimension: 7, maxPeriod: 100)
        case .argsort: .argsort(.descending)
        case .topK: .topK(count: shape[0])
        case .leakyRelu: .leakyRelu(slope: 0.1)
        case .tri: .tri(.lower)
        case .fill: .fill(value: 1.5)
        case .flashAttention: .flashAttention(flash)
        case .flashAttentionBack: .flashAttentionBack(masked: true)
        case .ssmConv: .ssmConv
        case .ssmScan: .ssmScan(snapshots: 3)
        case .winPart: .winPart(columnCount: 3, rowCount: 2, window: 4)
        case .winUnpart: .winUnpart(window: 5)
        case .getRelPos: .getRelPos
        case .addRelPos: .addRelPos(inPlace: true)
        case .rwkvWKV6: .rwkvWKV6
        case .gatedLinearAttention: .gatedLinearAttention(scale: 0.75)
        case .rwkvWKV7: .rwkvWKV7
        case .solveTri: .solveTri
        case .gatedDeltaNet: .gatedDeltaNet(snapshots: 2)
        case .lightningIndexer: .lightningIndexer
        case .dsv4HCComb: .dsv4HCComb(epsilon: 1e-6, iterations: 20)
        case .dsv4HCPre: .dsv4HCPre(scale: 0.5, gated: true)
        case .dsv4HCPost: .dsv4HCPost
        case .unary: .unary(.gelu)
        case .mapCustom1: .mapCustom1
        case .mapCustom2: .mapCustom2
        case .mapCustom3: .mapCustom3
        case .custom: .custom
        case .crossEntropyLoss: .crossEntropyLoss
        case .crossEntropyLossBack: .crossEntropyLossBack
        case .optStepAdamW: .optStepAdamW
        case .optStepSGD: .optStepSGD
        case .glu: .glu(GLUParameters(.swigluOAI, swapped: true, alpha: 1.5, limit: 7))
        }
    }
}
