internal import Kernels
internal import NodeEngine
internal import Tensor

/// A device of this machine: what placement has to know of it, and how to come by its backend.
struct LocalDevice: Sendable {
    var name: String
    var memory: DeviceMemory
    let makeBackend: @Sendable (EngineOptions) throws -> any Backend

    static func count(_ options: HeadOptions) -> Int { max(1, options.processorCount) }

    static func name(_ number: Int, of count: Int) -> String { count == 1 ? "CPU" : "CPU \(number)" }

    /// All there are, in the order of their numbers.
    ///
    /// The processor is one. Several of it (``HeadOptions/processorCount``) stand for a card beside it where ways of placing are tried:
    /// each has its share of the memory.
    static func all(_ options: HeadOptions) -> [LocalDevice] {
        let memory = DeviceDescription.current().memory
        let count = count(options)
        return (0..<count).map { number in
            LocalDevice(
                name: name(number, of: count),
                memory: DeviceMemory(free: memory.free / count, total: memory.total / count),
                makeBackend: { try CPUBackend($0) })
        }
    }
}
