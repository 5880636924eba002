internal import Base
package import Logging
internal import RPCProto
internal import Synchronization

/// Log lines about those who are turned away: one for each address and reason, and how many there were since every ten minutes, so that
/// whoever knocks a thousand times a second cannot fill a disk.
package final class RefusalLog: Sendable {
    private struct Key: Hashable {
        var address: NetworkAddress?
        var reason: String
    }

    private struct Entry {
        var time: UInt64
        var leftOut = 0
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var count = 0
    }

    private let state = Mutex(State())
    private let logger: Logger

    private static let period: UInt64 = 600_000_000_000
    private static let limit = 512

    package init(_ logger: Logger) { self.logger = logger }

    /// All that were ever noted.
    package var count: Int { state.withLock { $0.count } }

    func note(_ peer: String, _ address: NetworkAddress?, _ reason: String) {
        let now = MonotonicClock.nanoseconds()
        // What differs each time, as a count, would make each a reason of its own.
        let key = Key(address: address, reason: String(reason.filter { !$0.isNumber }))
        let leftOut: Int? = state.withLock { state in
            state.count += 1
            if var entry = state.entries[key], now &- entry.time < RefusalLog.period {
                entry.leftOut += 1
                state.entries[key] = entry
                return nil
            }
            let leftOut = state.entries[key]?.leftOut ?? 0
            if state.entries.count >= RefusalLog.limit {
                state.entries = state.entries.filter { now &- $0.value.time < RefusalLog.period }
                // More addresses and reasons than anybody reads.
                if state.entries.count >= RefusalLog.limit { return nil }
            }
            state.entries[key] = Entry(time: now)
            return leftOut
        }
        guard let leftOut else { return }
        let more = leftOut > 0 ? " (and \(leftOut) more like it since the last such line)" : ""
        logger.warning("\(peer) turned away: \(reason)\(more)")
    }
}
