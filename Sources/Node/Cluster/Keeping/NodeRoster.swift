internal import Model
internal import NodeEngine
internal import RPCProto
internal import Tensor

/// The machines that a model runs on, and what each has of it.
struct NodeRoster: Sendable {
    struct Device: Sendable {
        var name: String
        /// As it was before the model came.
        var memory: DeviceMemory
        var part: Part?
    }

    /// What a device has of the model.
    struct Part: Sendable {
        /// Which of the model's stages, in the order of the seats.
        var seat: Int
        var layers: Range<Int>
        var hasOutput: Bool
        var weightByteCount: Int
        var cacheByteCount: Int
        var computeByteCount: Int
    }

    struct Node: Sendable {
        /// Nil for this machine.
        var id: NodeID?
        var address: String
        /// What one that proves who it is calls itself.
        var name: String?
        /// Nil for this machine.
        var connection: ServerConnection?
        var roundTrip: Duration?
        var devices: [Device]
    }

    var nodes: [Node]
    /// By seat; empty before there are stages.
    var meters: [StageMeter] = []

    static let localAddress = "local"

    var statuses: [NodeStatus] { nodes.map { $0.status(meters) } }

    /// Why a machine that has a part of the model cannot be reached, if there is such.
    var loss: String? { nodes.lazy.compactMap { $0.isUsed ? $0.loss : nil }.first }

    /// Why a connection was given up from this side, if one was.
    var closure: String? {
        nodes.lazy.compactMap { node in node.isUsed ? node.connection?.failure.map { _ in "\(node.label) was given up" } : nil }.first
    }

    /// Ends all connections: what waits for an answer fails, and the workers have their memory back.
    func close() {
        for node in nodes { node.connection?.close() }
    }
}

extension NodeRoster.Node {
    var label: String { NodeStatus.label(address, name: name) }

    var isUsed: Bool { devices.contains { $0.part != nil } }

    var loss: String? {
        guard let connection else { return nil }
        // Closed after another was lost.
        if connection.wasClosedHere { return nil }
        return connection.failure ?? (connection.peerHasLeft ? "\(label) has closed the connection" : nil)
    }

    fileprivate func status(_ meters: [StageMeter]) -> NodeStatus {
        let loss = isUsed ? loss : nil
        return NodeStatus(
            address: address, state: loss != nil ? .failed : isUsed && connection?.wasClosedHere != true ? .ready : .unused, reason: loss,
            version: connection.map { "\($0.version)" },
            devices: devices.map { device in
                let part = device.part
                let meter = part.flatMap { $0.seat < meters.count ? meters[$0.seat] : nil }
                let saysMemory = device.memory.total != 0 || device.memory.free != 0
                return NodeStatus.Device(
                    name: device.name, memoryFree: saysMemory ? device.memory.free : nil,
                    memoryTotal: saysMemory ? device.memory.total : nil,
                    layers: part.flatMap { $0.layers.isEmpty ? nil : $0.layers }, hasOutput: part?.hasOutput ?? false,
                    weightBytes: part?.weightByteCount ?? 0, cacheBytes: part?.cacheByteCount ?? 0,
                    computeBytes: part?.computeByteCount ?? 0, steps: meter?.stepCount ?? 0,
                    busyNanoseconds: meter?.busyNanoseconds ?? 0)
            },
            roundTripNanoseconds: connection?.lifeLineRoundTrip ?? roundTrip.map { Int($0 / .nanoseconds(1)) },
            sentBytes: connection?.sentByteCount ?? 0,
            receivedBytes: connection?.receivedByteCount ?? 0)
    }
}
