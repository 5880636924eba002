package import Foundation

/// The keys under which the nodes of a network find each other in a table that is open to all: they say nothing of the token, and change
/// with time, so that who sees one cannot follow the network.
///
/// Time is cut into slots. Clocks differ, and what was put under a key stays there for half an hour, so that around the end of a slot
/// two keys are in use.
package struct RendezvousKeys: Sendable {
    private let keys: NetworkKeys
    private let interval: Int

    /// Seconds around the end of a slot in which the next one counts too, or the last one still does.
    package static let leeway = 600
    /// Bytes of a key.
    package static let keyByteCount = 20
    /// A slot that is shorter would be all leeway.
    package static let shortestInterval = 3600

    /// - Parameter interval: seconds of a slot, as the token has it.
    package init(_ keys: NetworkKeys, interval: Int) {
        self.keys = keys
        self.interval = max(RendezvousKeys.shortestInterval, interval)
    }

    /// The keys under which a node is to be found now, the slot's own first.
    package func announced(at now: Date) -> [[UInt8]] {
        let (slot, age) = place(now)
        return [key(slot)] + (interval - age <= RendezvousKeys.leeway ? [key(slot + 1)] : [])
    }

    /// The keys under which others may be now, the slot's own first.
    package func sought(at now: Date) -> [[UInt8]] {
        let (slot, age) = place(now)
        var slots = [slot]
        if age < RendezvousKeys.leeway { slots.append(slot - 1) }
        if interval - age <= RendezvousKeys.leeway { slots.append(slot + 1) }
        return slots.map(key)
    }

    private func place(_ now: Date) -> (slot: Int, age: Int) {
        let seconds = Int(max(0, min(now.timeIntervalSince1970, 1e12)))
        return (seconds / interval, seconds % interval)
    }

    private func key(_ slot: Int) -> [UInt8] { keys.secret(for: .rendezvous, number: slot, byteCount: RendezvousKeys.keyByteCount) }
}
