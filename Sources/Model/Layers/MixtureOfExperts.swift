import Tensor

/// A feed-forward network of which each token uses a few of many experts (Shazeer et al., 2017; Mixtral, 2024).
///
/// A router scores the experts; the best of them run, weighted by their softmax scores, which are scaled to sum to 1.
struct MixtureOfExperts: TokenTransformation {
    /// One matrix per expert, `[in, out, experts]`.
    struct Bank: Sendable {
        var weights: Weight
        /// A factor for each expert's matrix, `[experts]`, if the file has them.
        var scales: Weight?

        init(_ source: LayerSource, _ name: String, from input: Int, to output: Int, _ experts: Int) throws(ModelError) {
            weights = try source.weights.required("\(source.name(name)).weight", Shape(input, output, experts))
            scales = try source.weights.optional("\(source.name(name)).scale", Shape(experts))
        }

        /// `[in, used or 1, tokens]` to `[out, used, tokens]`.
        func callAsFunction(_ x: TensorID, chosen: TensorID, _ g: GraphBuilder) -> TensorID {
            let product = g.matMulID(g.weight(weights), x, ids: chosen)
            guard let scales else { return product }
            let (used, tokens) = (g[chosen].shape[0], g[chosen].shape[1])
            let flat = g.reshape(g.contiguous(chosen), Shape(used * tokens))
            let picked = g.getRows(g.reshape(g.weight(scales), Shape(1, scales.shape[0])), flat)
            return g.mul(product, g.reshape(picked, Shape(1, used, tokens)))
        }
    }

    var router: Weight
    var gate: Bank
    var up: Bank
    var down: Bank
    var experts: ExpertFigures

    private var expertCount: Int { experts.count }
    private var usedCount: Int { experts.usedCount }

    /// - Parameter hidden: the width between both halves of an expert.
    init(_ source: LayerSource, _ experts: ExpertFigures, hidden: Int) throws(ModelError) {
        self.experts = experts
        router = try source.weights.required(source.name("ffn_gate_inp.weight"), Shape(source.width, experts.count))
        gate = try Bank(source, "ffn_gate_exps", from: source.width, to: hidden, experts.count)
        up = try Bank(source, "ffn_up_exps", from: source.width, to: hidden, experts.count)
        down = try Bank(source, "ffn_down_exps", from: hidden, to: source.width, experts.count)
    }

    /// `[width, tokens]` to `[width, tokens]`.
    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        let width = g[x].shape[0]
        let tokens = g[x].shape[1]

        let scores = g.softMax(g.matMul(g.weight(router), x))
        let chosen = g.topKSorted(scores, count: usedCount)
        let share = weights(of: chosen, scores, tokens, g)

        let perExpert = g.reshape(x, Shape(width, 1, tokens))
        let hidden = g.glu(
            .swiglu, gate: gate(perExpert, chosen: chosen, g), value: up(perExpert, chosen: chosen, g))
        let weighted = g.mul(down(hidden, chosen: chosen, g), share)

        // Added one after another, best expert first, so that the order of the sum is the model's and not the kernel's.
        let plane = g[weighted].strides
        var sum: TensorID?
        for expert in 0..<usedCount {
            let one = g.view(
                of: weighted, shape: Shape(width, tokens),
                strides: Strides(plane[0], plane[2], plane[3], plane[3]), byteOffset: expert * plane[1])
            sum = sum.map { g.add($0, one) } ?? one
        }
        // With one expert the sum is still a view with gaps, which what follows need not know.
        return sum.map { usedCount == 1 ? g.contiguous($0) : $0 } ?? x
    }

    /// The chosen experts' scores, `[1, used, tokens]`, scaled to sum to 1 for each token.
    private func weights(of chosen: TensorID, _ scores: TensorID, _ tokens: Int, _ g: GraphBuilder) -> TensorID {
        let picked = g.getRows(g.reshape(scores, Shape(1, expertCount, tokens)), chosen)
        let flat = g.reshape(picked, Shape(usedCount, tokens))
        // The smallest normal F16 keeps a router that scores nothing from dividing by zero.
        let total = g.clamp(g.sumRows(flat), 6.103515625e-5, .infinity)
        return g.reshape(g.div(flat, total), Shape(1, usedCount, tokens))
    }
}
