#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import Synchronization
internal import Tensor

/// What all users of a processor's memory have been promised, against what may be promised.
///
/// The system counts memory when it is touched, users count it when they ask for it: without a ledger two heads would
/// be told of the same free bytes, and the second to fill its buffers would meet the system's last resort. So what is
/// free is what the system still has, less what was promised and is not yet touched.
final class MemoryLedger: Sendable {
    /// The most that may be promised; nil for no more than the system has.
    let limit: Int?
    /// Whether promises beyond what is free are refused.
    let isStrict: Bool

    private let promised = Mutex(0)
    /// Bytes of this process that were touched before anything was promised.
    private let baseline = MemoryLedger.touchedByteCount()

    init(limit: Int?, isStrict: Bool) {
        self.limit = limit
        self.isStrict = isStrict
    }

    /// Bytes that have been promised.
    var promisedByteCount: Int { promised.withLock { $0 } }

    /// What can still be promised, and all that could be.
    func memory() -> DeviceMemory { memory(promised: promisedByteCount) }

    private func memory(promised: Int) -> DeviceMemory {
        let system = SystemMemory.current()
        if !isStrict, limit == nil { return system }
        let total = min(system.total, limit ?? Int.max)
        let touched = max(0, MemoryLedger.touchedByteCount() - baseline)
        let owed = max(0, promised - touched)
        return DeviceMemory(free: max(0, min(total - promised, system.free - owed)), total: total)
    }

    func take(_ byteCount: Int) throws(BackendError) {
        try promised.withLock { promised throws(BackendError) in
            if isStrict || limit != nil {
                let free = memory(promised: promised).free
                guard byteCount <= free else {
                    throw BackendError(.outOfMemory, "\(byteCount) bytes are wanted, \(free) are free")
                }
            }
            promised &+= byteCount
        }
    }

    func giveBack(_ byteCount: Int) {
        promised.withLock { $0 &-= byteCount }
    }

    /// Bytes of memory that belong to this process alone and are in use, as far as the system says.
    private static func touchedByteCount() -> Int {
        guard let text = SystemFile.text("/proc/self/statm") else { return 0 }
        let pages = text.split(separator: " ").compactMap { Int($0) }
        guard pages.count >= 3 else { return 0 }
        return (pages[1] - pages[2]) * Pages.size
    }
}
