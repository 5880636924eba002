import Tensor

/// Gemma 3 (Google, 2025): norms before and after each block, normed queries and keys, and layers of which most see
/// only a sliding window, with a rope of their own.
struct Gemma3: Architecture {
    struct Layer: Sendable {
        var attentionNorm: RMSNorm
        var attention: SelfAttention
        var attentionPostNorm: RMSNorm
        var feedForwardNorm: RMSNorm
        var feedForward: FeedForward
        var feedForwardPostNorm: RMSNorm
    }

    let hyperparameters: Hyperparameters
    let embedding: Weight
    let layers: [Layer]
    let outputNorm: RMSNorm
    let output: Weight

    init(_ metadata: ModelMetadata, _ weights: some ModelWeights) throws(ModelError) {
        let h = try Hyperparameters(metadata, rope: .neox, slidingPattern: 6)
        hyperparameters = h
        let width = h.embeddingLength
        let vocabulary = Shape(width, h.vocabularySize)
        embedding = try weights.weights(of: .input).required("token_embd.weight", vocabulary)
        let head = weights.weights(of: .output)
        // Files without an output matrix use the embedding's.
        output = try head.required("output.weight", orElse: "token_embd.weight", vocabulary)
        outputNorm = try RMSNorm(head, "output_norm", width, epsilon: h.normEpsilon)
        // The 27B model scales its queries by the width per head, the others by the head's own length.
        let perHead = h.layerCount == 62 ? width / h.headCount : h.keyLength

        var layers: [Layer] = []
        for index in 0..<h.layerCount {
            let prefix = "blk.\(index)"
            let own = weights.weights(of: .layer(index))
            func norm(_ name: String, _ length: Int) throws(ModelError) -> RMSNorm {
                try RMSNorm(own, "\(prefix).\(name)", length, epsilon: h.normEpsilon)
            }
            let attention = SelfAttention(
                query: try Linear(own, "\(prefix).attn_q", from: width, to: h.keyLength * h.headCount),
                key: try Linear(own, "\(prefix).attn_k", from: width, to: h.keyLength * h.keyValueHeadCount),
                value: try Linear(own, "\(prefix).attn_v", from: width, to: h.valueLength * h.keyValueHeadCount),
                output: try Linear(own, "\(prefix).attn_output", from: h.valueLength * h.headCount, to: width),
                queryNorm: try norm("attn_q_norm", h.keyLength), keyNorm: try norm("attn_k_norm", h.keyLength),
                rope: h.isSliding[index] ? h.slidingRope : h.rope,
                queryScale: 1 / Float(perHead).squareRoot(), productScale: 1,
                headCount: h.headCount, keyValueHeadCount: h.keyValueHeadCount, keyLength: h.keyLength,
                valueLength: h.valueLength)
            var feedForward = try FeedForward(own, prefix, width: width, hidden: h.feedForwardLength, .geglu)
            // Gemma 3 defines neither scales nor biases here, and the reference passes over any that a file has.
            for part in [\FeedForward.gate, \.up, \.down] {
                feedForward[keyPath: part].scale = nil
                feedForward[keyPath: part].bias = nil
            }
            layers.append(
                Layer(
                    attentionNorm: try norm("attn_norm", width), attention: attention,
                    attentionPostNorm: try norm("post_attention_norm", width),
                    feedForwardNorm: try norm("ffn_norm", width),
                    feedForward: feedForward,
                    feedForwardPostNorm: try norm("post_ffw_norm", width)))
        }
        self.layers = layers
    }

    func embed(_ pass: ForwardContext) -> TensorID {
        let g = pass.g
        let rows = g.getRows(g.weight(embedding), pass.tokens)
        return g.scale(rows, by: Float(hyperparameters.embeddingLength).squareRoot())
    }

    func layer(_ index: Int, _ x: TensorID, _ pass: ForwardContext) -> TensorID {
        let g = pass.g
        let layer = layers[index]
        var residual = x
        let sliding = hyperparameters.isSliding[index]
        var attended = layer.attention(layer.attentionNorm(x, g), layer: index, sliding: sliding, pass)
        if isLast(index) {
            attended = pass.keepingOutputs(attended)
            residual = pass.keepingOutputs(residual)
        }
        let middle = g.add(layer.attentionPostNorm(attended, g), residual)
        let transformed = layer.feedForward(layer.feedForwardNorm(middle, g), g)
        return g.add(layer.feedForwardPostNorm(transformed, g), middle)
    }

    func logits(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        let logits = g.matMul(g.weight(output), outputNorm(x, g))
        let cap = hyperparameters.finalLogitSoftcap
        return cap == 0 ? logits : g.scale(g.unary(.tanh, g.scale(logits, by: 1 / cap)), by: cap)
    }
}
