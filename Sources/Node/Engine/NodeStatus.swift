package import Base

/// One machine that a model runs on, as it is now: a worker, or this one.
public struct NodeStatus: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
        case ready
        /// The model has no part on it, and no connection is held.
        case unused
        /// Its connection is broken.
        case failed
        /// It cannot be reached, or not used; it is tried again and again.
        case absent
        /// It is about to stop: it keeps what it has until that is elsewhere.
        case leaving
        /// It was emptied by command.
        case drained
    }

    /// Something at the machine that computes.
    public struct Device: Hashable, Sendable {
        public var name: String
        /// Bytes as the device reported them before the model came; nil where it did not say.
        public var memoryFree: Int?
        public var memoryTotal: Int?
        /// The layers it has; nil for none.
        public var layers: Range<Int>?
        public var hasOutput: Bool
        public var weightBytes: Int
        public var cacheBytes: Int
        public var computeBytes: Int
        /// Steps that went through its stage.
        public var steps: Int
        /// Nanoseconds that they took, the way there and back included.
        public var busyNanoseconds: Int

        public init(
            name: String, memoryFree: Int? = nil, memoryTotal: Int? = nil, layers: Range<Int>? = nil, hasOutput: Bool = false,
            weightBytes: Int = 0, cacheBytes: Int = 0, computeBytes: Int = 0, steps: Int = 0, busyNanoseconds: Int = 0
        ) {
            self.name = name
            self.memoryFree = memoryFree
            self.memoryTotal = memoryTotal
            self.layers = layers
            self.hasOutput = hasOutput
            self.weightBytes = weightBytes
            self.cacheBytes = cacheBytes
            self.computeBytes = computeBytes
            self.steps = steps
            self.busyNanoseconds = busyNanoseconds
        }
    }

    /// `10.0.0.7:50052`, `local`, or the id of one that proves who it is.
    public var address: String
    /// What one that proves who it is calls itself, and where it was found last; nil for others.
    public var name: String?
    public var route: String?
    public var state: State
    /// Why it failed.
    public var reason: String?
    /// The protocol it speaks; nil for this machine.
    public var version: String?
    public var devices: [Device]
    /// Nanoseconds that a short question and its answer took: the last over a life line, else when the connection was new. Nil for this
    /// machine.
    public var roundTripNanoseconds: Int?
    public var sentBytes: Int
    public var receivedBytes: Int
    /// The models that have something on it.
    public var models: [String] = []

    public init(
        address: String, state: State = .ready, reason: String? = nil, version: String? = nil, devices: [Device],
        roundTripNanoseconds: Int? = nil, sentBytes: Int = 0, receivedBytes: Int = 0
    ) {
        self.address = address
        self.state = state
        self.reason = reason
        self.version = version
        self.devices = devices
        self.roundTripNanoseconds = roundTripNanoseconds
        self.sentBytes = sentBytes
        self.receivedBytes = receivedBytes
    }
}

extension NodeStatus {
    /// What a machine is called in texts for people: `cellar (5f0c1a2b)`, or its address where it has no name.
    package var label: String { NodeStatus.label(address, name: name) }

    /// Names are chosen freely, so the beginning of the id goes with them.
    package static func label(_ address: String, name: String?) -> String {
        name.map { "\($0) (\(address.prefix(8)))" } ?? address
    }

    /// Where a model is, in a line: `10.0.0.7:50052 layers 0-8, cellar (5f0c1a2b) layers 9-17 and output`; nil where it is
    /// nowhere but here.
    public static func summary(_ nodes: [NodeStatus]) -> String? {
        if nodes.allSatisfy({ $0.version == nil }) { return nil }
        let parts = nodes.flatMap { node in
            node.devices.compactMap { device -> String? in
                let layers = device.layers.map { $0.count == 1 ? "layer \($0.lowerBound)" : "layers \($0.lowerBound)-\($0.upperBound - 1)" }
                let pieces = [layers, device.hasOutput ? "output" : nil].compactMap { $0 }
                if pieces.isEmpty { return nil }
                let name = node.devices.count == 1 ? node.label : "\(node.label) \(device.name)"
                return "\(name) \(pieces.joined(separator: " and "))"
            }
        }
        return parts.joined(separator: ", ")
    }

    package var json: JSONValue {
        [
            "address": .string(address),
            "name": name.map(JSONValue.string) ?? .null,
            "route": route.map(JSONValue.string) ?? .null,
            "state": .string(state.rawValue),
            "reason": reason.map(JSONValue.string) ?? .null,
            "version": version.map(JSONValue.string) ?? .null,
            "round_trip_ms": roundTripNanoseconds.map { .number(Double($0) / 1e6) } ?? .null,
            "bytes_sent": .integer(sentBytes),
            "bytes_received": .integer(receivedBytes),
            "models": .array(models.map(JSONValue.string)),
            "devices": .array(devices.map(\.json)),
        ]
    }
}

extension NodeStatus.Device {
    var json: JSONValue {
        [
            "name": .string(name),
            "memory_free_before": memoryFree.map(JSONValue.integer) ?? .null,
            "memory_total": memoryTotal.map(JSONValue.integer) ?? .null,
            "first_layer": layers.map { .integer($0.lowerBound) } ?? .null,
            "layer_count": .integer(layers?.count ?? 0),
            "has_output": .bool(hasOutput),
            "bytes": ["weights": .integer(weightBytes), "cache": .integer(cacheBytes), "compute": .integer(computeBytes)],
            "steps": .integer(steps),
            "busy_seconds": .number(Double(busyNanoseconds) / 1e9),
        ]
    }
}
