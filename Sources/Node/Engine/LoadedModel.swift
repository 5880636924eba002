import Foundation
internal import GGUF
package import Kernels
package import Model
package import Tensor

/// A model's file opened, its weights in place.
package struct LoadedModel {
    package let outline: ModelOutline
    private let weights: PlacedWeights
    private let options: EngineOptions
    package let model: LanguageModel
    var file: GGUFFile { outline.file }
    /// Which piece of the model is computed where, in order.
    package let seats: [Seat]
    package struct Seat {
        package var extent: StageExtent
        package var backend: any Backend
        /// Bytes that its graphs' own tensors take; 0 leaves that to the backend.
        package var computeByteCount = 0
        /// Another backend of the same device, for other options; nil where they make no difference.
        package var reopen: (@Sendable (EngineOptions) throws -> any Backend)?

        package init(
            extent: StageExtent, backend: any Backend, computeByteCount: Int = 0,
            reopen: (@Sendable (EngineOptions) throws -> any Backend)? = nil
        ) {
            self.extent = extent
            self.backend = backend
            self.computeByteCount = computeByteCount
            self.reopen = reopen
        }
    }

    /// Contexts longer than this are taken only when asked for: memory for them is set aside whole.
    static let defaultContextLimit = 4096

    /// On this machine, whole.
    ///
    /// - Throws: `GGUFError`, `ModelError`, `BackendError`.
    package init(local options: EngineOptions) throws { try self.init(local: options, cutAfter: []) }

    /// On this machine, in stages that compute side by side.
    package init(local options: EngineOptions, cutAfter cuts: [Int]) throws {
        let outline = try ModelOutline(GGUFFile(path: options.modelPath))
        let bounds = [0] + cuts + [outline.hyperparameters.layerCount]
        let extents = zip(bounds, bounds.dropFirst()).enumerated().map { index, bounds in
            StageExtent(embeds: index == 0, layers: bounds.0..<bounds.1, hasOutput: index == cuts.count)
        }
        var weights = PlacedWeights()
        let seats = try extents.map { extent in
            let backend = try CPUBackend(options)
            try weights.load(outline, extent.parts, on: backend)
            return Seat(extent: extent, backend: backend, reopen: { try CPUBackend($0) })
        }
        try self.init(outline, weights, options, seats)
    }

    /// - Parameter weights: of all parts, each on the backend of its seat.
    package init(_ outline: ModelOutline, _ weights: PlacedWeights, _ options: EngineOptions, _ seats: [Seat]) throws(ModelError) {
        self.outline = outline
        self.weights = weights
        self.options = options
        self.seats = seats
        model = try LanguageModel(outline.file, weights: weights)
    }

    /// The same with another number of threads on this machine.
    func with(threads: Int) throws -> LoadedModel {
        var options = options
        options.threads = threads
        var weights = weights
        let seats = try seats.map { seat in
            guard let reopen = seat.reopen else { return seat }
            var seat = seat
            seat.backend = try reopen(options)
            try weights.load(outline, seat.extent.parts, on: seat.backend)
            return seat
        }
        return try LoadedModel(outline, weights, options, seats)
    }

    /// What computes, for tables: `CPU (AVX-512)`.
    var backendName: String {
        seats.filter { !$0.extent.isEmbedding }.map(\.backend.name).joined(separator: " + ")
    }

    /// Machines that compute at the same time: backends of one queue wait for each other.
    private var depth: Int {
        let computing = seats.filter { !$0.extent.isEmbedding }.map(\.backend.traits)
        return max(1, Set(computing.compactMap(\.queue)).count + computing.count { $0.queue == nil })
    }

    /// Sets the caches aside.
    ///
    /// - Parameter sendsAllLogits: have all logits sent from far away, also where the likeliest would do.
    /// - Throws: ``SeatError``.
    package func pass(slotCount: Int, contextLength: Int, sendsAllLogits: Bool = false) throws(SeatError) -> LoadedPass {
        var stages: [ForwardStage] = []
        var stations: [[ForwardStage]] = []
        for (number, seat) in seats.enumerated() {
            let stage: ForwardStage
            do {
                stage = try self.stage(seat, slotCount: slotCount, contextLength: contextLength)
            } catch {
                throw SeatError(seat: number, error: error)
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
            paddedBatchSize: options.batchSize,
            padding: seats.contains(where: \.backend.traits.isFar) ? .generous : .slight)
        let reduces =
            (seats.last?.backend.traits.isFar ?? false) && !options.head.sendsAllLogits && !sendsAllLogits
            // Where the likeliest are not enough, a token goes in once more, which states of recurrences do not bear.
            && !model.hyperparameters.isRecurrent
        return LoadedPass(pass: pass, stations: stations, depth: depth, reducesLogits: reduces)
    }

    private func stage(_ seat: Seat, slotCount: Int, contextLength: Int) throws -> ForwardStage {
        let crosses = seats.contains(where: \.backend.traits.isFar)
        let stage = try ForwardStage(
            model, seat.extent, on: seat.backend, slotCount: slotCount, contextLength: contextLength,
            hiddenType: crosses && options.head.halvesHiddenStates ? .f16 : .f32)
        if seat.backend.traits.isFar {
            try seat.backend.reserve(computeByteCount: seat.computeByteCount)
            // What the server wants to have set aside beyond that shows now, not in the middle of an answer.
            try stage.prepareLargest(options.stepBounds(slotCount: slotCount, contextLength: contextLength))
        }
        return stage
    }

    /// Tokens per slot.
    package func contextSize(_ options: EngineOptions) -> Int { LoadedModel.contextSize(options, model.hyperparameters) }

    package static func contextSize(_ options: EngineOptions, _ h: Hyperparameters) -> Int {
        let trained = h.trainedContext
        guard let asked = options.contextSize else { return min(trained, LoadedModel.defaultContextLimit) }
        return max(1, asked)
    }
}

/// A model ready to take steps.
package struct LoadedPass {
    package var pass: ForwardPass
    /// The stages by who works on them at the same time.
    package var stations: [[ForwardStage]]
    /// Steps that can be worked on at once.
    package var depth: Int
    /// Whether logits come from far away, and less than all of them is asked for where that is enough.
    package var reducesLogits: Bool

    /// Counts what goes through each seat's stage.
    package var meters: [StageMeter] { pass.stages.map(\.meter) }

    /// Takes one token in, with both kinds of results that may be asked for.
    ///
    /// - Throws: ``SeatError`` for a worker that cannot pick the likeliest tokens itself; what a step throws.
    package func warmUp() throws {
        let piece = BatchPiece(slot: 0, firstPosition: 0, tokens: [0], outputs: .last)
        try pass.run([piece]) { _, _, _ in }
        guard reducesLogits else { return }
        let step = pass.makeStep()
        try pass.begin(step, [piece], wantsCandidates: true)
        do {
            try pass.run(step)
        } catch {
            throw SeatError(seat: pass.stages.count - 1, error: error, isForCandidates: true)
        }
    }
}

/// What one of a model's seats could not do.
package struct SeatError: Error, CustomStringConvertible {
    /// By its number.
    package var seat: Int
    package var error: any Error
    /// Whether it was to pick the likeliest tokens: all logits may be had of it all the same.
    package var isForCandidates = false

    package var description: String {
        isForCandidates ? "\(error) (if the worker cannot pick the likeliest tokens itself, --full-logits does without)" : "\(error)"
    }
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
    package func stepBounds(slotCount: Int, contextLength: Int) -> ModelOutline.StepBounds {
        ModelOutline.StepBounds(
            batchSize: max(batchSize, slotCount), slotCount: slotCount, contextLength: contextLength, wantsAllResults: wantsAllResults,
            hiddenType: head.halvesHiddenStates ? .f16 : .f32)
    }
}

extension DeviceSettings {
    /// As many threads and the kernels that the options name; what models take is counted together.
    package init(_ options: EngineOptions, threads: Int? = nil) throws(EngineError) {
        var variant: KernelVariant?
        if let name = options.variant {
            guard let known = KernelVariant(rawValue: name) else {
                let names = KernelVariant.allCases.map(\.rawValue).joined(separator: ", ")
                throw .unsupported("there are no kernels named \"\(name)\": choose one of \(names)")
            }
            variant = known
        }
        var limits = CPUBackend.Limits()
        limits.ledger = .ofModels
        self.init(variant: variant, threads: threads ?? options.threads ?? DeviceDescription.availableCoreCount(), limits: limits)
    }
}

extension CPUBackend {
    /// The processor with as many threads and the kernels that the options name.
    package convenience init(_ options: EngineOptions, threads: Int? = nil) throws {
        let settings = try DeviceSettings(options, threads: threads)
        try self.init(variant: settings.variant, threads: settings.threads, limits: settings.limits)
    }
}

extension HeadOptions {
    /// Whether a model is to be on this machine's processor alone, with nothing to be placed.
    package var isProcessorAlone: Bool { workers.isEmpty && (try? LocalDevices.named(devices))?.map(\.name) == ["CPU"] }
}
