import Foundation
import GGUF
import Kernels
import Model
import Tensor

/// A model's file opened, its weights in place, with what is said of it in listings.
struct LoadedModel {
    let file: GGUFFile
    let model: LanguageModel
    /// Which piece of the model is computed where, in order.
    let seats: [Seat]

    struct Seat {
        var extent: StageExtent
        var backend: any Backend
        /// Whether it is on another machine.
        var isRemote = false
    }

    /// Contexts longer than this are taken only when asked for: memory for them is set aside whole.
    static let defaultContextLimit = 4096

    init(_ options: EngineOptions) throws {
        file = try GGUFFile(path: options.modelPath)
        let backend = try CPUBackend(options)
        model = try LanguageModel(file, on: backend)
        let whole = StageExtent(embeds: true, layers: 0..<model.hyperparameters.layerCount, hasOutput: true)
        seats = [Seat(extent: whole, backend: backend)]
    }

    /// Cut after the given layers into stages that compute on this machine side by side, for tests of what stages do.
    package init(_ options: EngineOptions, cutAfter cuts: [Int]) throws {
        file = try GGUFFile(path: options.modelPath)
        let outline = try ModelOutline(file)
        let bounds = [0] + cuts + [outline.hyperparameters.layerCount]
        var weights = PlacedWeights()
        var seats: [Seat] = []
        for (index, (first, end)) in zip(bounds, bounds.dropFirst()).enumerated() {
            let extent = StageExtent(embeds: index == 0, layers: first..<end, hasOutput: index == bounds.count - 2)
            let backend = try CPUBackend(options)
            try weights.adopt(outline, extent.parts, on: backend)
            seats.append(Seat(extent: extent, backend: backend))
        }
        model = try LanguageModel(file, weights: weights)
        self.seats = seats
    }

    /// What computes, for tables: `CPU (AVX-512)`.
    var backendName: String { seats.map(\.backend.name).joined(separator: " + ") }

    /// Sets the caches aside.
    ///
    /// - Throws: `BackendError`.
    func pass(slotCount: Int, contextLength: Int) throws(BackendError) -> LoadedPass {
        var stages: [ForwardStage] = []
        var stations: [[ForwardStage]] = []
        for seat in seats {
            let stage = try ForwardStage(model, seat.extent, on: seat.backend, slotCount: slotCount, contextLength: contextLength)
            // Looking up embeddings is not worth a thread of its own.
            if let last = stations.last, last.allSatisfy(\.extent.isEmbedding) {
                stations[stations.count - 1].append(stage)
            } else {
                stations.append([stage])
            }
            stages.append(stage)
        }
        let pass = ForwardPass(model, stages: stages, slotCount: slotCount, contextLength: contextLength)
        return LoadedPass(pass: pass, stations: stations, reducesLogits: seats.last?.isRemote ?? false)
    }

    /// Tokens per slot.
    func contextSize(_ options: EngineOptions) -> Int {
        let trained = model.hyperparameters.trainedContext
        guard let asked = options.contextSize else { return min(trained, LoadedModel.defaultContextLimit) }
        return max(1, asked)
    }

    func card(_ options: EngineOptions, contextSize: Int, slotCount: Int, hasChatTemplate: Bool) -> ModelCard {
        let h = model.hyperparameters
        let fileName = URL(fileURLWithPath: options.modelPath).deletingPathExtension().lastPathComponent
        let parameters = file.tensors.reduce(0) { $0 + $1.shape.elementCount }
        var name: String?
        if case .string(let text) = file.metadata["general.name"] { name = text.string }
        return ModelCard(
            id: options.alias ?? fileName, architecture: h.architecture, name: name,
            created: Int(Date().timeIntervalSince1970), contextSize: contextSize, trainingContextSize: h.trainedContext,
            vocabularySize: h.vocabularySize, embeddingLength: h.embeddingLength, parameterCount: parameters,
            byteCount: file.tensors.reduce(0) { $0 + $1.byteCount }, slotCount: slotCount,
            typeDescription: "\(h.architecture) \(sizeName(parameters)) \(FileType.name(of: file))",
            hasChatTemplate: hasChatTemplate)
    }

    /// `270M`, `7B`: parameters as people say them.
    private func sizeName(_ parameters: Int) -> String {
        let (value, unit) = parameters >= 1_000_000_000 ? (Double(parameters) / 1e9, "B") : (Double(parameters) / 1e6, "M")
        return String(format: value < 10 && unit == "B" ? "%.1f%@" : "%.0f%@", value, unit)
    }
}

/// A model ready to take steps.
struct LoadedPass {
    var pass: ForwardPass
    /// The stages by who works on them at the same time.
    var stations: [[ForwardStage]]
    /// Whether logits come from far away.
    var reducesLogits: Bool
}

/// What a file says of how its weights were quantized, as llama.cpp names it.
enum FileType {
    static func name(of file: GGUFFile) -> String {
        guard let number: Int = file.metadata["general.file_type"]?.integer() else { return "unknown" }
        return names[number] ?? "type \(number)"
    }

    private static let names = [
        0: "all F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K - Medium",
        11: "Q3_K - Small", 12: "Q3_K - Medium", 13: "Q3_K - Large", 14: "Q4_K - Small", 15: "Q4_K - Medium",
        16: "Q5_K - Small", 17: "Q5_K - Medium", 18: "Q6_K", 32: "BF16",
    ]
}

extension CPUBackend {
    /// The processor with as many threads and the kernels that the options name.
    convenience init(_ options: EngineOptions) throws {
        let variant = try options.variant.map { name in
            guard let variant = KernelVariant(rawValue: name) else {
                let known = KernelVariant.allCases.map(\.rawValue).joined(separator: ", ")
                throw EngineError.unsupported("there are no kernels named \"\(name)\": choose one of \(known)")
            }
            return variant
        }
        try self.init(variant: variant, threads: options.threads ?? DeviceDescription.availableCoreCount())
    }
}
