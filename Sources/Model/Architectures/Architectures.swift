/// The architectures there are, by the name in a file's `general.architecture`.
enum Architectures {
    static let names = ["gemma3", "llama"]

    static func make(_ metadata: ModelMetadata, _ weights: some ModelWeights) throws(ModelError) -> any Architecture {
        switch metadata.architecture {
        case "gemma3": return try Gemma3(metadata, weights)
        case "llama": return try Llama(metadata, weights)
        default:
            throw ModelError(
                .unsupported,
                "the architecture \"\(metadata.architecture)\" is not supported: \(names.joined(separator: ", ")) are")
        }
    }
}
