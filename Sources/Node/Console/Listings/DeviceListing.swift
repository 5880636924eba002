internal import Base
internal import Kernels

/// What `swiftlet devices` prints.
public enum DeviceListing {
    /// Cores that this process may use.
    public static var coreCount: Int { DeviceDescription.availableCoreCount() }

    /// The devices of this machine, as options name them: `CPU, stand-in`.
    public static var names: String { LocalDevices.all.map(\.name).joined(separator: ", ") }

    /// Those that are used unless others are named.
    public static var usualNames: String { LocalDevices.all.filter(\.isUsual).map(\.name).joined(separator: ", ") }

    public static func text(json: Bool) -> String {
        let device = DeviceDescription.current()
        return json ? jsonValue(device).indented + "\n" : text(device)
    }

    private static func text(_ device: DeviceDescription) -> String {
        var lines = ["CPU  \(device.processor), \(device.coreCount) cores"]
        if !device.caches.isEmpty { lines.append("     caches: " + device.caches.joined(separator: ", ")) }
        lines.append("     memory: \(mebibytes(device.memory.free)) MiB free of \(mebibytes(device.memory.total)) MiB")
        lines.append("     OpenBLAS: " + (device.hasOpenBLAS ? "found" : "not found"))
        lines.append("kernels:")
        for variant in device.variants.reversed() {
            let name = variant.variant.rawValue
            let padded = name + String(repeating: " ", count: max(0, 10 - name.count))
            let state: String
            if let obstacle = variant.obstacle {
                state = "cannot run here: \(obstacle)"
            } else if variant.variant == device.chosen {
                state = "used, as the widest that this processor can run"
            } else {
                state = "can run here (--variant \(name))"
            }
            lines.append("     \(padded)\(state)")
        }
        lines.append("devices (--device):")
        for device in LocalDevices.all {
            let padded = device.name + String(repeating: " ", count: max(0, 10 - device.name.count))
            lines.append("     \(padded)\(device.summary)\(device.isUsual ? ", used unless others are named" : "")")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func mebibytes(_ bytes: Int) -> Int { bytes >> 20 }

    private static func jsonValue(_ device: DeviceDescription) -> JSONValue {
        [
            "processor": .string(device.processor),
            "cores": .integer(device.coreCount),
            "caches": .array(device.caches.map { .string($0) }),
            "memory_free": .integer(device.memory.free),
            "memory_total": .integer(device.memory.total),
            "openblas": .bool(device.hasOpenBLAS),
            "devices": .array(
                LocalDevices.all.map { ["name": .string($0.name), "summary": .string($0.summary), "usual": .bool($0.isUsual)] }),
            "chosen": .string(device.chosen.rawValue),
            "variants": .array(
                device.variants.map { variant in
                    ["name": .string(variant.variant.rawValue), "obstacle": variant.obstacle.map(JSONValue.string) ?? .null]
                }),
        ]
    }
}
