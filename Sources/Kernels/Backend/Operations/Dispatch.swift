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
        case .l2Norm(let epsilon): try addL2Norm(id, epsilon: epsilon)
        case .sumRows: try addSum(id, mean: false)
        case .mean: try addSum(id, mean: true)
        case .softMax(let scale, let maxBias): try addSoftMax(id, scale: scale, maxBias: maxBias)
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
        case .setRows: try addSetRows(id)
        case .rope(let parameters): try addRope(id, parameters)
        case .flashAttention(let parameters): try addFlashAttention(id, parameters)
        case .flashAttentionBack(let masked): try addFlashAttentionBack(id, masked: masked)
        case .cont, .cpy, .dup: try addCopy(id)
        case .repeat: try addRepeat(id)
        case .concat(let dimension): try addConcat(id, dimension: dimension)
        case .argsort(let order): try addArgsort(id, order)
        case .topK(let count): try addTopK(id, count: count)
        default: throw unsupported(id)
        }
    }
}
