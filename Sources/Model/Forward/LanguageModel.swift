public import GGUF

/// A model's file, opened, with its weights in place: its figures and its architecture.
public struct LanguageModel: Sendable {
    public let file: GGUFFile
    public let hyperparameters: Hyperparameters
    let architecture: any Architecture

    init(_ file: GGUFFile, _ architecture: any Architecture) {
        self.file = file
        self.architecture = architecture
        hyperparameters = architecture.hyperparameters
    }
}
