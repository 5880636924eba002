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

    /// What comes before the activation: both matrices by themselves, or as one of twice the rows, the gate's first.
    enum Entrance: Sendable {
        case apart(gate: Bank, up: Bank)
        case joined(Bank)
    }

    var router: Weight
    var entrance: Entrance
    var down: Bank
    var experts: ExpertFigures
    var routing = ExpertRouting()
    /// Added to scores where experts are chosen, and not where they are weighed, `[experts]` (DeepSeek-V3).
    var selectionBias: Weight?

    private var expertCount: Int { experts.count }
    private var usedCount: Int { experts.usedCount }

    /// - Parameter hidden: the width between both halves of an expert.
    init(_ source: LayerSource, _ experts: ExpertFigures, hidden: Int) throws(ModelError) {
        self.experts = experts
        router = try source.weights.required(source.name("ffn_gate_inp.weight"), Shape(source.width, experts.count))
        if source.has("ffn_gate_up_exps.weight") {
            entrance = .joined(try Bank(source, "ffn_gate_up_exps", from: source.width, to: 2 * hidden, experts.count))
        } else {
            entrance = .apart(
                gate: try Bank(source, "ffn_gate_exps", from: source.width, to: hidden, experts.count),
                up: try Bank(source, "ffn_up_exps", from: source.width, to: hidden, experts.count))
        }
        down = try Bank(source, "ffn_down_exps", from: hidden, to: source.width, experts.count)
    }

    /// Passes over the scales that a file may have, where the architecture defines none.
    func withoutScales() -> MixtureOfExperts {
        var plain = self
        plain.down.scales = nil
        switch entrance {
        case .apart(var gate, var up):
            (gate.scales, up.scales) = (nil, nil)
            plain.entrance = .apart(gate: gate, up: up)
        case .joined(var both):
            both.scales = nil
            plain.entrance = .joined(both)
        }
        return plain
    }

    /// `[width, tokens]` to `[width, tokens]`.
    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        let width = g[x].shape[0]
        let tokens = g[x].shape[1]

        let products = g.matMul(g.weight(router), x)
        let scores = routing.scoring == .softMax ? g.softMax(products) : g.unary(.sigmoid, products)
        let chosen = g.topKSorted(selection(scores, tokens, g), count: usedCount)
        let share = weights(of: chosen, scores, tokens, g)

        let perExpert = g.reshape(x, Shape(width, 1, tokens))
        let hidden =
            switch entrance {
            case .apart(let gate, let up): g.glu(.swiglu, gate: gate(perExpert, chosen: chosen, g), value: up(perExpert, chosen: chosen, g))
            case .joined(let both): g.node("", .glu(GLUParameters(.swiglu)), [both(perExpert, chosen: chosen, g)])
            }
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

    /// What experts are chosen by, `[experts, tokens]`: their scores, and nothing outside of the best groups.
    private func selection(_ scores: TensorID, _ tokens: Int, _ g: GraphBuilder) -> TensorID {
        let biased = selectionBias.map { g.add(scores, g.weight($0)) } ?? scores
        let (groups, usedGroups) = (routing.groupCount, routing.usedGroupCount)
        guard groups > 1, tokens > 0 else { return biased }
        let size = expertCount / groups
        let grouped = g.reshape(biased, Shape(size, groups, tokens))
        // A group is as good as its two best experts together.
        let best = g.topKSorted(grouped, count: 2)
        let picked = g.getRows(g.reshape(biased, Shape(1, size, groups, tokens)), best)
        let sums = g.reshape(g.sumRows(g.reshape(picked, Shape(2, groups, tokens))), Shape(groups, tokens))
        let chosen = g.topKSorted(sums, count: usedGroups)
        let kept = g.getRows(grouped, chosen)
        let nothing = g.node("", .fill(value: -.infinity), [grouped])
        return g.reshape(g.setRows(kept, at: chosen, of: nothing), Shape(expertCount, tokens))
    }

    /// The weights of the chosen experts, `[1, used, tokens]`.
    private func weights(of chosen: TensorID, _ scores: TensorID, _ tokens: Int, _ g: GraphBuilder) -> TensorID {
        var weights = g.getRows(g.reshape(scores, Shape(1, expertCount, tokens)), chosen)
        if routing.normalizes {
            let flat = g.reshape(weights, Shape(usedCount, tokens))
            // The smallest normal F16 keeps a router that scores nothing from dividing by zero.
            let total = g.clamp(g.sumRows(flat), 6.103515625e-5, .infinity)
            weights = g.reshape(g.div(flat, total), Shape(1, usedCount, tokens))
        }
        return routing.scale == 1 ? weights : g.scale(weights, by: routing.scale)
    }
}

/// How tokens find their experts.
struct ExpertRouting: Hashable, Sendable {
    enum Scoring: Hashable, Sendable { case softMax, sigmoid }

    /// What makes scores of the router's products.
    var scoring = Scoring.softMax
    /// Whether the chosen experts' scores are made to sum to 1.
    var normalizes = true
    /// What they are multiplied by.
    var scale: Float = 1
    /// Experts are in so many groups of equal size, of which the best so many count (DeepSeek-V3, 2024).
    var groupCount = 1
    var usedGroupCount = 1

    /// As Mixtral has it.
    init() {}

    /// As the file says.
    init(_ source: LayerSource, _ experts: ExpertFigures) throws(ModelError) {
        let metadata = source.metadata
        switch try metadata.count("expert_gating_func", atMost: 1 << 16, allowingZero: true) ?? 0 {
        case 0, 1: scoring = .softMax
        case 2: scoring = .sigmoid
        case let other: throw ModelError(.unsupported, "experts that are chosen by function \(other) are not supported: 1 and 2 are")
        }
        normalizes = try metadata.flag("expert_weights_norm") ?? false
        let scale = try metadata.float("expert_weights_scale") ?? 1
        self.scale = scale == 0 ? 1 : scale
        groupCount = max(1, try metadata.count("expert_group_count", atMost: 1024, allowingZero: true) ?? 1)
        usedGroupCount = max(1, try metadata.count("expert_group_used_count", atMost: 1024, allowingZero: true) ?? 1)
        guard groupCount == 1 || experts.count % groupCount == 0 && experts.count / groupCount > 1 && usedGroupCount < groupCount,
            groupCount == 1 || experts.count / groupCount * usedGroupCount >= experts.usedCount
        else {
            throw ModelError(.metadata, "\(usedGroupCount) of \(groupCount) groups of \(experts.count) experts cannot be used")
        }
    }
}

/// Experts of which some are every token's.
struct SharedExperts: TokenTransformation {
    var routed: MixtureOfExperts
    var shared: FeedForward

    func callAsFunction(_ x: TensorID, _ g: GraphBuilder) -> TensorID { g.add(routed(x, g), shared(x, g)) }
}
