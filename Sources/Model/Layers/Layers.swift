import Tensor

// The small parts that the blocks of a transformer are made of. Shapes are given fastest dimension first.

/// `W x`, plus a bias if the file has one: `[in, tokens]` to `[out, tokens]`.
struct Linear: Sendable {
    var weight: Weight
    var bias: Weight?

    /// - Parameter name: without `.weight` and `.bias`.
    init(_ weights: some WeightSource, _ name: String, from input: Int, to output: Int) throws(ModelError) {
        weight = try weights.required("\(name).weight", Shape(input, output))
        bias = try weights.optional("\(name).bias", Shape(output))
    }

    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        let product = g.matMul(g.weight(weight), x)
        return bias.map { g.add(product, g.weight($0)) } ?? product
    }
}

/// Root-mean-square norm with a learned scale (Zhang and Sennrich, 2019).
struct RMSNorm: Sendable {
    var weight: Weight
    var epsilon: Float

    init(_ weights: some WeightSource, _ name: String, _ length: Int, epsilon: Float) throws(ModelError) {
        weight = try weights.required("\(name).weight", Shape(length))
        self.epsilon = epsilon
    }

    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        g.mul(g.rmsNorm(x, epsilon: epsilon), g.weight(weight))
    }
}

/// A gated feed-forward network: `W_down (f(W_gate x) · W_up x)`.
struct FeedForward: Sendable {
    var gate: Linear
    var up: Linear
    var down: Linear
    var activation: GLUKind

    init(
        _ weights: some WeightSource, _ prefix: String, width: Int, hidden: Int, _ activation: GLUKind
    ) throws(ModelError) {
        gate = try Linear(weights, "\(prefix).ffn_gate", from: width, to: hidden)
        up = try Linear(weights, "\(prefix).ffn_up", from: width, to: hidden)
        down = try Linear(weights, "\(prefix).ffn_down", from: hidden, to: width)
        self.activation = activation
    }

    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        down(g.glu(activation, gate: gate(x, g), value: up(x, g)), g)
    }
}
