internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// A function of one variable over every element, of any type and strides, in F32. `kernel` gets one slot of thread
    /// memory besides, if it asks for it.
    mutating func addElementwise(
        _ id: TensorID, costPerElement: Double, usesSlot: Bool = false,
        _ kernel: @escaping (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
    ) throws(BackendError) {
        var a = try source(id, 0)
        var result = try convertedOutput(id, a.shape)
        if a.isEmpty { return }
        if a.isPacked, result.isPacked { (a, result) = (a.asRow, result.asRow) }
        let reader = try reader(id, a)
        let own = reader.isDirect ? 0 : 1
        try addStretches(
            id, of: result, reads: a.ranges, costPerElement: costPerElement, slots: own + (usesSlot ? 1 : 0)
        ) { _, stretch in
            let values = reader.values(at: reader.operand.row(stretch.row), from: stretch.first, stretch.count, stretch.slot(0))
            kernel(values, stretch.target, stretch.count, stretch.slot(own))
        }
    }

    mutating func addUnary(_ id: TensorID, _ kind: UnaryKind) throws(BackendError) {
        let index = Int(kind.rawValue)
        guard index < vector.unary.count, let kernel = vector.unary[index] else { throw unsupported(id) }
        try addElementwise(id, costPerElement: 0.8) { source, target, count, _ in kernel(source, target, count) }
    }

    mutating func addScale(_ id: TensorID, factor: Float, bias: Float) throws(BackendError) {
        let scale = vector.scale
        try addElementwise(id, costPerElement: 0.15) { source, target, count, _ in
            scale(source, target, count, factor, bias)
        }
    }

    mutating func addClamp(_ id: TensorID, _ low: Float, _ high: Float) throws(BackendError) {
        let clamp = vector.clamp
        try addElementwise(id, costPerElement: 0.15) { source, target, count, _ in
            clamp(source, target, count, low, high)
        }
    }

    mutating func addSquare(_ id: TensorID) throws(BackendError) {
        let mul = vector.mul
        try addElementwise(id, costPerElement: 0.15) { source, target, count, _ in mul(source, source, target, count) }
    }

    mutating func addFunction(_ id: TensorID, _ function: @escaping @Sendable (Float) -> Float) throws(BackendError) {
        try addElementwise(id, costPerElement: 8) { source, target, count, _ in
            for i in 0..<count { target[i] = function(source[i]) }
        }
    }

    /// `x` where it is positive, else `slope · x`.
    mutating func addLeakyReLU(_ id: TensorID, slope: Float) throws(BackendError) {
        try addElementwise(id, costPerElement: 0.4) { source, target, count, _ in
            for i in 0..<count {
                let x = source[i]
                target[i] = x > 0 ? x : x * slope
            }
        }
    }

    /// `αp x² + β x` where `x` is positive, else `αn (exp(min(x, ε)) - 1 - x) + β x`.
    mutating func addXIELU(_ id: TensorID, _ parameters: XIELUParameters) throws(BackendError) {
        let clamp = vector.clamp
        guard let exponential = vector.unary[Int(UnaryKind.expm1.rawValue)] else { throw unsupported(id) }
        let (negative, positive, beta) = (parameters.alphaNegative, parameters.alphaPositive, parameters.beta)
        let epsilon = parameters.epsilon
        try addElementwise(id, costPerElement: 1.5, usesSlot: true) { source, target, count, powers in
            clamp(source, powers, count, -.infinity, epsilon)
            exponential(powers, powers, count)
            for i in 0..<count {
                let x = source[i]
                target[i] = (x > 0 ? positive * x * x : (powers[i] - x) * negative) + beta * x
            }
        }
    }
}
