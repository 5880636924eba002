/// Which piece of a model a stage computes: layers that follow each other, what comes before the first, what comes after
/// the last.
public struct StageExtent: Hashable, Sendable {
    /// Whether it takes tokens; else it takes the hidden states of the stage before it.
    public var embeds: Bool
    /// May be empty.
    public var layers: Range<Int>
    /// Whether it makes logits; else it gives hidden states on.
    public var hasOutput: Bool

    public init(embeds: Bool, layers: Range<Int>, hasOutput: Bool) {
        self.embeds = embeds
        self.layers = layers
        self.hasOutput = hasOutput
    }

    /// Whether it is the output head alone.
    var isHead: Bool { !embeds && layers.isEmpty && hasOutput }

    /// Whether it does no more than look up embeddings.
    public var isEmbedding: Bool { embeds && layers.isEmpty && !hasOutput }

    /// The parts of the model whose weights it needs.
    public var parts: [ModelPart] {
        (embeds ? [.input] : []) + layers.map { .layer($0) } + (hasOutput ? [.output] : [])
    }
}

extension Hyperparameters {
    /// What a stage's layers want.
    func needs(_ extent: StageExtent) -> LayerNeeds { LayerNeeds(self, extent.layers) }
}

extension StageExtent {
    /// What of a step's layout matters to this stage, so that steps which differ only in the rest share a graph.
    ///
    /// - Parameter layerCount: of the whole model.
    func essence(of layout: BatchLayout, layerCount: Int) -> BatchLayout {
        var essence = layout
        if layers.isEmpty { essence.groups = [] }
        if !hasOutput { essence.produces = .hiddenStates }
        // Only the last layer drops columns.
        if layers.upperBound < layerCount || layers.isEmpty, !hasOutput { essence.outputCount = layout.tokenCount }
        return essence
    }

    /// Columns of hidden states that the stage before it, or it itself, gives on after layer `end` of the model.
    static func columnCount(of layout: BatchLayout, after end: Int, layerCount: Int) -> Int {
        end < layerCount ? layout.tokenCount : layout.outputCount
    }
}
