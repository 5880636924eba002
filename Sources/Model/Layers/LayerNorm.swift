import Tensor

/// Norm by mean and deviation, with a learned scale and shift (Ba et al., 2016).
struct LayerNorm: Sendable {
    var weight: Weight
    var bias: Weight
    var epsilon: Float

    /// - Parameter name: without `.weight` and `.bias`.
    init(_ weights: some WeightSource, _ name: String, _ length: Int, epsilon: Float) throws(ModelError) {
        weight = try weights.required("\(name).weight", Shape(length))
        bias = try weights.required("\(name).bias", Shape(length))
        self.epsilon = epsilon
    }

    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        g.add(g.mul(g.node("", .norm(epsilon: epsilon), [x]), g.weight(weight)), g.weight(bias))
    }
}
