internal import Tensor

extension PlanBuilder {
    /// A step of AdamW (Loshchilov & Hutter, 2019). Sources: weights, gradients, first and second moments, and seven
    /// parameters; weights and moments are changed in place.
    mutating func addAdamW(_ id: TensorID) throws(BackendError) {
        let weights = try source(id, 0)
        let gradients = try steppedSource(id, 1, like: weights)
        let first = try output(try sourceID(id, 2))
        let second = try output(try sourceID(id, 3))
        for moments in [first, second] { try checkStepped(id, moments, like: weights) }
        let result = try floatOutput(id, weights.shape)
        let parameters = try stepParameters(id, 4, count: 7)
        addPhase(
            over: weights.rowCount, costPerUnit: Double(weights.n0) * 3 + 20,
            reads: weights.ranges + gradients.ranges + parameters.ranges,
            writes: result.ranges + first.ranges + second.ranges
        ) { _, range in
            let p = parameters.base.assumingMemoryBound(to: Float.self)
            let (alpha, beta1, beta2, epsilon, decay) = (p[0], p[1], p[2], p[3], p[4])
            let (correction1, correction2) = (p[5], p[6])
            let keep = 1 - alpha * decay
            for row in range {
                let w = weights.row(row).assumingMemoryBound(to: Float.self)
                let g = gradients.row(row).assumingMemoryBound(to: Float.self)
                let m = first.row(row).assumingMemoryBound(to: Float.self)
                let v = second.row(row).assumingMemoryBound(to: Float.self)
                let out = result.row(row).assumingMemoryBound(to: Float.self)
                for i in 0..<weights.n0 {
                    m[i] = m[i] * beta1 + g[i] * (1 - beta1)
                    v[i] = v[i] * beta2 + g[i] * g[i] * (1 - beta2)
                    let length = (v[i] * correction2).squareRoot() + epsilon
                    out[i] = w[i] * keep - alpha * (m[i] * correction1) / length
                }
            }
        }
    }

    /// A step down the gradient with weight decay. Sources: weights (changed in place), gradients, rate and decay.
    mutating func addSGD(_ id: TensorID) throws(BackendError) {
        let weights = try source(id, 0)
        let gradients = try steppedSource(id, 1, like: weights)
        let result = try floatOutput(id, weights.shape)
        let parameters = try stepParameters(id, 2, count: 2)
        addPhase(
            over: weights.rowCount, costPerUnit: Double(weights.n0) + 20,
            reads: weights.ranges + gradients.ranges + parameters.ranges, writes: result.ranges
        ) { _, range in
            let p = parameters.base.assumingMemoryBound(to: Float.self)
            let (alpha, keep) = (p[0], 1 - p[0] * p[1])
            for row in range {
                let w = weights.row(row).assumingMemoryBound(to: Float.self)
                let g = gradients.row(row).assumingMemoryBound(to: Float.self)
                let out = result.row(row).assumingMemoryBound(to: Float.self)
                for i in 0..<weights.n0 { out[i] = w[i] * keep - alpha * g[i] }
            }
        }
    }

    private func sourceID(_ id: TensorID, _ index: Int) throws(BackendError) -> TensorID {
        let sources = graph[id].sources
        guard index < sources.count, let source = sources[index] else { throw invalid(id, "it needs source \(index)") }
        return source
    }

    private func steppedSource(_ id: TensorID, _ index: Int, like weights: Operand) throws(BackendError) -> Operand {
        let operand = try source(id, index)
        try checkStepped(id, weights, like: weights)
        try checkStepped(id, operand, like: weights)
        return operand
    }

    private func checkStepped(_ id: TensorID, _ operand: Operand, like weights: Operand) throws(BackendError) {
        guard operand.shape == weights.shape else { throw invalid(id, "\(operand.shape) for weights \(weights.shape)") }
        guard operand.type == .f32, operand.hasContiguousRows else { throw unsupported(id, "it takes rows of F32") }
    }

    private func stepParameters(_ id: TensorID, _ index: Int, count: Int) throws(BackendError) -> Operand {
        let parameters = try source(id, index)
        guard parameters.type == .f32, parameters.elementCount == count, parameters.extent == count * 4 else {
            throw invalid(id, "\(parameters.shape) of \(parameters.type.name) are not \(count) parameters")
        }
        return parameters
    }
}
