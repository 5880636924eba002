internal import Tensor

/// What one user may count on of a device that had less than it said: all that the user has there counts as free in this, before and
/// after, so that comparing with what one has and finding places without it come to the same.
package struct MemoryDoubt: Hashable, Sendable {
    /// What it said when it had no room.
    fileprivate var said: Int
    /// What it is believed to have had.
    fileprivate var believed: Int
    /// When that was.
    let since: Membership.Time

    /// Of so many free bytes. More than it said then may be true again.
    package func limited(_ free: Int) -> Int { free <= said + said / 8 ? min(free, believed) : free }
}

/// What is known of one worker's memory beyond what it says itself: what users are about to take, and what it turned out not to have.
struct MemoryClaims: Sendable {
    private var reserved: [Membership.User: [Int: Int]] = [:]
    /// By device.
    private(set) var doubts: [Int: MemoryDoubt] = [:]

    mutating func reserve(_ bytes: [Int: Int], for user: Membership.User) {
        reserved[user] = bytes.isEmpty ? nil : bytes
    }

    mutating func take(_ bytes: Int, device: Int, for user: Membership.User) {
        guard let own = reserved[user]?[device] else { return }
        reserved[user]?[device] = max(0, own - bytes)
    }

    /// Believes devices again that had less than they said before a moment; returns whether there were such.
    mutating func forgetDoubts(before moment: Membership.Time) -> Bool {
        let count = doubts.count
        doubts = doubts.filter { $0.value.since > moment }
        return doubts.count < count
    }

    var reservedByteCount: Int { reserved.values.reduce(0) { $0 + $1.values.reduce(0, +) } }

    mutating func forget(_ user: Membership.User) { reserved[user] = nil }

    /// The device had no room for `needed` bytes more, beside `own` that the user has there, while it said that `said` were free.
    mutating func doubt(_ device: Int, needed: Int, own: Int, said: Int, at now: Membership.Time) {
        // Each time less, so that trying ends: with a part that fits, or with none.
        let before = doubts[device].map { max(0, $0.believed - own) } ?? .max
        doubts[device] = MemoryDoubt(said: said + own, believed: own + min(before, needed) / 4 * 3, since: now)
    }

    /// What a user may count on, of what the devices say.
    func available(of said: [DeviceMemory], for user: Membership.User) -> [DeviceMemory] {
        said.enumerated().map { device, memory in
            let others = reserved.reduce(0) { sum, claim in claim.key == user ? sum : sum + (claim.value[device] ?? 0) }
            var memory = memory
            memory.free = max(0, memory.free - others)
            return memory
        }
    }
}
