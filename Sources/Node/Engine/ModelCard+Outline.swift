internal import Foundation
internal import GGUF
package import Model

extension ModelCard {
    /// What a file says of its model, as it is loaded with these options.
    package init(_ options: EngineOptions, _ outline: ModelOutline, hasChatTemplate: Bool) {
        let (file, h) = (outline.file, outline.hyperparameters)
        let parameters = file.tensors.reduce(0) { $0 + $1.shape.elementCount }
        var name: String?
        if case .string(let text) = file.metadata["general.name"] { name = text.string }
        self.init(
            id: ModelCard.name(options), architecture: h.architecture, name: name, created: Int(Date().timeIntervalSince1970),
            contextSize: LoadedModel.contextSize(options, h), trainingContextSize: h.trainedContext, vocabularySize: h.vocabularySize,
            embeddingLength: h.embeddingLength, parameterCount: parameters, byteCount: file.tensors.reduce(0) { $0 + $1.byteCount },
            slotCount: max(1, options.slotCount),
            typeDescription: "\(h.architecture) \(ModelCard.sizeName(parameters)) \(FileType.name(of: file))",
            hasChatTemplate: hasChatTemplate)
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
