public import GGUF
public import Tensor

/// A model's file, opened and bound to a backend: its figures, its weights in place and its architecture.
public struct LanguageModel: Sendable {
    public let file: GGUFFile
    public let backend: any Backend
    public let hyperparameters: Hyperparameters
    let architecture: any Architecture

    /// Nothing is read but metadata; a backend of this process uses the weights where they are mapped.
    ///
    /// - Throws: ``ModelError`` for files that are no model of a known architecture, `BackendError` where weights cannot
    ///   be taken over.
    public init(_ file: GGUFFile, on backend: any Backend) throws {
        self.file = file
        self.backend = backend
        let weights = try FileWeights(file, on: backend)
        architecture = try Architectures.make(ModelMetadata(file), weights)
        hyperparameters = architecture.hyperparameters
    }
}
