/// Which of ggml's operations an ``Operation`` is, without its parameters. The raw values are ggml's names.
public enum OperationKind: String, CaseIterable, Hashable, Sendable {
    case none = "NONE"
    case dup = "DUP"
    case add = "ADD"
    case addID = "ADD_ID"
    case add1 = "ADD1"
    case acc = "ACC"
    case sub = "SUB"
    case mul = "MUL"
    case div = "DIV"
    case sqr = "SQR"
    case sqrt = "SQRT"
    case log = "LOG"
    case sin = "SIN"
    case cos = "COS"
    case sum = "SUM"
    case sumRows = "SUM_ROWS"
    case cumsum = "CUMSUM"
    case mean = "MEAN"
    case argmax = "ARGMAX"
    case countEqual = "COUNT_EQUAL"
    case `repeat` = "REPEAT"
    case repeatBack = "REPEAT_BACK"
    case concat = "CONCAT"
    case siluBack = "SILU_BACK"
    case norm = "NORM"
    case rmsNorm = "RMS_NORM"
    case rmsNormBack = "RMS_NORM_BACK"
    case groupNorm = "GROUP_NORM"
    case l2Norm = "L2_NORM"
    case matMul = "MUL_MAT"
    case matMulID = "MUL_MAT_ID"
    case outProd = "OUT_PROD"
    case scale = "SCALE"
    case set = "SET"
    case cpy = "CPY"
    case cont = "CONT"
    case reshape = "RESHAPE"
    case view = "VIEW"
    case permute = "PERMUTE"
    case transpose = "TRANSPOSE"
    case getRows = "GET_ROWS"
    case getRowsBack = "GET_ROWS_BACK"
    case setRows = "SET_ROWS"
    case diag = "DIAG"
    case diagMaskInf = "DIAG_MASK_INF"
    case diagMaskZero = "DIAG_MASK_ZERO"
    case softMax = "SOFT_MAX"
    case softMaxBack = "SOFT_MAX_BACK"
    case rope = "ROPE"
    case ropeBack = "ROPE_BACK"
    case clamp = "CLAMP"
    case convTranspose1D = "CONV_TRANSPOSE_1D"
    case im2col = "IM2COL"
    case im2colBack = "IM2COL_BACK"
    case im2col3D = "IM2COL_3D"
    case col2im1D = "COL2IM_1D"
    case conv2D = "CONV_2D"
    case conv3D = "CONV_3D"
    case conv2DDepthwise = "CONV_2D_DW"
    case convTranspose2D = "CONV_TRANSPOSE_2D"
    case pool1D = "POOL_1D"
    case pool2D = "POOL_2D"
    case pool2DBack = "POOL_2D_BACK"
    case upscale = "UPSCALE"
    case pad = "PAD"
    case padReflect1D = "PAD_REFLECT_1D"
    case roll = "ROLL"
    case arange = "ARANGE"
    case timestepEmbedding = "TIMESTEP_EMBEDDING"
    case argsort = "ARGSORT"
    case topK = "TOP_K"
    case leakyRelu = "LEAKY_RELU"
    case tri = "TRI"
    case fill = "FILL"
    case flashAttention = "FLASH_ATTN_EXT"
    case flashAttentionBack = "FLASH_ATTN_BACK"
    case ssmConv = "SSM_CONV"
    case ssmScan = "SSM_SCAN"
    case winPart = "WIN_PART"
    case winUnpart = "WIN_UNPART"
    case getRelPos = "GET_REL_POS"
    case addRelPos = "ADD_REL_POS"
    case rwkvWKV6 = "RWKV_WKV6"
    case gatedLinearAttention = "GATED_LINEAR_ATTN"
    case rwkvWKV7 = "RWKV_WKV7"
    case solveTri = "SOLVE_TRI"
    case gatedDeltaNet = "GATED_DELTA_NET"
    case lightningIndexer = "LIGHTNING_INDEXER"
    case dsv4HCComb = "DSV4_HC_COMB"
    case dsv4HCPre = "DSV4_HC_PRE"
    case dsv4HCPost = "DSV4_HC_POST"
    case unary = "UNARY"
    case mapCustom1 = "MAP_CUSTOM1"
    case mapCustom2 = "MAP_CUSTOM2"
    case mapCustom3 = "MAP_CUSTOM3"
    case custom = "CUSTOM"
    case crossEntropyLoss = "CROSS_ENTROPY_LOSS"
    case crossEntropyLossBack = "CROSS_ENTROPY_LOSS_BACK"
    case optStepAdamW = "OPT_STEP_ADAMW"
    case optStepSGD = "OPT_STEP_SGD"
    case glu = "GLU"
}

