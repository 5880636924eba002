internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension PlanBuilder {
    /// The phases of one node; `position` is its place in the graph's list of nodes.
    mutating func addPhases(of id: TensorID, at position: Int) throws(BackendError) {
        switch graph[id].operation {
        case .none, .reshape, .view, .permute, .transpose: return
        case .add: try addBinary(id, .add)
        case .add1: try addScalar(id)
        case .addID: try addByID(id)
        case .acc(let parameters): try addAcc(id, parameters)
        case .set(let parameters): try addSet(id, parameters)
        case .fill(let value): try addFill(id, value: value)
        case .arange(let start, _, let step): try addArange(id, start: start, step: step)
        case .diag: try addDiagonal(id)
        case .diagMaskInf(let past): try addDiagonalMask(id, past: past, value: -.infinity)
        case .diagMaskZero(let past): try addDiagonalMask(id, past: past, value: 0)
        case .tri(let kind): try addTriangle(id, kind)
        case .siluBack: try addSiLUBack(id)
        case .sub: try addBinary(id, .sub)
        case .mul: try addBinary(id, .mul)
        case .div: try addBinary(id, .div)
        case .scale(let factor, let bias): try addScale(id, factor: factor, bias: bias)
        case .clamp(let minimum, let maximum): try addClamp(id, minimum, maximum)
        case .unary(let kind): try addUnary(id, kind)
        case .xielu(let parameters): try addXIELU(id, parameters)
        case .leakyRelu(let slope): try addLeakyReLU(id, slope: slope)
        case .sqr: try addSquare(id)
        case .sqrt: try addFunction(id) { $0.squareRoot() }
        case .log: try addFunction(id) { logf($0) }
        case .sin: try addFunction(id) { sinf($0) }
        case .cos: try addFunction(id) { cosf($0) }
        case .glu(let parameters): try addGLU(id, parameters)
        case .norm(let epsilon): try addNorm(id, epsilon: epsilon)
        case .rmsNorm(let epsilon): try addRMSNorm(id, epsilon: epsilon, at: position)
        case .rmsNormBack(let epsilon): try addRMSNormBack(id, epsilon: epsilon)
        case .groupNorm(let groups, let epsilon): try addGroupNorm(id, groups: groups, epsilon: epsilon)
        case .l2Norm(let epsilon): try addL2Norm(id, epsilon: epsilon)
        case .sum: try addTotal(id)
        case .sumRows: try addSum(id, mean: false)
        case .mean: try addSum(id, mean: true)
        case .cumsum: try addCumulativeSum(id)
        case .argmax: try addArgmax(id)
        case .countEqual: try addCountEqual(id)
        case .softMax(let scale, let maxBias): try addSoftMax(id, scale: scale, maxBias: maxBias)
        case .softMaxBack(let scale, let maxBias): try addSoftMaxBack(id, scale: scale, maxBias: maxBias)
        case .matMul: try addMatMul(id)
        case .matMulID: try addMatMulID(id)
        case .outProd: try addOuterProduct(id)
        case .ssmConv: try addStateConvolution(id)
        case .ssmScan(let snapshots): try addScan(id, snapshots: snapshots)
        case .rwkvWKV6: try addRWKV6(id)
        case .rwkvWKV7: try addRWKV7(id)
        case .gatedLinearAttention(let scale): try addGatedLinearAttention(id, scale: scale)
        case .gatedDeltaNet(let snapshots): try addGatedDeltaNet(id, snapshots: snapshots)
        case .getRows: try addGetRows(id)
        case .getRowsBack: try addGetRowsBack(id)
        case .setRows: try addSetRows(id)
        case .rope(let parameters): try addRope(id, parameters)
        case .ropeBack(let parameters): try addRope(id, parameters, backward: true)
        case .flashAttention(let parameters): try addFlashAttention(id, parameters)
        case .flashAttentionBack(let masked): try addFlashAttentionBack(id, masked: masked)
        case .cont, .cpy, .dup: try addCopy(id)
        case .repeat: try addRepeat(id)
        case .repeatBack: try addRepeatBack(id)
        case .concat(let dimension): try addConcat(id, dimension: dimension)
        case .argsort(let order): try addArgsort(id, order)
        case .topK(let count): try addTopK(id, count: count)
        case .pad(let parameters): try addPad(id, parameters)
        case .padReflect1D(let before, let after): try addReflectingPad(id, before: before, after: after)
        case .roll(let shifts): try addRoll(id, shifts: shifts)
        case .timestepEmbedding(let dimension, let maxPeriod):
            try addTimestepEmbedding(id, dimension: dimension, maxPeriod: maxPeriod)
        case .winPart(let columnCount, let rowCount, let window):
            try addWindows(id, columnCount: columnCount, rowCount: rowCount, window: window)
        case .winUnpart(let window): try addWindowsJoined(id, window: window)
        case .getRelPos: try addRelativePositions(id)
        case .addRelPos: try addRelativeBias(id)
        case .crossEntropyLoss: try addCrossEntropyLoss(id)
        case .crossEntropyLossBack: try addCrossEntropyLossBack(id)
        case .optStepAdamW: try addAdamW(id)
        case .optStepSGD: try addSGD(id)
        case .solveTri: try addTriangularSolution(id)
        case .im2col(let parameters): try addIm2col(id, parameters)
        case .im2col3D(let window, let channels): try addIm2col3D(id, window, channels: channels)
        case .im2colBack(let parameters): try addIm2colBack(id, parameters)
        case .col2im1D(let stride, let channels, let padding):
            try addCol2im1D(id, stride: stride, channels: channels, padding: padding)
        case .conv2D(let window): try addConvolution2D(id, window)
        case .conv3D(let parameters): try addConvolution3D(id, parameters)
        case .conv2DDepthwise(let window): try addDepthwise2D(id, window)
        case .convTranspose1D(let stride): try addTransposed1D(id, stride: stride)
        case .convTranspose2D(let stride): try addTransposed2D(id, stride: stride)
        case .pool1D(let kind, let size, let stride, let padding):
            try addPool1D(id, kind, size: size, stride: stride, padding: padding)
        case .pool2D(let parameters): try addPool2D(id, parameters)
        case .pool2DBack(let parameters): try addPool2DBack(id, parameters)
        case .upscale(let parameters): try addUpscale(id, parameters)
        case .lightningIndexer: try addLightningIndexer(id)
        case .dsv4HCComb(let epsilon, let iterations):
            try addStreamMatrices(id, epsilon: epsilon, iterations: iterations)
        case .dsv4HCPre(let scale, let gated): try addStreamSum(id, scale: scale, gated: gated)
        case .dsv4HCPost: try addStreamUpdate(id)
        // Functions of whoever made the graph: they do not travel.
        case .mapCustom1, .mapCustom2, .mapCustom3, .custom: throw unsupported(id)
        }
    }
}
