import Tensor

/// What nearly all models that generate share: embeddings, blocks in a row, a norm, and an output matrix that may be the
/// embeddings' own (Radford et al., "Improving Language Understanding by Generative Pre-Training", 2018). An architecture is its blocks.
struct DecoderOnly: Architecture {
    let hyperparameters: Hyperparameters
    private let embedding: Weight
    private let blocks: [any Block]
    private let outputNorm: RMSNorm
    private let output: Weight
    /// Added to the logits, in files that have it.
    private let outputBias: Weight?

    /// What embeddings are multiplied by.
    var embeddingScale: Float = 1
    /// Logits are kept within this distance of 0 by a hyperbolic tangent; 0 for no bounds.
    var logitCap: Float = 0

    /// - Parameter block: makes a layer.
    init(
        _ source: ModelSource, block: (LayerSource) throws(ModelError) -> any Block
    ) throws(ModelError) {
        var h = source.hyperparameters
        let vocabulary = Shape(h.embeddingLength, h.vocabularySize)
        embedding = try source.weights.weights(of: .input).required("token_embd.weight", vocabulary)
        let head = source.weights.weights(of: .output)
        // Files without an output matrix use the embedding's.
        output = try head.required("output.weight", orElse: "token_embd.weight", vocabulary)
        outputBias = try head.optional("output.bias", Shape(h.vocabularySize))
        let epsilon = try source.metadata.requiredFloat("attention.layer_norm_rms_epsilon")
        outputNorm = try RMSNorm(head, "output_norm", h.embeddingLength, epsilon: epsilon)
        var blocks: [any Block] = []
        for index in 0..<h.layerCount { blocks.append(try block(source.layer(index))) }
        self.blocks = blocks
        h.layerStates = blocks.map(\.state)
        guard Set(h.layerStates.compactMap(\.window)).count < 2 else {
            throw ModelError(.unsupported, "layers with sliding windows of different lengths are not supported")
        }
        hyperparameters = h
    }

    func embed(_ pass: ForwardContext) -> TensorID {
        let rows = pass.g.getRows(pass.g.weight(embedding), pass.tokens)
        return embeddingScale == 1 ? rows : pass.g.scale(rows, by: embeddingScale)
    }

    func layer(_ index: Int, _ x: TensorID, _ pass: ForwardContext) -> TensorID {
        let layer = LayerContext(pass: pass, index: index)
        let mixed = blocks[index].mix(x, layer)
        // What comes after the last layer's mixing takes each token by itself, and only some are asked for.
        return blocks[index].transform(index == layerCount - 1 ? mixed.map { pass.keepingOutputs($0) } : mixed, layer)
    }

    func logits(_ x: TensorID, _ g: GraphBuilder) -> TensorID {
        var logits = g.matMul(g.weight(output), outputNorm(x, g))
        if let outputBias { logits = g.add(logits, g.weight(outputBias)) }
        return logitCap == 0 ? logits : g.scale(g.unary(.tanh, g.scale(logits, by: 1 / logitCap)), by: logitCap)
    }
}
