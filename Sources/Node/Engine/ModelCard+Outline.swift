internal import Foundation
internal import GGUF
package import Model

extension ModelCard {
    /// What a file says of its model, as it is loaded with these options.
    package init(_ options: EngineOptions, _ outline: ModelOutline, hasChatTemplate: Bool) {
        self.init(
            options, outline.file, outline.hyperparameters, contextSize: LoadedModel.contextSize(options, outline.hyperparameters),
            slotCount: max(1, options.slotCount), hasChatTemplate: hasChatTemplate)
    }

    /// The same of a model that makes vectors of texts: it reads as much as it was trained for, one text at a time.
    init(embeddingWith options: EngineOptions, _ file: GGUFFile, _ h: Hyperparameters) {
        self.init(options, file, h, contextSize: h.trainedContext, slotCount: 1, hasChatTemplate: false)
        makesVectors = true
    }

    /// What a file says of its model, of whichever kind.
    ///
    /// - Throws: `GGUFError`, `ModelError`.
    package init(reading options: EngineOptions) throws {
        let file = try GGUFFile(path: options.modelPath)
        if let figures = try TextEncoder.figures(of: file) {
            try Tokenizers.check(file)
            self.init(embeddingWith: options, file, figures)
        } else {
            let outline = try ModelOutline(file)
            // Known before anybody asks for an answer.
            try Tokenizers.check(file)
            self.init(options, outline, hasChatTemplate: options.chatTemplate != nil || file.contains(GGUFFile.chatTemplateKey))
        }
    }

    private init(
        _ options: EngineOptions, _ file: GGUFFile, _ h: Hyperparameters, contextSize: Int, slotCount: Int, hasChatTemplate: Bool
    ) {
        let parameters = file.tensors.reduce(0) { $0 + $1.shape.elementCount }
        var name: String?
        if case .string(let text) = file.metadata["general.name"] { name = text.string }
        self.init(
            id: ModelCard.name(options), architecture: h.architecture, name: name, created: Int(Date().timeIntervalSince1970),
            contextSize: contextSize, trainingContextSize: h.trainedContext, vocabularySize: h.vocabularySize,
            embeddingLength: h.embeddingLength, parameterCount: parameters, byteCount: file.tensors.reduce(0) { $0 + $1.byteCount },
            slotCount: slotCount,
            typeDescription: "\(h.architecture) \(ModelCard.sizeName(parameters)) \(FileType.name(of: file))",
            hasChatTemplate: hasChatTemplate)
        warnings = h.warnings
        modelPath = options.modelPath
    }

    /// What clients call the model.
    package static func name(_ options: EngineOptions) -> String {
        options.alias ?? URL(fileURLWithPath: options.modelPath).deletingPathExtension().lastPathComponent
    }

    /// `270M`, `7B`: parameters as people say them.
    private static func sizeName(_ parameters: Int) -> String {
        let (value, unit) = parameters >= 1_000_000_000 ? (Double(parameters) / 1e9, "B") : (Double(parameters) / 1e6, "M")
        return String(format: value < 10 && unit == "B" ? "%.1f%@" : "%.0f%@", value, unit)
    }
}
