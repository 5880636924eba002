public import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// This machine as a place to compute: what `swiftlet devices` prints.
public struct DeviceDescription: Hashable, Sendable {
    public struct Variant: Hashable, Sendable {
        public var variant: KernelVariant
        /// Why it cannot be used here; nil if it can.
        public var obstacle: String?
    }

    /// As the system names it, where it does.
    public var processor: String
    /// Logical processors this process may run on.
    public var coreCount: Int
    /// `L2 2 MB`, from the core outward, where the system says.
    public var caches: [String]
    public var memory: DeviceMemory
    public var variants: [Variant]
    /// The variant used unless another is asked for.
    public var chosen: KernelVariant
    /// Whether the system has an OpenBLAS that could be loaded.
    public var hasOpenBLAS: Bool

    public static func current() -> DeviceDescription {
        DeviceDescription(
            processor: processorName() ?? "unknown processor", coreCount: availableCoreCount(), caches: cacheSizes(),
            memory: SystemMemory.current(),
            variants: KernelVariant.allCases.map { Variant(variant: $0, obstacle: $0.obstacle()) },
            chosen: .best(), hasOpenBLAS: findsOpenBLAS())
    }

    /// Logical processors this process may run on; at least 1.
    public static func availableCoreCount() -> Int {
        if let text = SystemFile.text("/proc/self/status") {
            let line = text.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed:") }
            // A mask in hexadecimal, cut into words by commas.
            let digits = line?.dropFirst("Cpus_allowed:".count).compactMap(\.hexDigitValue) ?? []
            let count = digits.reduce(0) { $0 + $1.nonzeroBitCount }
            if count > 0 { return count }
        }
        return max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }

    private static func processorName() -> String? {
        guard let text = SystemFile.text("/proc/cpuinfo") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
        return line?.split(separator: ":").last.map { String($0.drop { $0 == " " }) }
    }

    private static func cacheSizes() -> [String] {
        var found: [String] = []
        for index in 0..<8 {
            let folder = "/sys/devices/system/cpu/cpu0/cache/index\(index)/"
            guard let level = SystemFile.text(folder + "level"), let size = SystemFile.text(folder + "size"),
                let kind = SystemFile.text(folder + "type")
            else { break }
            func clean(_ text: String) -> String { text.filter { $0 != "\n" } }
            let letter = ["Data": "d", "Instruction": "i"][clean(kind)] ?? ""
            found.append("L\(clean(level))\(letter) \(clean(size))")
        }
        return found
    }

    private static func findsOpenBLAS() -> Bool {
        SystemLibrary.isThere(["libopenblas.so.0", "libopenblas.so", "libopenblas.dylib"])
    }
}

/// Libraries that others may have installed.
package enum SystemLibrary {
    /// Whether one of the names can be loaded.
    package static func isThere(_ names: [String]) -> Bool {
        for name in names {
            // Asked for lazily and closed again at once: only whether it could be had is of interest here.
            if let handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL) {
                dlclose(handle)
                return true
            }
        }
        return false
    }
}
