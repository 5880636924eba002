public import GGUF
public import Tensor

extension LanguageModel {
    /// All of it on one backend. Nothing is read but metadata where the backend uses the weights where they are mapped.
    ///
    /// - Throws: ``ModelError`` for files that are no model of a known architecture, `BackendError` where weights cannot
    ///   be loaded.
    public init(_ file: GGUFFile, on backend: any Backend) throws {
        let outline = try ModelOutline(file)
        var weights = PlacedWeights()
        try weights.load(outline, outline.parts, on: backend)
        try self.init(file, weights: weights)
    }

    /// With weights wherever they are.
    ///
    /// - Throws: ``ModelError``.
    public init(_ file: GGUFFile, weights: any ModelWeights) throws(ModelError) {
        self.init(file, try Architectures.make(ModelMetadata(file), weights))
    }
}
