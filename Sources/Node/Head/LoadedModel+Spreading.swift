internal import GGUF
internal import Kernels
internal import Model
internal import RPCProto
internal import Tensor

extension LoadedModel {
    /// Spread over this machine and the options' workers, by the memory that they report.
    ///
    /// Embeddings are looked up here whatever else is: a row of the file for each token is less than its matrix elsewhere.
    ///
    /// - Parameter stamp: the file's, of before it was opened.
    /// - Throws: ``HeadError``, `ModelError`, `BackendError`.
    init(
        spread file: GGUFFile, stamp: FileStamp?, _ options: EngineOptions, _ progress: @escaping Engines.Progress
    ) throws {
        progress(LoadProgress(stage: "asking \(options.head.workers.count) workers", fraction: 0))
        let outline = try ModelOutline(file)
        let placed = try PlacedModel(
            outline, options, slotCount: max(1, options.slotCount),
            contextSize: LoadedModel.contextSize(options, outline.hyperparameters))
        let stages = placed.placement.stages

        var weights = PlacedWeights()
        var seats: [Seat] = []
        let startsHere = stages.first.map { placed.sources[$0.device] == nil } ?? false
        if !startsHere {
            let extent = StageExtent(embeds: true, layers: 0..<0, hasOutput: false)
            let backend = try CPUBackend(options, threads: 1)
            try weights.adopt(outline, extent.parts, on: backend)
            seats.append(Seat(extent: extent, backend: backend))
        }
        var roster = placed.roster(firstSeat: seats.count)
        // A stock server that has nothing of the model is free for others.
        for node in roster.nodes where !node.isUsed { node.connection?.close() }
        let deliveries = try LoadedModel.transfer(placed, stamp, options, progress)
        for (number, delivery) in deliveries { roster.nodes[number].connection = delivery.connection }

        var taken = [Int: Int]()
        for (index, stage) in stages.enumerated() {
            let extent = StageExtent(embeds: index == 0 && startsHere, layers: stage.layers, hasOutput: stage.hasOutput)
            guard let source = placed.sources[stage.device] else {
                let backend = try CPUBackend(options)
                try weights.adopt(outline, extent.parts, on: backend)
                seats.append(Seat(extent: extent, backend: backend, computeByteCount: stage.computeByteCount))
                continue
            }
            guard let delivery = deliveries[source.server] else { throw HeadError.placement("nothing was sent for a stage") }
            let places = delivery.places[taken[source.server, default: 0]]
            taken[source.server, default: 0] += 1
            let tensors = outline.tensors(ofAll: extent.parts)
            let found = Dictionary(zip(tensors.map(\.name), places), uniquingKeysWith: { first, _ in first })
            for part in extent.parts {
                for tensor in outline.tensors(of: part) {
                    guard let place = found[tensor.name] else { throw HeadError.placement("\(tensor.name) was not sent") }
                    weights.place(
                        Weight(
                            name: tensor.name, type: tensor.type, shape: tensor.shape, buffer: place.buffer, byteOffset: place.byteOffset),
                        in: part)
                }
            }
            seats.append(
                Seat(extent: extent, backend: delivery.connection.devices[source.device], computeByteCount: stage.computeByteCount))
        }
        try self.init(outline, weights, options, seats, roster)
    }

    /// Brings every worker its weights; what came of it by the number of the server.
    private static func transfer(
        _ placed: PlacedModel, _ stamp: FileStamp?, _ options: EngineOptions, _ progress: @escaping Engines.Progress
    ) throws -> [Int: WeightTransfer.Delivery] {
        let outline = placed.outline
        var wanted: [Int: [(device: Int, tensors: [GGUFTensor])]] = [:]
        for stage in placed.placement.stages {
            guard let source = placed.sources[stage.device] else { continue }
            let extent = StageExtent(embeds: false, layers: stage.layers, hasOutput: stage.hasOutput)
            wanted[source.server, default: []].append((source.device, outline.tensors(ofAll: extent.parts)))
        }
        let file = outline.file
        let sources = wanted.values.flatMap { $0.flatMap(\.tensors) }.map {
            TensorHashes.Source(name: $0.name, part: $0.part, byteOffset: $0.byteOffset, bytes: file.region(of: $0).bytes)
        }
        let paths = file.parts.map(\.path)
        // The first part's of before it was mapped, so that another file put in its place gets no hashes of this one.
        let others = FileStamp.all(Array(paths.dropFirst()))
        let stamps = stamp.flatMap { first in others.map { [first] + $0 } }
        let hashes = TensorHashes.load(
            modelPaths: paths, stamps: stamps, tensors: sources, threads: options.threads ?? DeviceDescription.availableCoreCount()
        ) { done, total in
            progress(LoadProgress(stage: "hashing weights", fraction: 0.02 + 0.08 * Double(done) / Double(max(1, total))))
        }.byName
        let numbers = wanted.keys.sorted()
        let servers = numbers.map { number in
            let consignments = (wanted[number] ?? []).map { device, tensors in
                WeightTransfer.Consignment(
                    device: device,
                    tensors: tensors.map {
                        TensorUpload(
                            name: $0.name, type: $0.type, shape: $0.shape, content: file.region(of: $0), hash: hashes[$0.name])
                    })
            }
            return (placed.servers.servers[number].connection, consignments)
        }
        let deliveries = try WeightTransfer(progress, from: 0.1, to: 0.95).deliver(servers)
        return Dictionary(uniqueKeysWithValues: zip(numbers, deliveries))
    }
}

extension ModelOutline {
    /// The tensors that some parts need together, each once.
    func tensors(ofAll parts: [ModelPart]) -> [GGUFTensor] {
        var seen = Set<String>()
        return parts.flatMap { tensors(of: $0) }.filter { seen.insert($0.name).inserted }
    }
}
