package import RPCProto

/// How many strangers a door talks to at a time, and how often it lets one address try: decided here, so that somebody who knocks a
/// thousand times a second costs next to nothing. A value: what happens goes in, with its time; nothing here waits.
///
/// Room is shared out fairly. Addresses from which nodes came have some of their own. Of what is for all, a newcomer takes the place of
/// the oldest talk of the address that has the most of them: many addresses that say nothing keep nobody out who does speak.
package struct DoorLimits: Sendable {
    /// Nanoseconds of the monotonic clock.
    package typealias Time = UInt64
    /// Names a talk; no two have the same.
    package typealias Talk = UInt64

    /// Talks at a time: with all, with addresses from which no node ever came, and with one address.
    package static let talks = 128
    package static let talksWithUnknown = 96
    package static let talksPerAddress = 16
    /// Talks that came to nothing, of one address: so many at once, and one more each so many nanoseconds.
    package static let failures = 32.0
    package static let failureTime: Time = 100_000_000
    /// Addresses that are remembered.
    package static let addresses = 1024

    package enum Answer: Hashable, Sendable {
        /// It is talked to, until ``end(_:isWelcome:at:)``; another talk, if there is one, is to be broken off for it, and is over already
        /// as far as this is concerned.
        case talk(Talk, instead: Talk?)
        /// It is not, and why.
        case refuse(String)
    }

    private struct Guest {
        /// The oldest first.
        var talks: [Talk] = []
        /// Whether a node came from there.
        var isKnown = false
        /// How many failures it has left, at the time of the last.
        var allowance = DoorLimits.failures
        var time: Time
    }

    private var guests: [NetworkAddress?: Guest] = [:]
    /// Where each talk's other end is.
    private var open: [Talk: NetworkAddress?] = [:]
    private var last: Talk = 0
    /// Of the open ones, those with addresses that are known.
    private var knownTalks = 0

    package var talkCount: Int { open.count }
    package var addressCount: Int { guests.count }

    package init() {}

    /// Somebody has connected.
    package mutating func begin(_ address: NetworkAddress?, at now: Time) -> Answer {
        let guest = guests[address] ?? Guest(time: now)
        if guest.talks.count >= DoorLimits.talksPerAddress {
            return .refuse("\(guest.talks.count) others from there are being asked who they are")
        }
        if allowance(of: guest, at: now) < 1 { return .refuse("too many from there came to nothing lately") }
        var displaced: Talk?
        if open.count >= DoorLimits.talks || (!guest.isKnown && open.count - knownTalks >= DoorLimits.talksWithUnknown) {
            guard let talk = mostDispensable(amongKnown: guest.isKnown) else {
                return .refuse("\(open.count) others are being asked who they are")
            }
            end(talk, isWelcome: false, at: now)
            displaced = talk
        }
        last += 1
        // Anew: the one that made room may have been of this address.
        guests[address, default: guest].talks.append(last)
        open[last] = address
        if guest.isKnown { knownTalks += 1 }
        if guests.count > DoorLimits.addresses { forget(at: now) }
        return .talk(last, instead: displaced)
    }

    /// A talk is over.
    ///
    /// - Returns: false if it was before, as it had to make room.
    @discardableResult
    package mutating func end(_ talk: Talk, isWelcome: Bool, at now: Time) -> Bool {
        guard let address = open.removeValue(forKey: talk), var guest = guests[address] else { return false }
        guest.talks.removeAll { $0 == talk }
        if guest.isKnown { knownTalks -= 1 }
        if isWelcome {
            if !guest.isKnown { knownTalks += guest.talks.count }
            guest.isKnown = true
        } else {
            guest.allowance = max(0, allowance(of: guest, at: now) - 1)
            guest.time = now
        }
        guests[address] = guest
        return true
    }

    /// Of the addresses with the most talks the oldest talk.
    private func mostDispensable(amongKnown: Bool) -> Talk? {
        var found: (count: Int, talk: Talk)?
        for guest in guests.values where amongKnown || !guest.isKnown {
            guard let oldest = guest.talks.first else { continue }
            let count = guest.talks.count
            if let found, found.count > count || (found.count == count && found.talk < oldest) { continue }
            found = (count, oldest)
        }
        return found?.talk
    }

    private func allowance(of guest: Guest, at now: Time) -> Double {
        min(DoorLimits.failures, guest.allowance + Double(now &- min(now, guest.time)) / Double(DoorLimits.failureTime))
    }

    /// Those who did nothing lately, and if that does not do, some; from where a node came is remembered longest.
    private mutating func forget(at now: Time) {
        guests = guests.filter { !$0.value.talks.isEmpty || $0.value.isKnown || allowance(of: $0.value, at: now) < DoorLimits.failures }
        for isKnown in [false, true] {
            let idle = guests.filter { $0.value.talks.isEmpty && $0.value.isKnown == isKnown }.keys
            for address in idle.prefix(max(0, guests.count - DoorLimits.addresses)) { guests[address] = nil }
        }
    }
}
