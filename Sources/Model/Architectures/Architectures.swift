/// One kind of model, or several that are computed alike: what files call it, and who makes it.
struct ArchitectureEntry: Sendable {
    /// As in a file's `general.architecture`.
    var names: [String]
    var make: @Sendable (ModelSource) throws(ModelError) -> any Architecture

    init(_ names: String..., make: @escaping @Sendable (ModelSource) throws(ModelError) -> any Architecture) {
        self.names = names
        self.make = make
    }
}

/// The same for models that read texts whole.
struct EncoderEntry: Sendable {
    /// As in a file's `general.architecture`.
    var names: [String]
    var make: @Sendable (ModelSource) throws(ModelError) -> any EncoderArchitecture

    init(_ names: String..., make: @escaping @Sendable (ModelSource) throws(ModelError) -> any EncoderArchitecture) {
        self.names = names
        self.make = make
    }
}

/// The architectures there are.
enum Architectures {
    /// To add one: a file in this folder, and a word here.
    static let entries: [ArchitectureEntry] = [
        Gemma3.entry, Llama.entry, Qwen2.entry, Qwen3.entry, Qwen3.expertsEntry, Qwen35.entry,
        DeepSeek2.entry, Mamba2.entry, FalconH1.entry,
    ]

    /// Those that read texts whole.
    static let encoderEntries: [EncoderEntry] = [Bert.entry]

    private static let byName: [String: ArchitectureEntry] = {
        var entries: [String: ArchitectureEntry] = [:]
        for entry in Architectures.entries {
            for name in entry.names { entries[name] = entry }
        }
        return entries
    }()

    private static func encoder(named name: String) -> EncoderEntry? { encoderEntries.first { $0.names.contains(name) } }

    static func isEncoder(_ name: String) -> Bool { encoder(named: name) != nil }

    /// One that generates.
    static func make(_ metadata: ModelMetadata, _ weights: any ModelWeights) throws(ModelError) -> any Architecture {
        guard let entry = byName[metadata.architecture] else {
            if isEncoder(metadata.architecture) {
                throw ModelError(
                    .unsupported, "the architecture \"\(metadata.architecture)\" makes vectors of texts (embeddings) and cannot generate")
            }
            throw unknown(metadata)
        }
        return try entry.make(try ModelSource(metadata, weights))
    }

    /// One that reads texts whole.
    static func makeEncoder(_ metadata: ModelMetadata, _ weights: any ModelWeights) throws(ModelError) -> any EncoderArchitecture {
        guard let entry = encoder(named: metadata.architecture) else {
            guard byName[metadata.architecture] != nil else { throw unknown(metadata) }
            throw ModelError(
                .unsupported,
                "the architecture \"\(metadata.architecture)\" generates and makes no vectors of texts (embeddings): \(encoderNames) do")
        }
        return try entry.make(try ModelSource(metadata, weights))
    }

    private static var encoderNames: String { encoderEntries.flatMap(\.names).sorted().joined(separator: ", ") }

    /// One of neither kind.
    private static func unknown(_ metadata: ModelMetadata) -> ModelError {
        let generating = byName.keys.sorted().joined(separator: ", ")
        return ModelError(
            .unsupported,
            "the architecture \"\(metadata.architecture)\" is not supported: \(generating) are, and \(encoderNames) for vectors of texts (embeddings)"
        )
    }
}
