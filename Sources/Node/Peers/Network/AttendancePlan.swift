/// At which nodes this one waits to be called. A value: what is known goes in with its time.
///
/// At nodes that join others with it, and at heads that do not come by themselves: to one that does there is a way.
package struct AttendancePlan: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    /// Nodes at which it waits at a time.
    package static let limit = 8
    /// A head that has not come for so long cannot, it seems; it would look every ten seconds at least.
    package static let patience = Duration.seconds(12)
    /// After waiting somewhere came to nothing, and twice as long each time that follows.
    package static let rest = Duration.seconds(1)
    package static let longestRest = Duration.seconds(30)

    private var known: [String: Time] = [:]
    private var guests: [String: Time] = [:]
    private var rests: [String: (until: Time, length: Duration)] = [:]
    private static let memory = 1024

    package init() {}

    /// A node has connected to this one.
    package mutating func noteGuest(_ id: String, at now: Time) {
        if guests[id] == nil, guests.count >= AttendancePlan.memory { guests = guests.filter { now - $0.value < AttendancePlan.patience } }
        if guests.count < AttendancePlan.memory || guests[id] != nil { guests[id] = now }
    }

    /// Waiting at a node has ended.
    ///
    /// - Parameter wasIn: whether it let this one wait.
    package mutating func ended(_ id: String, wasIn: Bool, at now: Time) {
        let last = wasIn ? nil : rests[id]?.length
        let length = last.map { min(AttendancePlan.longestRest, $0 * 2) } ?? AttendancePlan.rest
        rests[id] = (now + length, length)
    }

    /// The nodes at which to wait now, of those that are there.
    ///
    /// - Parameter waiting: where it waits already.
    package mutating func wanted(_ nodes: [NodeCard], waiting: Set<String>, at now: Time) -> Set<String> {
        let ids = Set(nodes.map(\.id))
        known = known.filter { ids.contains($0.key) }
        rests = rests.filter { ids.contains($0.key) }
        for id in ids where known[id] == nil { known[id] = now }
        let due = nodes.filter { card in
            if let rest = rests[card.id], now < rest.until, !waiting.contains(card.id) { return false }
            if card.relays { return true }
            guard card.role == .head else { return false }
            let since = max(known[card.id] ?? now, guests[card.id] ?? .zero)
            return now - since >= AttendancePlan.patience
        }
        // Those that it is at first, so that it does not go from one to another; then those that join it with all.
        let order = due.sorted { one, other in
            let (first, second) = (waiting.contains(one.id), waiting.contains(other.id))
            if first != second { return first }
            if one.relays != other.relays { return one.relays }
            return one.id < other.id
        }
        return Set(order.prefix(AttendancePlan.limit).map(\.id))
    }
}
