internal import Kernels
internal import NodeEngine
internal import Tensor

/// A device of this machine as placement sees it.
struct LocalSupply: Sendable {
    var name: String
    var memory: DeviceMemory
    var largestBuffer: Int
    var alignment: Int

    init(_ device: OpenDevice) throws(BackendError) {
        name = device.name
        memory = try device.backend.memory()
        largestBuffer = device.backend.largestBuffer
        alignment = device.backend.alignment
    }

    /// The same with nothing on it.
    var emptied: LocalSupply {
        var emptied = self
        emptied.memory.free = max(memory.free, memory.total)
        return emptied
    }

    /// As tables of machines name it: `local`, or `local stand-in` where there are several.
    func address(of count: Int) -> String { count == 1 ? NodeRoster.localAddress : "\(NodeRoster.localAddress) \(name)" }
}

extension OpenDevice {
    /// Those of this machine that a head puts layers on, ready to be used.
    static func all(_ options: EngineOptions) throws -> [OpenDevice] {
        guard options.head.usesLocal else { return [] }
        return try LocalDevices.open(LocalDevices.named(options.head.devices), DeviceSettings(options))
    }
}
