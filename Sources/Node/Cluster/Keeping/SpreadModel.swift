internal import GGUF
internal import Kernels
internal import Model
internal import NodeEngine
internal import RPCProto
internal import Tensor

/// A model's file, and what of it is on which worker: placed once, or again and again as workers come and go.
///
/// Weights that are where they are wanted again stay there; only the others are brought. One thread at a time.
final class SpreadModel {
    let outline: ModelOutline
    let options: EngineOptions
    let slotCount: Int
    let contextSize: Int
    /// The file's of before it was opened, so that another file put in its place gets no hashes of this one.
    private let stamp: FileStamp?
    /// What is kept of its tensors' hashes, and how others are computed: read when something is first brought.
    private lazy var hashes = SpreadModel.Hashes(outline, stamp, options)

    /// A device of a connection.
    private struct Place: Hashable {
        var connection: ObjectIdentifier
        var device: Int
    }

    private struct Kept {
        let id: NodeID
        var backend: RPCBackend
        /// The tensors of each part, in the outline's order.
        var parts: [ModelPart: [LoadedTensor]] = [:]
        var byteCount = 0
    }

    private var kept: [Place: Kept] = [:]
    /// Bytes that devices had free when the model was last placed, beside what it has of them.
    private var spare: [Place: Int] = [:]

    /// Opens the file.
    ///
    /// - Throws: `GGUFError`, `ModelError`.
    init(_ options: EngineOptions) throws {
        stamp = FileStamp(path: options.modelPath)
        self.options = options
        outline = try ModelOutline(GGUFFile(path: options.modelPath))
        slotCount = max(1, options.slotCount)
        contextSize = LoadedModel.contextSize(options, outline.hyperparameters)
    }

    // MARK: Placing

    /// Decides what goes where, what is there already counting as free.
    ///
    /// - Parameter passByteCount: what else the model has on a stage's device, and gives up when it moves.
    /// - Throws: ``HeadError``, `ModelError`, `BackendError`.
    func place(_ servers: ConnectedServers, passByteCount: (ConnectedServers.Server, Int) -> Int = { _, _ in 0 }) throws -> PlacedModel {
        var servers = servers
        spare = [:]
        for index in servers.servers.indices {
            let connection = servers.servers[index].connection
            for device in servers.servers[index].memory.indices {
                let place = Place(connection: ObjectIdentifier(connection), device: device)
                let own = kept[place]
                let compute = try own?.backend.computeByteCount() ?? 0
                let memory = servers.servers[index].memory[device]
                if memory.free == 0, memory.total == 0 { continue }
                spare[place] = memory.free
                let bytes = (own?.byteCount ?? 0) + compute + passByteCount(servers.servers[index], device)
                // Servers that report the whole system's memory may count what was freed a moment ago already.
                let free = memory.total > 0 ? min(memory.total, memory.free + bytes) : memory.free + bytes
                servers.servers[index].memory[device].free = servers.servers[index].doubts[device]?.limited(free) ?? free
            }
        }
        return try PlacedModel(outline, options, on: servers, split: split(for: servers), slotCount: slotCount, contextSize: contextSize)
    }

    /// Whether the model has room on the servers as they are given.
    func fits(_ servers: ConnectedServers) -> Bool {
        let placed = try? PlacedModel(
            outline, options, on: servers, split: split(for: servers), slotCount: slotCount, contextSize: contextSize)
        return placed != nil
    }

    /// The shares of the devices that are there; nil where none of them has any.
    private func split(for servers: ConnectedServers) throws(HeadError) -> [Double]? {
        guard let shares = options.head.split else { return nil }
        let names = options.head.workers.map { (try? Endpoint(parsing: $0)).map { "\($0)" } ?? $0 }
        if servers.servers.count == names.count { return shares }
        // Which shares belong to one that is not there can only be told where each has one device.
        let localCount = options.head.usesLocal ? LocalDevice.count(options.head) : 0
        guard shares.count == names.count + localCount else { return nil }
        let present = servers.servers.compactMap { server in names.firstIndex(of: "\(server.id)") }
        guard present.count == servers.servers.count, servers.servers.allSatisfy({ $0.memory.count == 1 }) else { return nil }
        let left = present.map { shares[$0] } + shares.suffix(localCount)
        return left.contains { $0 > 0 } ? left : nil
    }

    // MARK: Bringing

