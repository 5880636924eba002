import Tensor

/// A feed-forward network of which each token uses a few of many experts (Shazeer et al., 2017; Mixtral, 2024).
///
/// A router scores the experts; the best of them run, weighted by their softmax scores, which are scaled to sum to 1.
struct MixtureOfExperts: Sendable {
    var router: Weight
    /// `[width, hidden, experts]`.
    var gate: Weight
    var up: Weight
    /// `[hidden, width, experts]`.
    var down: Weight
    var expertCount: Int
    var usedCount: Int
    /// A last factor on the weights; 0 or 1 for none.
    var weightsScale: Float

    init(_ weights: some WeightSource, _ prefix: String, _ h: Hyperparameters) throws(ModelError) {
        let width = h.embeddingLength
        let hidden = h.feedForwardLength
        router = try weights.required("\(prefix).ffn_gate_inp.weight", Shape(width, h.expertCount))
        gate = try weights.required("\(prefix).ffn_gate_exps.weight", Shape(width, hidden, h.expertCount))
        up = try weights.required("\(prefix).ffn_up_exps.weight", Shape(width, hidden, h.expertCount))
        down = try weights.required("\(prefix).ffn_down_exps.weight", Shape(hidden, width, h.expertCount))
        expertCount = h.expertCount
        usedCount = h.usedExpertCount
        weightsScale = h.expertWeightsScale
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
            .swiglu, gate: g.matMulID(g.weight(gate), perExpert, ids: chosen),
            value: g.matMulID(g.weight(up), perExpert, ids: chosen))
        let weighted = g.mul(g.matMulID(g.weight(down), hidden, ids: chosen), share)

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
        let share = g.reshape(g.div(flat, total), Shape(1, usedCount, tokens))
        return weightsScale == 0 || weightsScale == 1 ? share : g.scale(share, by: weightsScale)
    }
}
