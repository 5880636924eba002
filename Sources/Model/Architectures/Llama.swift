import Tensor

/// Llama 1 to 3 (Meta, 2023-2024) and its many kin, Mixtral's mixture of experts among them.
struct Llama: Architecture {
    enum FeedForwardBlock: Sendable {
        case dense(FeedForward)
        case experts(MixtureOfExperts)
    }

    struct Layer: Sendable {
        var attentionNorm: RMSNorm
        var attention: SelfAttention
        var feedForwardNorm: RMSNorm
        var feedForward: FeedForwardBlock
    }

    let hyperparameters: Hyperparameters
    let embedding: Weight
    let layers: [Layer]
    let outputNorm: RMSNorm
    let output: Weight

    init(_ metadata: ModelMetadata, _ weights: some ModelWeights) throws(ModelError) {
        let h = try Hyperparameters(metadata, rope: .normal, slidingPattern: 0)
        guard h.slidingWindow == 0 else {
            throw ModelError(.unsupported, "a llama model with a sliding window is not supported")
        }
        guard h.rope.dimensions == h.keyLength else {
            throw ModelError(.metadata, "llama rotates whole heads, but \(h.rope.dimensions) of \(h.keyLength) are given")
        }
        hyperparameters = h
        let width = h.embeddingLength
        let vocabulary = Shape(width, h.vocabularySize)
        embedding = try weights.weights(of: .input).required("token_embd.weight", vocabulary)
        let head = weights.weights(of: .output)
        // Files without an output matrix use the embedding's.
        output = try head.required("output.weight", orElse: "token_embd.weight", vocabulary)
        outputNorm = try RMSNorm(head, "output_norm", width, epsilon: h.normEpsilon)

        var layers: [Layer] = []
        for index in 0..<h.layerCount {
            let prefix = "blk.\(index)"
            let own = weights.weights(of: .layer(index))
            let factors = try own.optional("rope_freqs.weight", Shape(h.rope.dimensions / 2))
            let attention = SelfAttention(
                query: try Linear(own, "\(prefix).attn_q", from: width, to: h.keyLength * h.headCount),
                key: try Linear(own, "\(prefix).attn_k", from: width, to: h.keyLength * h.keyValueHeadCount),
                value: try Linear(own, "\(prefix).attn_v", from: width, to: h.valueLength * h.keyValueHeadCount),
                output: try Linear(own, "\(prefix).attn_output", from: h.valueLength * h.headCount, to: width),
                rope: h.rope, queryScale: 1, productScale: 1 / Float(h.keyLength).squareRoot(),
                ropeFactors: factors,
                headCount: h.headCount, keyValueHeadCount: h.keyValueHeadCount, keyLength: h.keyLength,
                valueLength: h.valueLength)
            let feedForward: FeedForwardBlock =
                h.expertCount == 0
                ? .dense(try FeedForward(own, prefix, width: width, hidden: h.feedForwardLength, .swiglu))
                : .experts(try MixtureOfExperts(own, prefix, h))
            layers.append(
                Layer(
                    attentionNorm: try RMSNorm(own, "\(prefix).attn_norm", width, epsilon: h.normEpsilon),
                    attention: attention,
                    feedForwardNorm: try RMSNorm(own, "\(prefix).ffn_norm", width, epsilon: h.normEpsilon),
                    feedForward: feedForward))
        }
        self.layers = layers
    }

    func embed(_ pass: ForwardContext) -> TensorID {
        pass.g.getRows(pass.g.weight(embedding), pass.tokens)
    }

    func layer(_ index: Int, _ x: TensorID, _ pass: ForwardContext) -> TensorID {
        let g = pass.g
        let layer = layers[index]
        var residual = x
        var attended = layer.attention(layer.attentionNorm(x, g), layer: index, sliding: false, pass)
        if isLast(index) {
            attended = pass.keepingOutputs(attended)
            residual = pass.keepingOutputs(residual)
        }
        let middle = g.add(attended, residual)
        let normed = layer.feedForwardNorm(middle, g)
        switch layer.feedForward {
        case .dense(let block): return g.add(block(normed, g), middle)
        case .experts(let block): return g.add(block(normed, g), middle)
        }
    }

    func logits(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        g.matMul(g.weight(output), outputNorm(x, g))
    }
}
