public import Tensor

/// A device of this machine that graphs can be computed on: what head and worker choose from.
///
/// To add one: a case in ``LocalDevices/all`` that opens its backend. What that cannot compute, the processor does.
public struct LocalDevice: Sendable {
    /// As options name it: `CPU`.
    public let name: String
    /// For people: what it is.
    public let summary: String
    /// Whether it is used where no device is named.
    public let isUsual: Bool
    /// - Parameter processor: this machine's, for all devices together: to compute what they cannot.
    fileprivate let open: @Sendable (_ settings: DeviceSettings, _ processor: CPUBackend) throws(BackendError) -> any Backend
}

/// How devices are used.
public struct DeviceSettings: Sendable {
    /// The processor's kernels; nil takes the widest that it can run.
    public var variant: KernelVariant?
    /// The processor's threads.
    public var threads: Int
    public var limits: CPUBackend.Limits

    public init(variant: KernelVariant? = nil, threads: Int, limits: CPUBackend.Limits = .none) {
        self.variant = variant
        self.threads = threads
        self.limits = limits
    }
}

/// A device that is ready to be used.
public struct OpenDevice: Sendable {
    public let name: String
    /// Able to compute everything; see `SplitBackend`.
    public let backend: any Backend
}

/// All devices that this machine has.
public enum LocalDevices {
    public static let all: [LocalDevice] = [
        LocalDevice(name: "CPU", summary: "the processor", isUsual: true) { _, processor in processor },
        LocalDevice(
            name: "stand-in", summary: "the processor posing as a card, to try what cards need", isUsual: false
        ) { settings, processor throws(BackendError) in
            SplitBackend(try StandInDevice(settings), fallback: try processor.makeLane())
        },
    ]

    /// The devices of a list, whatever the case of its letters; those that are used unless others are named if it is empty.
    ///
    /// - Throws: `unsupported` for names that no device has, or that are there twice.
    public static func named(_ names: [String]) throws(BackendError) -> [LocalDevice] {
        if names.isEmpty { return all.filter(\.isUsual) }
        var found: [LocalDevice] = []
        for name in names {
            guard let device = all.first(where: { $0.name.lowercased() == name.lowercased() }) else {
                throw BackendError(.unsupported, "there is no device '\(name)' here; there is: \(all.map(\.name).joined(separator: ", "))")
            }
            if found.contains(where: { $0.name == device.name }) {
                throw BackendError(.unsupported, "the device '\(device.name)' is named twice")
            }
            found.append(device)
        }
        return found
    }

    /// Makes devices ready, in their order, with one processor behind them all.
    ///
    /// - Throws: `unsupported` for kernels that cannot run here, `outOfMemory`.
    public static func open(_ devices: [LocalDevice], _ settings: DeviceSettings) throws(BackendError) -> [OpenDevice] {
        let processor = try CPUBackend(variant: settings.variant, threads: settings.threads, limits: settings.limits)
        var opened: [OpenDevice] = []
        for device in devices { opened.append(OpenDevice(name: device.name, backend: try device.open(settings, processor))) }
        return opened
    }
}
