#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import Tensor

extension PlanBuilder {
    /// The phases of one node; `position` is its place in the graph's list of nodes.
    mutating func addPhases(of id: TensorID, at position: Int) throws(BackendError) {
        switch graph[id].operation {
        case .none, .reshape, .view, .permute, .transpose: return
        case .add: try addBinary(id, .add)
        case .sub: try addBinary(id, .sub)
        case .mul: try addBinary(id, .mul)
        case .div: try addBinary(id, .div)
        case .scale(let factor, let bias): try addScale(id, factor: factor, bias: bias)
        case .clamp(let minimum, let maximum): try addClamp(id, minimum, maximum)
        case .unary(let kind): try addUnary(id, kind)
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
        case .getRows: try addGetRows(id)
        case .setRows: try addSetRows(id)
        case .rope(let parameters): try addRope(id, parameters)
        case .ropeBack(let parameters): try addRope(id, parameters, backward: true)
        case .flashAttention(let parameters): try addFlashAttention(id, parameters)
        case .cont, .cpy, .dup: try addCopy(id)
        case .repeat: try addRepeat(id)
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
        default: throw unsupported(id)
        }
    }
}
