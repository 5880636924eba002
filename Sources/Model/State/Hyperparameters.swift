/// The figures of a model that those who run it need, whatever its architecture, as its file's metadata gives them.
///
/// Names and defaults are those of the GGUF specification; the keys carry the architecture's name as prefix. What only layers need
/// they read themselves.
public struct Hyperparameters: Hashable, Sendable {
    public var architecture: String
    /// Width of the hidden state.
    public var embeddingLength: Int
    /// Those that tokens go through; layers behind them that guess at further tokens are passed over.
    public var layerCount: Int
    /// Tokens the model was trained to attend over.
    public var trainedContext: Int
    public var vocabularySize: Int
    /// What each layer remembers.
    public var layerStates: [LayerState] = []
    /// What in the file was odd but could be lived with, for the log.
    public var warnings: [String] = []

    /// Bytes that one more token takes in the caches of all layers.
    public var cacheByteCountPerToken: Int { layerStates.reduce(0) { $0 + $1.byteCountPerPosition } }
}

extension Hyperparameters {
    init(_ metadata: ModelMetadata) throws(ModelError) {
        architecture = metadata.architecture
        embeddingLength = try metadata.requiredCount("embedding_length", atMost: 1 << 20)
        let blocks = try metadata.requiredCount("block_count", atMost: 4096)
        let guessing = try metadata.count("nextn_predict_layers", atMost: 4096, allowingZero: true) ?? 0
        guard guessing < blocks else { throw ModelError(.metadata, "\(guessing) of \(blocks) layers guess at further tokens") }
        layerCount = blocks - guessing
        trainedContext = try metadata.requiredCount("context_length", atMost: 1 << 31)
        vocabularySize = try metadata.vocabularySize()
        warnings = try metadata.warnings()
    }
}
