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

    /// A device: one of this machine's, by its number, or a connection's.
    private enum Place: Hashable {
        case local(Int)
        case remote(ObjectIdentifier, Int)

        init(_ connection: ServerConnection, _ device: Int) { self = .remote(ObjectIdentifier(connection), device) }
    }

    private struct Kept {
        /// Nil for this machine.
        var id: NodeID?
        /// Nil for this machine.
        var connection: ServerConnection?
        var backend: any Backend
        /// The tensors of each part, in the outline's order.
        var parts: [ModelPart: [LoadedTensor]] = [:]
        var byteCount = 0
    }

    private var kept: [Place: Kept] = [:]
    /// Bytes that devices had free when the model was last placed, beside what it has of them.
    private var spare: [Place: Int] = [:]
    /// This machine's devices, made ready when the model is first placed.
    private var opened: [OpenDevice]?

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
    /// - Parameters:
    ///   - available: what of this machine's memory, by device, others have not spoken for.
    ///   - passByteCount: what else the model has on a device, and gives up when it moves.
    /// - Throws: ``HeadError``, `ModelError`, `BackendError`.
    func place(
        _ servers: ConnectedServers, available: ([DeviceMemory]) -> [DeviceMemory] = { $0 }, passByteCount: (DeviceID) -> Int = { _ in 0 }
    ) throws -> PlacedModel {
        var local = try localDevices().map { device throws(BackendError) in try LocalSupply(device) }
        for (number, memory) in available(local.map(\.memory)).enumerated() {
            let own = kept[.local(number)]
            let bytes = try (own?.byteCount ?? 0) + (own?.backend.computeByteCount() ?? 0) + passByteCount(.local(number))
            local[number].memory.free = min(memory.total, memory.free + bytes)
        }
        var servers = servers
        spare = [:]
        for index in servers.servers.indices {
            let connection = servers.servers[index].connection
            for device in servers.servers[index].memory.indices {
                let place = Place(connection, device)
                let own = kept[place]
                let compute = try own?.backend.computeByteCount() ?? 0
                let memory = servers.servers[index].memory[device]
                if memory.free == 0, memory.total == 0 { continue }
                spare[place] = memory.free
                let bytes = (own?.byteCount ?? 0) + compute + passByteCount(.remote(servers.servers[index].id, device))
                // Servers that report the whole system's memory may count what was freed a moment ago already.
                let free = memory.total > 0 ? min(memory.total, memory.free + bytes) : memory.free + bytes
                servers.servers[index].memory[device].free = servers.servers[index].doubts[device]?.limited(free) ?? free
            }
        }
        return try placed(on: servers, beside: local)
    }

    private func placed(on servers: ConnectedServers, beside local: [LocalSupply]) throws -> PlacedModel {
        try PlacedModel(
            outline, options, on: servers, beside: local, split: split(for: servers, localCount: local.count), slotCount: slotCount,
            contextSize: contextSize)
    }

    /// Whether the model would have room if nothing else were anywhere.
    func fitsWithoutOthers(_ servers: ConnectedServers) -> Bool {
        (try? placed(on: servers.emptied, beside: localDevices().map { device in try LocalSupply(device).emptied })) != nil
    }

    private func localDevices() throws -> [OpenDevice] {
        if let opened { return opened }
        let devices = try OpenDevice.all(options)
        opened = devices
        return devices
    }

    /// The shares of the devices that are there; nil where none of them has any.
    private func split(for servers: ConnectedServers, localCount: Int) throws(HeadError) -> [Double]? {
        guard let shares = options.head.split else { return nil }
        let names = options.head.workers.map { (try? Endpoint(parsing: $0)).map { "\($0)" } ?? $0 }
        if servers.servers.count == names.count, servers.servers.allSatisfy({ names.contains("\($0.id)") }) { return shares }
        // Which shares belong to one that is not there can only be told where each has one device.
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
            let there = kept[Place(connection, device)]?.parts ?? [:]
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
            let connection = placed.servers.servers[number].connection
            for (device, parts) in stages {
                let bytes = parts.reduce(0) { $0 + outline.weightByteCount(of: $1) }
                let free = spare[Place(connection, device)] ?? 0
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
                        TensorUpload($0, of: file, hash: hashes.hash(of: $0, in: file))
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
            kept[Place(connection, device)]
            ?? Kept(id: server.id, connection: connection, backend: connection.devices[device])
        var rest = tensors[...]
        for part in parts {
            let count = outline.tensors(of: part).count
            entry.parts[part] = Array(rest.prefix(count))
            entry.byteCount += outline.weightByteCount(of: part)
            rest = rest.dropFirst(count)
        }
        kept[Place(connection, device)] = entry
    }

    /// Lets go of everything that a placement does not put where it is.
    func keepOnly(_ placed: PlacedModel) {
        var wanted: [Place: Set<ModelPart>] = [:]
        for (index, stage) in placed.placement.stages.enumerated() {
            guard let place = place(ofStage: index, placed) else { continue }
            wanted[place, default: []].formUnion(extent(stage, index, placed).parts)
        }
        for (place, entry) in kept {
            let left = entry.parts.filter { wanted[place]?.contains($0.key) ?? false }
            if left.isEmpty {
                kept[place] = nil
            } else {
                kept[place]?.parts = left
                kept[place]?.byteCount = outline.tensors(ofAll: Array(left.keys)).reduce(0) { $0 + $1.byteCount }
            }
        }
    }

    /// Bytes of weights that a stage's device has.
    func keptByteCount(ofStage index: Int, _ placed: PlacedModel) -> Int {
        place(ofStage: index, placed).flatMap { kept[$0]?.byteCount } ?? 0
    }

    /// Bytes of weights that a worker's device has.
    func keptByteCount(on connection: ServerConnection, _ device: Int) -> Int { kept[Place(connection, device)]?.byteCount ?? 0 }

    /// Nil for a worker that is not there any more.
    private func place(ofStage index: Int, _ placed: PlacedModel) -> Place? {
        let id = placed.sources[placed.placement.stages[index].device]
        if case .local(let number) = id { return .local(number) }
        return placed.server(of: id).map { Place(placed.servers.servers[$0.number].connection, $0.device) }
    }

    /// Lets go of what was on connections that are no more.
    func forgetLost() { kept = kept.filter { $0.value.connection?.failure == nil } }

    /// Lets go of everything.
    func forgetAll() { kept = [:] }

    /// The workers that something was brought to which is still there.
    var keptNodes: Set<NodeID> { Set(kept.values.compactMap(\.id)) }

    private func forget(_ connection: ServerConnection) {
        kept = kept.filter { $0.value.connection !== connection }
    }

    // MARK: Loaded

    /// The model as it is placed, everything being there but what this machine's devices have, which is loaded here.
    ///
    /// Embeddings are looked up here whatever else is: a row of the file for each token is less than its matrix elsewhere.
    ///
    /// - Parameter isInVain: asked now and then whether to give up.
    func loaded(_ placed: PlacedModel, isInVain: @escaping @Sendable () -> Bool = { false }) throws -> LoadedModel {
        let stages = placed.placement.stages
        var weights = PlacedWeights()
        var seats: [LoadedModel.Seat] = []
        if !SpreadModel.startsHere(placed) {
            let extent = StageExtent(embeds: true, layers: 0..<0, hasOutput: false)
            let backend = try CPUBackend(options, threads: 1)
            try weights.load(outline, extent.parts, on: backend)
            seats.append(LoadedModel.Seat(extent: extent, backend: backend))
        }
        for (index, stage) in stages.enumerated() {
            let extent = extent(stage, index, placed)
            guard let place = place(ofStage: index, placed) else {
                throw BackendError(.connection, "\(placed.sources[stage.device]) is not there any more")
            }
            var seat: LoadedModel.Seat
            switch place {
            case .local(let number):
                let device = try localDevices()[number]
                try load(extent.parts, on: device, number, isInVain)
                seat = LoadedModel.Seat(extent: extent, backend: device.backend) { try OpenDevice.all($0)[number].backend }
            case .remote:
                guard let backend = kept[place]?.backend else {
                    throw BackendError(.connection, "\(placed.sources[stage.device]): what was sent is not there any more")
                }
                seat = LoadedModel.Seat(extent: extent, backend: backend)
            }
            seat.computeByteCount = stage.computeByteCount
            seats.append(seat)
            for part in extent.parts {
                guard let places = kept[place]?.parts[part] else {
                    throw BackendError(.connection, "\(seat.backend.name): what was sent is not there any more")
                }
                weights.place(part, of: outline, at: places)
            }
        }
        return try LoadedModel(outline, weights, options, seats)
    }

    /// Loads the parts that a device of this machine does not have yet.
    private func load(_ parts: [ModelPart], on device: OpenDevice, _ number: Int, _ isInVain: @escaping @Sendable () -> Bool) throws {
        var entry = kept[.local(number)] ?? Kept(backend: device.backend)
        defer { kept[.local(number)] = entry }
        // What several parts share is there once.
        var there: [String: LoadedTensor] = [:]
        for (part, places) in entry.parts {
            for (tensor, place) in zip(outline.tensors(of: part), places) { there[tensor.name] = place }
        }
        for part in parts where entry.parts[part] == nil {
            let uploads = outline.uploads(of: part).filter { there[$0.name] == nil }
            for (upload, place) in zip(uploads, try device.backend.load(uploads, isInVain: isInVain, progress: { _ in })) {
                there[upload.name] = place
                entry.byteCount += upload.content.bytes.count
            }
            entry.parts[part] = outline.tensors(of: part).compactMap { there[$0.name] }
        }
    }

    private static func startsHere(_ placed: PlacedModel) -> Bool {
        placed.placement.stages.first.map { placed.sources[$0.device].isLocal } ?? false
    }

    /// What a stage has: embeddings only where it is the first and on this machine.
    private func extent(_ stage: Placement.Stage, _ index: Int, _ placed: PlacedModel) -> StageExtent {
        StageExtent(embeds: index == 0 && SpreadModel.startsHere(placed), layers: stage.layers, hasOutput: stage.hasOutput)
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
