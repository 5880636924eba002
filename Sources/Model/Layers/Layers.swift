import Tensor

// The small parts that the blocks of a transformer are made of. Shapes are given fastest dimension first.

/// `W x`, times a scale and plus a bias if the file has them: `[in, tokens]` to `[out, tokens]`.
struct Linear: Sendable {
    /// What a file's scale multiplies: the reference applies it to the product in attention, to the sum in
    /// feed-forward blocks.
    enum Scaling: Sendable { case product, sum }

    var weight: Weight
    /// One factor for the whole matrix, which some ways of quantizing leave outside of its blocks.
    var scale: Weight?
    var bias: Weight?
    var scaling: Scaling

    /// - Parameter name: without `.weight`, `.scale` and `.bias`.
    init(
        _ weights: some WeightSource, _ name: String, from input: Int, to output: Int, scaling: Scaling = .product
    ) throws(ModelError) {
        weight = try weights.required("\(name).weight", Shape(input, output))
        scale = try weights.optional("\(name).scale", Shape(1))
        bias = try weights.optional("\(name).bias", Shape(output))
        self.scaling = scaling
    }

    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        var result = g.matMul(g.weight(weight), x)
        if scaling == .product, let scale { result = g.mul(result, g.weight(scale)) }
        if let bias { result = g.add(result, g.weight(bias)) }
        if scaling == .sum, let scale { result = g.mul(result, g.weight(scale)) }
        return result
    }
}

/// Root-mean-square norm with a learned scale (Zhang and Sennrich, 2019).
struct RMSNorm: Sendable {
    var weight: Weight
    var epsilon: Float

    init(_ weights: some WeightSource, _ name: String, _ length: Int, epsilon: Float) throws(ModelError) {
        // Some architectures' files leave the suffix out.
        weight = try weights.required("\(name).weight", orElse: name, Shape(length))
        self.epsilon = epsilon
    }

    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        g.mul(g.rmsNorm(x, epsilon: epsilon), g.weight(weight))
    }
}

/// A gated feed-forward network: `W_down (f(W_gate x) · W_up x)`.
struct FeedForward: TokenTransformation {
    var gate: Linear
    var up: Linear
    var down: Linear
    var activation: GLUKind

    /// - Parameters:
    ///   - hidden: the width between both halves.
    ///   - suffix: of its matrices' names, where a layer has several.
    init(_ source: LayerSource, hidden: Int, _ activation: GLUKind, suffix: String = "") throws(ModelError) {
        gate = try source.linear("ffn_gate\(suffix)", from: source.width, to: hidden, scaling: .sum)
        up = try source.linear("ffn_up\(suffix)", from: source.width, to: hidden, scaling: .sum)
        down = try source.linear("ffn_down\(suffix)", from: hidden, to: source.width, scaling: .sum)
        self.activation = activation
    }

    /// Passes over what a file has beside the matrices, where the architecture defines no such thing: the reference does so too.
    func without(scales: Bool, biases: Bool) -> FeedForward {
        var plain = self
        for part in [\FeedForward.gate, \.up, \.down] {
            if scales { plain[keyPath: part].scale = nil }
            if biases { plain[keyPath: part].bias = nil }
        }
        return plain
    }

    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        down(g.glu(activation, gate: gate(x, g), value: up(x, g)), g)
    }
}
