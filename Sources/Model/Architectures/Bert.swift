import Tensor

/// BERT (Devlin et al., 2019) as an encoder of texts, and what was trained on from it: MiniLM, BGE, GTE. Positions are learned,
/// and norms come behind what they norm.
struct Bert: EncoderArchitecture {
    static let entry = EncoderEntry("bert") { (source) throws(ModelError) in try Bert(source) }

    let hyperparameters: Hyperparameters
    let pooling: Pooling?
    private let tokens: Weight
    private let positions: Weight
    /// By kind of token, `[width, kinds]`. A text's are all of the first.
    private let kinds: Weight?
    private let norm: LayerNorm
    private let layers: [Layer]

    private struct Layer: Sendable {
        var attention: TwoSidedAttention
        var attentionNorm: LayerNorm
        var up: Linear
        var down: Linear
        var outputNorm: LayerNorm

        init(_ source: LayerSource, epsilon: Float) throws(ModelError) {
            let (width, hidden) = (source.width, try source.feedForwardLength())
            attention = try TwoSidedAttention(source)
            attentionNorm = try LayerNorm(source.weights, source.name("attn_output_norm"), width, epsilon: epsilon)
            up = try source.linear("ffn_up", from: width, to: hidden, scaling: .sum)
            down = try source.linear("ffn_down", from: hidden, to: width, scaling: .sum)
            outputNorm = try LayerNorm(source.weights, source.name("layer_output_norm"), width, epsilon: epsilon)
        }

        func callAsFunction(_ x: TensorID, _ text: EncoderContext) -> TensorID {
            let g = text.g
            let mixed = attentionNorm(g.add(attention(x, text), x), g)
            return outputNorm(g.add(down(g.unary(.gelu, up(mixed, g)), g), mixed), g)
        }
    }

    private init(_ source: ModelSource) throws(ModelError) {
        let (h, metadata) = (source.hyperparameters, source.metadata)
        if try metadata.flag("attention.causal") == true {
            throw ModelError(.unsupported, "a bert model whose tokens see only earlier ones is not supported")
        }
        hyperparameters = h
        pooling = try metadata.pooling()
        let input = source.weights.weights(of: .input)
        tokens = try input.required("token_embd.weight", Shape(h.embeddingLength, h.vocabularySize))
        positions = try input.required("position_embd.weight", Shape(h.embeddingLength, h.trainedContext))
        kinds = input.weight(named: "token_types.weight")
        if let kinds, kinds.shape != Shape(h.embeddingLength, kinds.shape[1]) {
            throw ModelError(
                .tensor, "tensor \"\(kinds.name)\" has the shape \(kinds.shape), which is no list of \(h.embeddingLength) numbers each")
        }
        let epsilon = try metadata.requiredFloat("attention.layer_norm_epsilon")
        norm = try LayerNorm(input, "token_embd_norm", h.embeddingLength, epsilon: epsilon)
        var layers: [Layer] = []
        for index in 0..<h.layerCount { layers.append(try Layer(source.layer(index), epsilon: epsilon)) }
        self.layers = layers
    }

    func encode(_ text: EncoderContext) -> TensorID {
        let g = text.g
        var x = g.add(g.getRows(g.weight(tokens), text.tokens), g.getRows(g.weight(positions), text.positions))
        if let kinds {
            // Position 0 is the index of the first kind.
            let first = g.view(of: text.positions, shape: Shape(1), strides: g[text.positions].strides)
            x = g.add(x, g.getRows(g.weight(kinds), first))
        }
        x = norm(x, g)
        for layer in layers { x = layer(x, text) }
        return x
    }
}

extension ModelMetadata {
    /// What of the tokens' results stands for a text; nil if the file does not say.
    fileprivate func pooling() throws(ModelError) -> Pooling? {
        guard let number = try count("pooling_type", atMost: 1 << 16, allowingZero: true), number != 0 else { return nil }
        guard let pooling = Pooling(rawValue: number) else {
            throw ModelError(.unsupported, "pooling of the kind \(number) is not supported: mean (1), first (2) and last (3) are")
        }
        return pooling
    }
}
