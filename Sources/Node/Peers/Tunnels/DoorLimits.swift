package import RPCProto

/// How many strangers a door talks to at a time, and how often it lets one address try: decided here, so that somebody who knocks a
/// thousand times a second costs next to nothing. A value: what happens goes in, with its time; nothing here waits.
package struct DoorLimits: Sendable {
    /// Nanoseconds of the monotonic clock.
    package typealias Time = UInt64

    /// Talks at a time, with all, and with one address.
    package static let talks = 128
    package static let talksPerAddress = 16
    /// Talks that came to nothing, of one address: so many at once, and one more each so many nanoseconds.
    package static let failures = 32.0
    package static let failureTime: Time = 100_000_000
    /// Addresses that are remembered.
    package static let addresses = 1024

    private struct Guest {
        var talks = 0
        /// How many failures it has left, at the time of the last.
        var allowance = DoorLimits.failures
        var time: Time
    }

    private var guests: [NetworkAddress?: Guest] = [:]
    package private(set) var talkCount = 0

    package init() {}

    /// Somebody has connected.
    ///
    /// - Returns: why it is not talked to; nil if it is, until ``ended(_:isWelcome:at:)``.
    package mutating func begin(_ address: NetworkAddress?, at now: Time) -> String? {
        if talkCount >= DoorLimits.talks { return "\(talkCount) others are being asked who they are" }
        var guest = guests[address] ?? Guest(time: now)
        if guest.talks >= DoorLimits.talksPerAddress { return "\(guest.talks) others from there are being asked who they are" }
        if allowance(of: guest, at: now) < 1 { return "too many from there came to nothing lately" }
        guest.talks += 1
        talkCount += 1
        guests[address] = guest
        return nil
    }

    /// A talk is over.
    package mutating func ended(_ address: NetworkAddress?, isWelcome: Bool, at now: Time) {
        guard var guest = guests[address], guest.talks > 0 else { return }
        guest.talks -= 1
        talkCount -= 1
        if !isWelcome {
            guest.allowance = max(0, allowance(of: guest, at: now) - 1)
            guest.time = now
        }
        guests[address] = guest
        if guests.count > DoorLimits.addresses { forget(at: now) }
    }

    private func allowance(of guest: Guest, at now: Time) -> Double {
        min(DoorLimits.failures, guest.allowance + Double(now &- min(now, guest.time)) / Double(DoorLimits.failureTime))
    }

    /// Those who did nothing lately, and if that does not do, some.
    private mutating func forget(at now: Time) {
        guests = guests.filter { $0.value.talks > 0 || allowance(of: $0.value, at: now) < DoorLimits.failures }
        while guests.count > DoorLimits.addresses, let address = guests.first(where: { $0.value.talks == 0 })?.key {
            guests[address] = nil
        }
    }
}
