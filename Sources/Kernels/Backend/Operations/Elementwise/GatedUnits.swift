internal import KernelTable
internal import Tensor

/// A gated unit over a stretch: gate, value, result and two slots of thread memory.
private typealias GateKernel = (
    UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int,
    _ x: UnsafeMutablePointer<Float>, _ y: UnsafeMutablePointer<Float>
) -> Void

extension PlanBuilder {
    /// The gated linear units: the gate's function times the value.
    mutating func addGLU(_ id: TensorID, _ parameters: GLUParameters) throws(BackendError) {
        let kernel = try gate(id, parameters)
        var a = try source(id, 0)
        guard !a.type.isQuantized else { throw unsupported(id) }
        let b = try optionalSource(id, 1)
        let half = a.n0 / 2
        if let b {
            guard a.shape == b.shape, !b.type.isQuantized else { throw invalid(id, "gate \(a.shape) and value \(b.shape) differ") }
        } else {
            guard a.n0 % 2 == 0 else { throw invalid(id, "rows of \(a.shape) have no halves") }
        }
        var result = try convertedOutput(id, b == nil ? Shape(half, a.n1, a.n2, a.n3) : a.shape)
        if result.isEmpty { return }
        var second = b ?? a
        if b != nil, a.isPacked, second.isPacked, result.isPacked {
            (a, second, result) = (a.asRow, second.asRow, result.asRow)
        }
        let gateStart = b == nil && parameters.swapped ? half : 0
        let valueStart = b == nil ? half - gateStart : 0
        let gates = try reader(id, a)
        let values = try reader(id, second)
        let isLimited = parameters.kind == .swigluOAI || parameters.kind == .swigluClamp
        let own = gates.isDirect && values.isDirect ? 0 : 2
        try addStretches(
            id, of: result, reads: a.ranges + second.ranges, costPerElement: isLimited ? 1.8 : 1,
            slots: own + (isLimited ? 2 : 0)
        ) { _, stretch in
            let (row, count) = (stretch.row, stretch.count)
            let gate = gates.values(at: gates.operand.row(row), from: gateStart + stretch.first, count, stretch.slot(0))
            let value = values.values(at: values.operand.row(row), from: valueStart + stretch.first, count, stretch.slot(1))
            kernel(gate, value, stretch.target, count, stretch.slot(own), stretch.slot(own + 1))
        }
    }

    private func gate(_ id: TensorID, _ parameters: GLUParameters) throws(BackendError) -> GateKernel {
        let limit = parameters.limit
        switch parameters.kind {
        case .swigluOAI: return try clampedSwish(id, alpha: parameters.alpha, limit: limit, bias: 1)
        case .swigluClamp: return try clampedSwish(id, alpha: 1, limit: limit, bias: 0)
        default:
            let index = Int(parameters.kind.rawValue)
            guard index < vector.glu.count, let kernel = vector.glu[index] else { throw unsupported(id) }
            return { gate, value, target, count, _, _ in kernel(gate, value, target, count) }
        }
    }

    /// `x sigmoid(α x) · (y + bias)` of the gate and the value, cut off at `limit`.
    private func clampedSwish(
        _ id: TensorID, alpha: Float, limit: Float, bias: Float
    ) throws(BackendError) -> GateKernel {
        guard let sigmoid = vector.unary[Int(UnaryKind.sigmoid.rawValue)] else { throw unsupported(id) }
        let (clamp, scale, mul) = (vector.clamp, vector.scale, vector.mul)
        return { gate, value, target, count, x, y in
            clamp(gate, x, count, -.infinity, limit)
            scale(x, y, count, alpha, 0)
            sigmoid(y, y, count)
            mul(x, y, x, count)
            clamp(value, y, count, -limit, limit)
            if bias != 0 { scale(y, y, count, 1, bias) }
            mul(x, y, target, count)
        }
    }
}