    /// A worker that could not be served.
    struct Failure {
        var server: ConnectedServers.Server
        /// The device that was to take something, and how many bytes that was.
        var device: Int
        var byteCount: Int
        var error: BackendError
    }

    /// Memory that a worker's device has given for weights, in bytes.
    typealias Allocated = @Sendable (_ id: NodeID, _ device: Int, _ byteCount: Int) -> Void

    /// The parts that a placement puts on workers and that are not there, by the worker's number and its device.
    private func missing(_ placed: PlacedModel) -> [Int: [(device: Int, parts: [ModelPart])]] {
        var missing: [Int: [(device: Int, parts: [ModelPart])]] = [:]
        for stage in placed.placement.stages {
            guard let (number, device) = placed.server(of: placed.sources[stage.device]) else { continue }
            let connection = placed.servers.servers[number].connection
            let there = kept[Place(connection: ObjectIdentifier(connection), device: device)]?.parts ?? [:]
            let parts = SpreadModel.extent(stage).parts.filter { there[$0] == nil }
            if !parts.isEmpty { missing[number, default: []].append((device, parts)) }
        }
        return missing
    }

    /// Brings the workers what a placement puts there and is not there yet.
    ///
    /// - Parameters:
    ///   - placed: where to. Connections that were lost on the way and made again are changed in it.
    ///   - isPatient: connect again to a worker that is lost meanwhile, and let all fail with one; else what arrived stays there.
    ///   - isInVain: asked now and then whether to give up; then the failures say so (`cancelled`).
    ///   - onAllocated: told of memory that a worker's device has given, from other threads.
    /// - Returns: the workers that could not be served, and why.
    func bring(
        _ placed: inout PlacedModel, isPatient: Bool, isInVain: @escaping @Sendable () -> Bool = { false },
        onAllocated: @escaping Allocated = { _, _, _ in }, _ progress: @escaping Engines.Progress
    ) -> [Failure] {
        bring(missing(placed), &placed, isPatient: isPatient, fillsCaches: true, isInVain, onAllocated, progress)
    }

    /// What came of bringing a part ahead.
    enum PartBrought {
        /// Something was brought, or could not be.
        case some([Failure])
        /// All that is left does not fit beside what is used at present.
        case noRoom
        /// Nothing is left.
        case all
    }

    /// Brings each worker one part more of what a placement puts there, of what fits beside all that is used at present.
    func bringAhead(_ placed: inout PlacedModel, isInVain: @escaping @Sendable () -> Bool) -> PartBrought {
        var next: [Int: [(device: Int, parts: [ModelPart])]] = [:]
        let missing = missing(placed)
        for (number, stages) in missing {
            let connection = ObjectIdentifier(placed.servers.servers[number].connection)
            for (device, parts) in stages {
                let bytes = parts.reduce(0) { $0 + outline.weightByteCount(of: $1) }
                let free = spare[Place(connection: connection, device: device)] ?? 0
                if bytes < free - DeviceSupply.reserve(free: free) { next[number, default: []].append((device, Array(parts.prefix(1)))) }
            }
        }
        if next.isEmpty { return missing.isEmpty ? .all : .noRoom }
        // Streams run meanwhile: their steps are to go between slices.
        return .some(bring(next, &placed, isPatient: false, fillsCaches: false, isInVain, { _, _, _ in }) { _ in })
    }

