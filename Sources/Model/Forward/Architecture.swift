import Tensor

/// A kind of language model: what to compute, layer by layer, and nothing of where.
///
/// The three parts are separate so that a graph can be made of any run of layers.
protocol Architecture: Sendable {
    var hyperparameters: Hyperparameters { get }

    /// The tokens' embeddings, `[width, tokens]`.
    func embed(_ pass: ForwardContext) -> TensorID

    /// One layer. The last one keeps only the columns whose results are wanted.
    func layer(_ index: Int, _ x: TensorID, _ pass: ForwardContext) -> TensorID

    /// From hidden states `[width, n]` to logits `[vocabulary, n]`.
    func logits(_ x: TensorID, _ g: GraphBuilder) -> TensorID
}

extension Architecture {
    var layerCount: Int { hyperparameters.layerCount }

    func isLast(_ layer: Int) -> Bool { layer == layerCount - 1 }
}