extension Operation {
    public var kind: OperationKind {
        switch self {
        case .none: .none
        case .dup: .dup
        case .add: .add
        case .addID: .addID
        case .add1: .add1
        case .acc: .acc
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
        case .concat: .concat
        case .siluBack: .siluBack
        case .norm: .norm
        case .rmsNorm: .rmsNorm
        case .rmsNormBack: .rmsNormBack
        case .groupNorm: .groupNorm
        case .l2Norm: .l2Norm
        case .matMul: .matMul
        case .matMulID: .matMulID
        case .outProd: .outProd
        case .scale: .scale
        case .set: .set
        case .cpy: .cpy
        case .cont: .cont
        case .reshape: .reshape
        case .view: .view
        case .permute: .permute
        case .transpose: .transpose
        case .getRows: .getRows
        case .getRowsBack: .getRowsBack
        case .setRows: .setRows
        case .diag: .diag
        case .diagMaskInf: .diagMaskInf
        case .diagMaskZero: .diagMaskZero
        case .softMax: .softMax
        case .softMaxBack: .softMaxBack
        case .rope: .rope
        case .ropeBack: .ropeBack
        case .clamp: .clamp
        case .convTranspose1D: .convTranspose1D
        case .im2col: .im2col
        case .im2colBack: .im2colBack
        case .im2col3D: .im2col3D
        case .col2im1D: .col2im1D
        case .conv2D: .conv2D
        case .conv3D: .conv3D
        case .conv2DDepthwise: .conv2DDepthwise
        case .convTranspose2D: .convTranspose2D
        case .pool1D: .pool1D
        case .pool2D: .pool2D
        case .pool2DBack: .pool2DBack
        case .upscale: .upscale
        case .pad: .pad
        case .padReflect1D: .padReflect1D
        case .roll: .roll
        case .arange: .arange
        case .timestepEmbedding: .timestepEmbedding
        case .argsort: .argsort
        case .topK: .topK
        case .leakyRelu: .leakyRelu
        case .tri: .tri
        case .fill: .fill
        case .flashAttention: .flashAttention
        case .flashAttentionBack: .flashAttentionBack
        case .ssmConv: .ssmConv
        case .ssmScan: .ssmScan
        case .winPart: .winPart
        case .winUnpart: .winUnpart
        case .getRelPos: .getRelPos
        case .addRelPos: .addRelPos
        case .rwkvWKV6: .rwkvWKV6
        case .gatedLinearAttention: .gatedLinearAttention
        case .rwkvWKV7: .rwkvWKV7
        case .solveTri: .solveTri
        case .gatedDeltaNet: .gatedDeltaNet
        case .lightningIndexer: .lightningIndexer
        case .dsv4HCComb: .dsv4HCComb
        case .dsv4HCPre: .dsv4HCPre
        case .dsv4HCPost: .dsv4HCPost
        case .unary, .xielu: .unary
        case .mapCustom1: .mapCustom1
        case .mapCustom2: .mapCustom2
        case .mapCustom3: .mapCustom3
        case .custom: .custom
        case .crossEntropyLoss: .crossEntropyLoss
        case .crossEntropyLossBack: .crossEntropyLossBack
        case .optStepAdamW: .optStepAdamW
        case .optStepSGD: .optStepSGD
        case .glu: .glu
        }
    }

    /// Whether nothing is computed: the result is the source's bytes under another shape.
    public var isPureView: Bool {
        switch self {
        case .reshape, .view, .permute, .transpose: true
        default: false
        }
    }
}

extension OperationKind {
    /// How many sources an operation must have, and how many it may have, absent ones in between included.
    public var sourceCounts: ClosedRange<Int> {
        switch self {
        case .none, .arange: 0...0
        case .custom: 0...9
        case .cpy, .glu: 1...2
        case .softMax: 1...3
        case .rope, .ropeBack: 2...3
        case .flashAttention: 3...5
        case .dsv4HCPost: 3...4
        case .add, .add1, .acc, .sub, .mul, .div, .countEqual, .concat, .siluBack, .rmsNormBack, .matMul, .outProd, .set,
            .getRows, .getRowsBack, .softMaxBack, .convTranspose1D, .im2col, .im2colBack, .im2col3D, .conv2D, .conv3D,
            .conv2DDepthwise, .convTranspose2D, .pool2DBack, .ssmConv, .solveTri, .dsv4HCPre, .mapCustom2,
            .crossEntropyLoss:
            2...2
        case .addID, .matMulID, .setRows, .addRelPos, .dsv4HCComb, .mapCustom3, .crossEntropyLossBack, .optStepSGD: 3...3
        case .flashAttentionBack, .lightningIndexer: 4...4
        case .gatedLinearAttention, .optStepAdamW: 5...5
        case .rwkvWKV6, .gatedDeltaNet: 6...6
        case .rwkvWKV7, .ssmScan: 7...7
        case .dup, .sqr, .sqrt, .log, .sin, .cos, .sum, .sumRows, .cumsum, .mean, .argmax, .repeat, .repeatBack,
            .norm, .rmsNorm, .groupNorm, .l2Norm, .scale, .cont, .reshape, .view, .permute, .transpose, .diag,
            .diagMaskInf, .diagMaskZero, .clamp, .col2im1D, .pool1D, .pool2D, .upscale, .pad, .padReflect1D, .roll,
            .timestepEmbedding, .argsort, .topK, .leakyRelu, .tri, .fill, .winPart, .winUnpart, .getRelPos, .unary,
            .mapCustom1:
            1...1
        }
    }
}
