import Foundation
import GGUF
import Kernels
import Model
import RPCProto
import Tensor

/// A model's file opened, its weights in place, with what is said of it in listings.
struct LoadedModel {
    let outline: ModelOutline
    private let weights: PlacedWeights
    private let options: EngineOptions
    let model: LanguageModel
    var file: GGUFFile { outline.file }
    /// Which piece of the model is computed where, in order.
    let seats: [Seat]
    /// The machines that they are on.
    let roster: NodeRoster

    struct Seat {
        var extent: StageExtent
        var backend: any Backend
        /// Bytes that its graphs' own tensors take; 0 leaves that to the backend.
        var computeByteCount = 0

        var isRemote: Bool { backend is RPCBackend }
    }

    /// Contexts longer than this are taken only when asked for: memory for them is set aside whole.
    static let defaultContextLimit = 4096

    /// - Throws: `GGUFError`, `ModelError`, `BackendError`, ``HeadError``.
    init(_ options: EngineOptions, progress: @escaping Engines.Progress = { _ in }) throws {
        if options.head.workers.isEmpty {
            let outline = try ModelOutline(GGUFFile(path: options.modelPath))
            let whole = StageExtent(embeds: true, layers: 0..<outline.hyperparameters.layerCount, hasOutput: true)
            try self.init(local: [whole], outline, options)
        } else {
            try self.init(spread: options, progress)
        }
    }

    /// On this machine, in stages that compute side by side.
    package init(_ options: EngineOptions, cutAfter cuts: [Int]) throws {
        let outline = try ModelOutline(GGUFFile(path: options.modelPath))
        let bounds = [0] + cuts + [outline.hyperparameters.layerCount]
        let extents = zip(bounds, bounds.dropFirst()).enumerated().map { index, bounds in
            StageExtent(embeds: index == 0, layers: bounds.0..<bounds.1, hasOutput: index == cuts.count)
        }
        try self.init(local: extents, outline, options)
    }

    private init(local extents: [StageExtent], _ outline: ModelOutline, _ options: EngineOptions) throws {
        var weights = PlacedWeights()
        let seats = try extents.map { extent in
            let backend = try CPUBackend(options)
            try weights.adopt(outline, extent.parts, on: backend)
            return Seat(extent: extent, backend: backend)
        }
        let node = NodeRoster.Node(
            address: NodeRoster.localAddress,
            devices: try seats.indices.map { index in
                let extent = extents[index]
                let cache = outline.cacheByteCountPerLayer(
                    slotCount: max(1, options.slotCount), contextLength: LoadedModel.contextSize(options, outline.hyperparameters),
                    alignment: seats[index].backend.alignment)
                let part = NodeRoster.Part(
                    seat: index, layers: extent.layers, hasOutput: extent.hasOutput,
                    weightByteCount: extent.parts.reduce(0) { $0 + outline.weightByteCount(of: $1) },
                    cacheByteCount: cache.multipliedReportingOverflow(by: extent.layers.count).partialValue, computeByteCount: 0)
                return NodeRoster.Device(name: "CPU", memory: try seats[index].backend.memory(), part: part)
            })
        try self.init(outline, weights, options, seats, NodeRoster(nodes: [node]))
    }

    init(
        _ outline: ModelOutline, _ weights: PlacedWeights, _ options: EngineOptions, _ seats: [Seat], _ roster: NodeRoster
    ) throws(ModelError) {
        self.outline = outline
        self.weights = weights
        self.options = options
        self.seats = seats
        self.roster = roster
        model = try LanguageModel(outline.file, weights: weights)
    }

    /// The same with another number of threads on this machine.
    func with(threads: Int) throws -> LoadedModel {
        var options = options
        options.threads = threads
        var weights = weights
        let seats = try seats.map { seat in
            if seat.isRemote || seat.extent.isEmbedding { return seat }
            let backend = try CPUBackend(options)
            try weights.adopt(outline, seat.extent.parts, on: backend)
            return Seat(extent: seat.extent, backend: backend, computeByteCount: seat.computeByteCount)
        }
        return try LoadedModel(outline, weights, options, seats, roster)
    }