    private func bring(
        _ missing: [Int: [(device: Int, parts: [ModelPart])]], _ placed: inout PlacedModel, isPatient: Bool,
        fillsCaches: Bool, _ isInVain: @escaping @Sendable () -> Bool,
        _ onAllocated: @escaping Allocated, _ progress: @escaping Engines.Progress
    ) -> [Failure] {
        let numbers = missing.keys.sorted()
        if numbers.isEmpty { return [] }
        let hashes = hashes
        let file = outline.file
        let servers = numbers.map { number in
            let consignments = (missing[number] ?? []).map { device, parts in
                var consignment = WeightTransfer.Consignment(device: device, tensors: [])
                for part in parts {
                    consignment.apart.insert(consignment.tensors.count)
                    consignment.tensors += outline.tensors(of: part).map {
                        TensorUpload(
                            name: $0.name, type: $0.type, shape: $0.shape, content: file.region(of: $0), hash: hashes.hash(of: $0, in: file)
                        )
                    }
                }
                return consignment
            }
            return (connection: placed.servers.servers[number].connection, consignments: consignments)
        }
        let ids = numbers.map { placed.servers.servers[$0].id }
        let transfer = WeightTransfer(
            progress, from: 0.02, to: 0.95, isPatient: isPatient, hashes: hashes.contents, fillsCaches: fillsCaches, isInVain: isInVain,
            onAllocated: { onAllocated(ids[$0], $1, $2) })
        var failures: [Failure] = []
        for (index, outcome) in transfer.deliver(servers).enumerated() {
            let number = numbers[index]
            let stages = missing[number] ?? []
            switch outcome {
            case .success(let delivery):
                placed.replace(number, with: delivery.connection)
                for ((device, parts), tensors) in zip(stages, delivery.places) {
                    keep(parts, of: tensors, on: placed.servers.servers[number], device)
                }
            case .failure(let failure):
                let stage = stages[min(failure.consignment, stages.count - 1)]
                let bytes = stage.parts.reduce(0) { $0 + outline.weightByteCount(of: $1) }
                failures.append(
                    Failure(server: placed.servers.servers[number], device: stage.device, byteCount: bytes, error: failure.error))
                if failure.error.code == .connection { forget(servers[index].connection) }
            case nil: break
            }
        }
        return failures
    }

    private func keep(_ parts: [ModelPart], of tensors: [LoadedTensor], on server: ConnectedServers.Server, _ device: Int) {
        let connection = server.connection
        var entry =
            kept[Place(connection: ObjectIdentifier(connection), device: device)]
            ?? Kept(id: server.id, backend: connection.devices[device])
        var rest = tensors[...]
        for part in parts {
            let count = outline.tensors(of: part).count
            entry.parts[part] = Array(rest.prefix(count))
            entry.byteCount += outline.weightByteCount(of: part)
            rest = rest.dropFirst(count)
        }
        kept[Place(connection: ObjectIdentifier(connection), device: device)] = entry
    }

    /// Lets go of everything that a placement does not put where it is.
    func keepOnly(_ placed: PlacedModel) {
        var wanted: [Place: Set<ModelPart>] = [:]
        for stage in placed.placement.stages {
            guard let (number, device) = placed.server(of: placed.sources[stage.device]) else { continue }
            let connection = placed.servers.servers[number].connection
            wanted[Place(connection: ObjectIdentifier(connection), device: device), default: []].formUnion(
                SpreadModel.extent(stage).parts)
        }
        for (place, entry) in kept {
            let left = entry.parts.filter { wanted[place]?.contains($0.key) ?? false }
            if left.isEmpty {
                kept[place] = nil
            } else {
                kept[place]?.parts = left
                kept[place]?.byteCount = left.keys.reduce(0) { $0 + outline.weightByteCount(of: $1) }
            }
        }
    }

    /// Bytes of weights that a device has.
    func keptByteCount(on connection: ServerConnection, _ device: Int) -> Int {
        kept[Place(connection: ObjectIdentifier(connection), device: device)]?.byteCount ?? 0
    }

    /// Lets go of what was on connections that are no more.
    func forgetLost() { kept = kept.filter { $0.value.backend.connection.failure == nil } }

    /// Lets go of everything.
    func forgetAll() { kept = [:] }

    /// The workers that something was brought to which is still there.
    var keptNodes: Set<NodeID> { Set(kept.values.map(\.id)) }

    private func forget(_ connection: ServerConnection) {
        kept = kept.filter { $0.key.connection != ObjectIdentifier(connection) }
    }

    // MARK: Loaded

