internal import Base
internal import Synchronization
package import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What all users of a processor's memory have been promised, against what may be promised.
///
/// The system counts memory when it is touched, users count it when they ask for it: without a ledger two heads would
/// be told of the same free bytes, and the second to fill its buffers would meet the system's last resort. So what is
/// free is what the system still has, less what was promised and is not yet touched.
///
/// Asking the system means reading several files, and plans are promised memory in the middle of steps. So what it said
/// counts for a tenth of a second. What is promised meanwhile counts at once, and nothing is refused for an old word.
package final class MemoryLedger: Sendable {
    /// The system's word at one moment.
    package struct Reading: Sendable {
        /// What could still be taken from the machine, and all it has.
        package var system: DeviceMemory
        /// Bytes of memory that belong to this process alone and are in use, as far as the system says.
        package var touchedByteCount: Int

        package init(system: DeviceMemory, touchedByteCount: Int) {
            self.system = system
            self.touchedByteCount = touchedByteCount
        }
    }

    /// The most that may be promised; nil for no more than the system has.
    let limit: Int?
    /// Whether promises beyond what is free are refused.
    let isStrict: Bool
    /// Whether what is promised and not yet touched counts as taken, though nothing is refused for it.
    private let countsPromises: Bool

    private struct State {
        var promised = 0
        /// Memory of others that is used where it is, by its address: how many use it, and its bytes.
        var borrowed: [Int: (users: Int, byteCount: Int)] = [:]
        var borrowedByteCount = 0
        var reading: Reading
        /// When it was taken, in nanoseconds.
        var moment: UInt64
    }

    private let state: Mutex<State>
    /// Bytes of this process that were touched before anything was promised.
    private let baseline: Int
    private let read: @Sendable () -> Reading
    private let clock: @Sendable () -> UInt64

    /// Nanoseconds for which a reading counts.
    package static let readingLife: UInt64 = 100_000_000

    /// - Parameters:
    ///   - read: asks the system.
    ///   - clock: the time in nanoseconds.
    package init(
        limit: Int?, isStrict: Bool, countsPromises: Bool = false, read: @escaping @Sendable () -> Reading = MemoryLedger.readSystem,
        clock: @escaping @Sendable () -> UInt64 = MonotonicClock.nanoseconds
    ) {
        self.limit = limit
        self.isStrict = isStrict
        self.countsPromises = countsPromises || isStrict || limit != nil
        self.read = read
        self.clock = clock
        let first = read()
        baseline = first.touchedByteCount
        state = Mutex(State(reading: first, moment: clock()))
    }

    /// Bytes that have been promised.
    package var promisedByteCount: Int { state.withLock { $0.promised } }

    /// What can still be promised, and all that could be, as of now.
    package func memory() -> DeviceMemory {
        state.withLock { state in
            renewReading(&state)
            return memory(state)
        }
    }

    private func renewReading(_ state: inout State) {
        state.reading = read()
        state.moment = clock()
    }

    private func memory(_ state: State) -> DeviceMemory {
        let system = state.reading.system
        guard countsPromises else { return DeviceMemory(free: system.free, total: system.total, lent: state.promised) }
        let total = min(system.total, limit ?? Int.max)
        let touched = max(0, state.reading.touchedByteCount - baseline)
        let owed = max(0, state.promised - touched)
        // What is mapped the system can take back, and calls free: but whoever computes with it wants it to stay.
        let free = min(total - state.promised, system.free - owed) - state.borrowedByteCount
        return DeviceMemory(free: max(0, free), total: total, lent: state.promised)
    }

    /// Promises memory.
    ///
    /// - Throws: `outOfMemory`, if there is not so much, by what the system says just then.
    package func take(_ byteCount: Int) throws(BackendError) {
        try state.withLock { state throws(BackendError) in
            if isStrict || limit != nil {
                if clock() &- state.moment >= MemoryLedger.readingLife {
                    renewReading(&state)
                } else if byteCount > memory(state).free {
                    // What was given back since is not in an old reading.
                    renewReading(&state)
                }
                let free = memory(state).free
                guard byteCount <= free else {
                    throw BackendError(.outOfMemory, "\(byteCount) bytes are wanted, \(free) are free")
                }
            }
            state.promised &+= byteCount
        }
    }

    package func giveBack(_ byteCount: Int) {
        state.withLock { $0.promised &-= byteCount }
    }

    /// Notes that mapped bytes are in use, which takes memory as long as they are: once, however many use the same.
    package func borrow(_ bytes: UnsafeRawBufferPointer) {
        guard let address = bytes.baseAddress.map({ Int(bitPattern: $0) }) else { return }
        state.withLock { state in
            let entry = state.borrowed[address] ?? (0, bytes.count)
            if entry.users == 0 { state.borrowedByteCount += entry.byteCount }
            state.borrowed[address] = (entry.users + 1, entry.byteCount)
        }
    }

    /// The counterpart of ``borrow(_:)``.
    package func giveBack(borrowed bytes: UnsafeRawBufferPointer) {
        guard let address = bytes.baseAddress.map({ Int(bitPattern: $0) }) else { return }
        state.withLock { state in
            guard let entry = state.borrowed[address] else { return }
            if entry.users > 1 {
                state.borrowed[address] = (entry.users - 1, entry.byteCount)
            } else {
                state.borrowed[address] = nil
                state.borrowedByteCount -= entry.byteCount
            }
        }
    }

    /// The account of all models that this process computes with: nothing is refused, but what they have been promised counts.
    package static let ofModels = MemoryLedger(limit: nil, isStrict: false, countsPromises: true)

    package static func readSystem() -> Reading {
        Reading(system: SystemMemory.current(), touchedByteCount: touchedByteCount())
    }

    private static func touchedByteCount() -> Int {
        guard let text = SystemFile.text("/proc/self/statm") else { return 0 }
        let pages = text.split(separator: " ").compactMap { Int($0) }
        guard pages.count >= 3 else { return 0 }
        return (pages[1] - pages[2]) * Pages.size
    }
}
