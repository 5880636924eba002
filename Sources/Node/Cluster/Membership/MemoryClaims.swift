/// What is known of one worker's memory beyond what it says itself: what users are about to take, and what it turned out not to have.
struct MemoryClaims: Sendable {
    /// A device that had less than it said.
    private struct Doubt: Sendable {
        /// What it said when it had no room.
        var said: Int
        /// What it is believed to have had.
        var believed: Int
    }

    private var reserved: [Membership.User: [Int: Int]] = [:]
    private var doubts: [Int: Doubt] = [:]

    mutating func reserve(_ bytes: [Int: Int], for user: Membership.User) {
        reserved[user] = bytes.isEmpty ? nil : bytes
    }

    var reservedByteCount: Int { reserved.values.reduce(0) { $0 + $1.values.reduce(0, +) } }

    mutating func forget(_ user: Membership.User) { reserved[user] = nil }

    /// The device had no room for `needed` bytes while it said that `said` were free.
    mutating func doubt(_ device: Int, needed: Int, said: Int) {
        // Each time less, so that trying ends: with a part that fits, or with none.
        let before = doubts[device].map { $0.believed } ?? .max
        doubts[device] = Doubt(said: said, believed: min(before, needed) / 4 * 3)
    }

    /// Bytes that a user may count on where the device says that `said` are free.
    func available(of said: Int, device: Int, for user: Membership.User) -> Int {
        var free = said
        // More than it said then may be true again.
        if let doubt = doubts[device], said <= doubt.said + doubt.said / 8 { free = min(free, doubt.believed) }
        let others = reserved.reduce(0) { sum, claim in claim.key == user ? sum : sum + (claim.value[device] ?? 0) }
        return max(0, free - others)
    }
}
