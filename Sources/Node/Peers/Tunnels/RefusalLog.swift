package import Base
package import Logging
package import RPCProto
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

    private enum Line {
        case refusal(leftOut: Int)
        /// There is no room for more lines of that kind.
        case crowded
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var count = 0
        /// When it was told that there is no room for more of them.
        var crowded: UInt64?
    }

    private let state = Mutex(State())
    private let logger: Logger

    private static let period: UInt64 = 600_000_000_000
    package static let limit = 512

    package init(_ logger: Logger) { self.logger = logger }

    /// All that were ever noted.
    package var count: Int { state.withLock { $0.count } }

    package func note(_ peer: String, _ address: NetworkAddress?, _ reason: String, at now: UInt64 = MonotonicClock.nanoseconds()) {
        // What differs each time, as a count, would make each a reason of its own.
        let key = Key(address: address, reason: String(reason.filter { !$0.isNumber }))
        let line: Line? = state.withLock { state in
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
                if state.entries.count >= RefusalLog.limit {
                    if let told = state.crowded, now &- told < RefusalLog.period { return nil }
                    state.crowded = now
                    return .crowded
                }
            }
            state.entries[key] = Entry(time: now)
            return .refusal(leftOut: leftOut)
        }
        switch line {
        case nil: return
        case .crowded?: logger.warning("more are turned away, from more addresses, than are listed one by one")
        case .refusal(let leftOut)?:
            let more = leftOut > 0 ? " (and \(leftOut) more like it since the last such line)" : ""
            logger.warning("\(peer) turned away: \(reason)\(more)")
        }
    }
}
