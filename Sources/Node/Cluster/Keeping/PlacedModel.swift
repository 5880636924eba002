internal import Foundation
internal import Kernels
package import Model
package import NodeEngine
internal import RPCProto
internal import Tensor

/// A model, the machines for it, and which gets what: everything that is decided before a byte is moved.
package struct PlacedModel {
    let outline: ModelOutline
    private(set) var servers: ConnectedServers
    private let local: [LocalSupply]
    package let placement: Placement
    /// Which each of the placement's devices is.
    let sources: [DeviceID]

    /// Asks the workers for their memory and places the model by it.
    ///
    /// - Throws: ``HeadError``, `ModelError`.
    package init(_ outline: ModelOutline, _ options: EngineOptions, slotCount: Int, contextSize: Int) throws {
        try self.init(
            outline, options, on: ConnectedServers.connect(options.head.workers, options.head),
            beside: OpenDevice.all(options).map { device throws(BackendError) in try LocalSupply(device) }, split: options.head.split,
            slotCount: slotCount, contextSize: contextSize, looksForContext: true)
    }

    /// Places the model by what the workers said.
    ///
    /// - Parameters:
    ///   - local: the devices of this machine, in the order of their numbers.
    ///   - looksForContext: if it does not fit, find the longest context that would, which takes a while.
    /// - Throws: ``HeadError``, `ModelError`.
    init(
        _ outline: ModelOutline, _ options: EngineOptions, on servers: ConnectedServers, beside local: [LocalSupply], split: [Double]?,
        slotCount: Int, contextSize: Int, looksForContext: Bool = false
    ) throws {
        self.outline = outline
        self.servers = servers
        self.local = local
        var sources: [DeviceID] = []
        var devices: [DeviceSupply] = []
        for server in servers.servers {
            for (index, memory) in server.memory.enumerated() {
                sources.append(.remote(server.id, index))
                devices.append(
                    DeviceSupply(
                        name: server.name(ofDevice: index), freeByteCount: memory.free, totalByteCount: memory.total,
                        largestBufferByteCount: server.connection.devices[index].largestBuffer,
                        roundTrip: server.roundTrip))
            }
        }
        for (number, device) in local.enumerated() {
            sources.append(.local(number))
            devices.append(
                DeviceSupply(
                    name: device.address(of: local.count), isLocal: true, freeByteCount: device.memory.free,
                    totalByteCount: device.memory.total, largestBufferByteCount: device.largestBuffer))
        }
        self.sources = sources
        let alignments = servers.servers.flatMap { $0.connection.devices.map(\.alignment) } + local.map(\.alignment)
        let alignment = alignments.max() ?? 0
        func demand(_ contextSize: Int) throws(ModelError) -> ModelDemand {
            try PlacedModel.demand(outline, options, slotCount: slotCount, contextSize: contextSize, alignment: max(128, alignment))
        }
        let wanted = try demand(contextSize)
        do throws(PlacementError) {
            placement = try Placement(wanted, on: devices, split: split)
        } catch {
            if looksForContext, case .doesNotFit(var shortage) = error {
                try shortage.findLongestContext { contextSize in
                    let less = try demand(contextSize)
                    return (try? Placement(less, on: devices, split: split)) != nil
                }
                throw HeadError.noRoom("\(shortage)")
            }
            if error.isShortage { throw HeadError.noRoom("\(error)") }
            throw HeadError.placement("\(error)")
        }
    }

    /// What the model takes, at so many slots of so many tokens.
    static func demand(
        _ outline: ModelOutline, _ options: EngineOptions, slotCount: Int, contextSize: Int, alignment: Int
    ) throws(ModelError) -> ModelDemand {
        let h = outline.hyperparameters
        let caches = (0..<h.layerCount).map {
            outline.cacheByteCount(ofLayer: $0, slotCount: slotCount, contextLength: contextSize, alignment: alignment)
        }
        let bounds = options.stepBounds(slotCount: slotCount, contextLength: contextSize)
        func compute(_ extent: StageExtent) throws(ModelError) -> Int {
            let graphs = try outline.computeByteCount(extent, bounds, alignment: alignment, rest: RPCBackend.fusedNodeCount)
            let masks = outline.maskByteCount(extent, contextLength: contextSize, alignment: alignment)
            let (sum, overflow) = graphs.addingReportingOverflow(masks)
            return overflow ? .max : sum
        }
        // Layers differ in which of the masks they read, so one with both kinds stands for all.
        let middle = StageExtent(embeds: false, layers: 0..<h.layerCount, hasOutput: false)
        let last = StageExtent(embeds: false, layers: 0..<h.layerCount, hasOutput: true)
        func largestTensor(_ parts: [ModelPart]) -> Int { outline.tensors(ofAll: parts).map(\.byteCount).max() ?? 0 }
        var demand = ModelDemand(
            name: URL(fileURLWithPath: options.modelPath).lastPathComponent, contextSize: contextSize, slotCount: slotCount,
            layers: (0..<h.layerCount).map {
                LayerDemand(weightByteCount: outline.weightByteCount(of: .layer($0)), cacheByteCount: caches[$0])
            },
            outputByteCount: outline.weightByteCount(of: .output), computeByteCount: try compute(middle),
            outputComputeByteCount: try compute(last), hiddenByteCount: h.embeddingLength * (options.head.halvesHiddenStates ? 2 : 4),
            inputByteCount: outline.inputByteCountPerToken, logitsByteCount: h.vocabularySize * 4,
            candidatesByteCount: min(BatchLayout.candidateCount, h.vocabularySize) * 8)
        // What a layer remembers is in one buffer.
        demand.largestPieceByteCount = max(caches.max() ?? 0, largestTensor((0..<h.layerCount).map { .layer($0) }))
        demand.largestOutputPieceByteCount = largestTensor([.output])
        return demand
    }

    /// Sentences about workers that were named more than once.
    package var remarks: [String] { servers.remarks }

    /// Closes the connections to the workers.
    package func close() { servers.close() }

    /// Notes that a server's connection was lost and made again.
    mutating func replace(_ number: Int, with connection: ServerConnection) { servers.servers[number].connection = connection }

    /// The machines with what each is to have.
    ///
    /// - Parameters:
    ///   - firstSeat: the number of the first stage's seat.
    ///   - meters: by seat.
    func roster(firstSeat: Int, _ meters: [StageMeter]) -> NodeRoster {
        func part(_ device: Int) -> NodeRoster.Part? {
            placement.stages.firstIndex { $0.device == device }.map { index in
                let stage = placement.stages[index]
                return NodeRoster.Part(
                    seat: firstSeat + index, layers: stage.layers, hasOutput: stage.hasOutput,
                    weightByteCount: stage.weightByteCount, cacheByteCount: stage.cacheByteCount,
                    computeByteCount: stage.computeByteCount)
            }
        }
        var nodes = servers.servers.map { server in
            NodeRoster.Node(
                id: server.id, address: "\(server.id)", name: server.name, connection: server.connection, roundTrip: server.roundTrip,
                devices: sources.indices.compactMap { index in
                    guard case .remote(server.id, let device) = sources[index] else { return nil }
                    return NodeRoster.Device(name: "device \(device)", memory: server.memory[device], part: part(index))
                })
        }
        if !local.isEmpty {
            let first = sources.count - local.count
            let devices = local.enumerated().map { number, device in
                NodeRoster.Device(name: device.name, memory: device.memory, part: part(first + number))
            }
            nodes.append(NodeRoster.Node(address: NodeRoster.localAddress, devices: devices))
        }
        return NodeRoster(nodes: nodes, meters: meters)
    }

    /// The server that a stage is on; nil for this machine.
    func server(ofStage index: Int) -> (server: ConnectedServers.Server, device: Int)? {
        guard placement.stages.indices.contains(index), let (number, device) = server(of: sources[placement.stages[index].device]) else {
            return nil
        }
        return (servers.servers[number], device)
    }

    /// The number of the server that a device is of, and its own there; nil for this machine's.
    func server(of id: DeviceID) -> (number: Int, device: Int)? {
        guard case .remote(let node, let device) = id, let number = servers.servers.firstIndex(where: { $0.id == node }) else { return nil }
        return (number, device)
    }

    /// The workers that have something of the model.
    var usedNodes: Set<NodeID> { Set(placement.stages.indices.compactMap { server(ofStage: $0)?.server.id }) }

    /// Whether these places are better enough to pay for moving: more machines share the work, or the one that has most has less.
    func isWorthMoving(from other: PlacedModel) -> Bool {
        if usedNodes == other.usedNodes, placement.stages.count == other.placement.stages.count {
            // The same machines: memory that came or went elsewhere is no reason to move.
            return false
        }
        if placement.stages.count > other.placement.stages.count { return true }
        return Double(placement.largestByteCount) < 0.9 * Double(other.placement.largestByteCount)
    }
}

extension Placement {
    /// Bytes of the stage that has most.
    fileprivate var largestByteCount: Int { stages.map { $0.weightByteCount + $0.cacheByteCount }.max() ?? 0 }
}