    /// What computes, for tables: `CPU (AVX-512)`.
    var backendName: String {
        seats.filter { !$0.extent.isEmbedding }.map(\.backend.name).joined(separator: " + ")
    }

    /// Machines that compute at the same time: devices of one server wait for each other, since they share a connection.
    private var depth: Int {
        let computing = seats.filter { !$0.extent.isEmbedding }
        let servers = Set(computing.compactMap { ($0.backend as? RPCBackend).map { ObjectIdentifier($0.connection) } })
        return max(1, servers.count + computing.count { !$0.isRemote })
    }

    /// Sets the caches aside.
    ///
    /// - Parameter onFailure: called for the worker that could not, before what it did is thrown.
    /// - Throws: `BackendError`.
    func pass(
        slotCount: Int, contextLength: Int, onFailure: (ServerConnection, any Error) -> Void = { _, _ in }
    ) throws -> LoadedPass {
        var stages: [ForwardStage] = []
        var stations: [[ForwardStage]] = []
        for seat in seats {
            let stage: ForwardStage
            do {
                stage = try self.stage(seat, slotCount: slotCount, contextLength: contextLength)
            } catch {
                if let remote = seat.backend as? RPCBackend { onFailure(remote.connection, error) }
                throw error
            }
            // Looking up embeddings is not worth a thread of its own.
            if let last = stations.last, last.allSatisfy(\.extent.isEmbedding) {
                stations[stations.count - 1].append(stage)
            } else {
                stations.append([stage])
            }
            stages.append(stage)
        }
        let pass = ForwardPass(
            model, stages: stages, slotCount: slotCount, contextLength: contextLength,
            paddedBatchSize: options.batchSize, padding: seats.contains(where: \.isRemote) ? .generous : .slight)
        var roster = roster
        roster.meters = stages.map(\.meter)
        let reduces = (seats.last?.isRemote ?? false) && !options.head.sendsAllLogits
        return LoadedPass(pass: pass, stations: stations, depth: depth, reducesLogits: reduces, roster: roster)
    }

    private func stage(_ seat: Seat, slotCount: Int, contextLength: Int) throws -> ForwardStage {
        let stage = try ForwardStage(model, seat.extent, on: seat.backend, slotCount: slotCount, contextLength: contextLength)
        if let remote = seat.backend as? RPCBackend {
            try remote.reserve(computeByteCount: seat.computeByteCount)
            // What the server wants to have set aside beyond that shows now, not in the middle of an answer.
            try stage.prepareLargest(options.stepBounds(slotCount: slotCount, contextLength: contextLength))
        }
        return stage
    }

    /// Tokens per slot.
    func contextSize(_ options: EngineOptions) -> Int { LoadedModel.contextSize(options, model.hyperparameters) }

    static func contextSize(_ options: EngineOptions, _ h: Hyperparameters) -> Int {
        let trained = h.trainedContext
        guard let asked = options.contextSize else { return min(trained, LoadedModel.defaultContextLimit) }
        return max(1, asked)
    }
}

/// A model ready to take steps.
struct LoadedPass {
    var pass: ForwardPass
    /// The stages by who works on them at the same time.
    var stations: [[ForwardStage]]
    /// Steps that can be worked on at once.
    var depth: Int
    /// Whether logits come from far away.
    var reducesLogits: Bool
    var roster: NodeRoster
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

extension EngineOptions {
    /// What the steps of an engine of these options can be.
    func stepBounds(slotCount: Int, contextLength: Int) -> ModelOutline.StepBounds {
        ModelOutline.StepBounds(
            batchSize: max(batchSize, slotCount), slotCount: slotCount, contextLength: contextLength, wantsAllResults: wantsAllResults)
    }
}

extension CPUBackend {
    /// The processor with as many threads and the kernels that the options name.
    convenience init(_ options: EngineOptions, threads: Int? = nil) throws {
        let variant = try options.variant.map { name in
            guard let variant = KernelVariant(rawValue: name) else {
                let known = KernelVariant.allCases.map(\.rawValue).joined(separator: ", ")
                throw EngineError.unsupported("there are no kernels named \"\(name)\": choose one of \(known)")
            }
            return variant
        }
        try self.init(variant: variant, threads: threads ?? options.threads ?? DeviceDescription.availableCoreCount())
    }
}