    /// The model as it is placed, everything being there.
    ///
    /// Embeddings are looked up here whatever else is: a row of the file for each token is less than its matrix elsewhere.
    func loaded(_ placed: PlacedModel) throws -> LoadedModel {
        let stages = placed.placement.stages
        var weights = PlacedWeights()
        var seats: [LoadedModel.Seat] = []
        let startsHere = stages.first.map { placed.sources[$0.device].isLocal } ?? false
        let local = LocalDevice.all(options.head)
        if !startsHere {
            let extent = StageExtent(embeds: true, layers: 0..<0, hasOutput: false)
            let backend = try CPUBackend(options, threads: 1)
            try weights.adopt(outline, extent.parts, on: backend)
            seats.append(LoadedModel.Seat(extent: extent, backend: backend))
        }
        for (index, stage) in stages.enumerated() {
            var extent = SpreadModel.extent(stage)
            if case .local(let number) = placed.sources[stage.device] {
                extent.embeds = index == 0
                let backend = try local[number].makeBackend(options)
                try weights.adopt(outline, extent.parts, on: backend)
                seats.append(LoadedModel.Seat(extent: extent, backend: backend, computeByteCount: stage.computeByteCount))
                continue
            }
            guard let (number, device) = placed.server(of: placed.sources[stage.device]) else {
                throw BackendError(.connection, "\(placed.sources[stage.device]) is not there any more")
            }
            let connection = placed.servers.servers[number].connection
            let there = kept[Place(connection: ObjectIdentifier(connection), device: device)]
            for part in extent.parts {
                guard let there, let places = there.parts[part] else {
                    throw BackendError(.connection, "\(connection.endpoint): what was sent is not there any more")
                }
                for (tensor, place) in zip(outline.tensors(of: part), places) {
                    weights.place(
                        Weight(
                            name: tensor.name, type: tensor.type, shape: tensor.shape, buffer: place.buffer, byteOffset: place.byteOffset),
                        in: part)
                }
            }
            seats.append(
                LoadedModel.Seat(extent: extent, backend: connection.devices[device], computeByteCount: stage.computeByteCount))
        }
        return try LoadedModel(outline, weights, options, seats)
    }

    /// A stage that does not look up embeddings.
    private static func extent(_ stage: Placement.Stage) -> StageExtent {
        StageExtent(embeds: false, layers: stage.layers, hasOutput: stage.hasOutput)
    }
}

extension SpreadModel {
    /// Spread over this machine and the options' workers, all of which must be there, by the memory that they report.
    ///
    /// - Throws: ``HeadError``, `ModelError`, `BackendError`.
    static func load(_ options: EngineOptions, _ progress: @escaping Engines.Progress) throws -> (loaded: LoadedModel, placed: PlacedModel)
    {
        progress(LoadProgress(stage: "asking \(options.head.workers.count) workers", fraction: 0))
        let spread = try SpreadModel(options)
        let servers = try ConnectedServers.connect(options.head.workers, options.head)
        var placed = try spread.place(servers)
        // A stock server that has nothing of the model is free for others.
        let used = placed.usedNodes
        for server in servers.servers where !used.contains(server.id) { server.connection.close() }
        let failures = spread.bring(&placed, isPatient: true, progress)
        if !failures.isEmpty { throw HeadError.workers(failures.map { "\($0.error)" }) }
        return (try spread.loaded(placed), placed)
    }
}

extension SpreadModel {
    /// Hashes of the model's tensors, for workers that may have them in their caches.
    private struct Hashes {
        private let kept: TensorHashes
        /// Computes those that are not known, and keeps them.
        let contents: ContentHashes

        init(_ outline: ModelOutline, _ stamp: FileStamp?, _ options: EngineOptions) {
            let paths = outline.file.parts.map(\.path)
            let others = FileStamp.all(Array(paths.dropFirst()))
            let kept = TensorHashes(
                modelPaths: paths, stamps: stamp.flatMap { first in others.map { [first] + $0 } },
                threads: options.threads ?? DeviceDescription.availableCoreCount())
            var places: [String: (part: Int, byteOffset: Int)] = [:]
            for tensor in outline.file.tensors { places[tensor.name] = (tensor.part, tensor.byteOffset) }
            self.kept = kept
            contents = ContentHashes { [places] uploads in
                kept.hashes(
                    of: uploads.map { upload in
                        // Every upload is one of the file's tensors.
                        let place = places[upload.name] ?? (0, -1)
                        return TensorHashes.Source(
                            name: upload.name, part: place.part, byteOffset: place.byteOffset, bytes: upload.content.bytes)
                    })
            }
        }

        func hash(of tensor: GGUFTensor, in file: GGUFFile) -> TensorUpload.Hash {
            let source = TensorHashes.Source(
                name: tensor.name, part: tensor.part, byteOffset: tensor.byteOffset, bytes: file.region(of: tensor).bytes)
            return kept.known(source).map { .known($0) } ?? .onDemand
        }
    }
}

extension ModelOutline {
    /// The tensors that some parts need together, each once.
    func tensors(ofAll parts: [ModelPart]) -> [GGUFTensor] {
        var seen = Set<String>()
        return parts.flatMap { tensors(of: $0) }.filter { seen.insert($0.name).inserted }
    }
}
