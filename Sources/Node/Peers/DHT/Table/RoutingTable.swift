/// The nodes that a node knows, more of those that are near to it than of those that are far: of each distance, told by the bits that
/// numbers have in common with its own, up to eight that are there (BEP 5, "Routing Table").
///
/// Only who has answered gets in. Who has been there for long stays: another takes the place of one that answers no more.
package struct RoutingTable: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    package struct Entry: Hashable, Sendable {
        package var contact: TableMessage.Contact
        /// When it last answered, or asked something.
        package var seen: Time
        /// Questions in a row that it has not answered.
        package var failures = 0
        /// When it is asked whether it is there, if it has been silent.
        package var asked: Time?
    }

    private struct Bucket: Sendable {
        var entries: [Entry] = []
        /// Those that answered too, when all places were taken; the newest last.
        var waiting: [Entry] = []
        var changed: Time = .zero
    }

    package let own: NodeNumber
    private var buckets: [Bucket]
    /// Entries and those that wait, by their addresses.
    private var numbers: [NodeAddress: NodeNumber] = [:]
    /// Of each neighbourhood of addresses, how many.
    private var neighbourhoods: [[UInt8]: Int] = [:]
    private let sharesNeighbourhoods: Bool

    /// Places for each distance.
    package static let size = 8
    /// A node that was silent for so long is asked whether it is there.
    package static let freshness = Duration.seconds(15 * 60)
    /// Questions in a row without an answer after which it makes room.
    package static let failureLimit = 2
    /// Entries of one neighbourhood of addresses: nobody is to surround a node with few addresses.
    package static let neighbourLimit = 4

    /// - Parameters:
    ///   - own: this node's number.
    ///   - sharesNeighbourhoods: whether any number of nodes may have addresses near to each other, as in a network of somebody's own.
    package init(own: NodeNumber, sharesNeighbourhoods: Bool = false) {
        self.own = own
        self.sharesNeighbourhoods = sharesNeighbourhoods
        buckets = Array(repeating: Bucket(), count: 8 * NodeNumber.byteCount)
    }

    package var count: Int { buckets.reduce(0) { $0 + $1.entries.count } }

    /// Nodes that are known to be there.
    package func goodCount(at now: Time) -> Int {
        buckets.reduce(0) { sum, bucket in
            sum + bucket.entries.count { $0.failures == 0 && now - $0.seen < RoutingTable.freshness }
        }
    }

    package var entries: [Entry] { buckets.flatMap(\.entries) }

    private func place(of number: NodeNumber) -> Int { min(buckets.count - 1, own.commonBits(with: number)) }

    package func contains(_ contact: TableMessage.Contact) -> Bool { numbers[contact.address] == contact.number }

    /// Whether somebody with this number would find a place, or could have that of one that is doubtful.
    package func hasRoom(for contact: TableMessage.Contact, at now: Time) -> Bool {
        guard contact.number != own, numbers[contact.address] == nil, isBearable(contact.address) else { return false }
        let bucket = buckets[place(of: contact.number)]
        return bucket.entries.count < RoutingTable.size
            || bucket.entries.contains { $0.failures > 0 || now - $0.seen >= RoutingTable.freshness }
    }

    private func isBearable(_ address: NodeAddress) -> Bool {
        sharesNeighbourhoods || address.isLocal || neighbourhoods[address.neighbourhood, default: 0] < RoutingTable.neighbourLimit
    }

    // MARK: What happens

    /// A node has answered.
    package mutating func answered(_ contact: TableMessage.Contact, at now: Time) {
        guard contact.number != own, contact.number.isRight(for: contact.address), contact.address.isUsable else { return }
        if let known = numbers[contact.address], known != contact.number {
            // Another program is there now.
            remove(known, contact.address)
        }
        let place = place(of: contact.number)
        if let index = buckets[place].entries.firstIndex(where: { $0.contact.number == contact.number }) {
            let entry = buckets[place].entries[index]
            if entry.contact.address == contact.address {
                buckets[place].entries[index].seen = now
                buckets[place].entries[index].failures = 0
                buckets[place].entries[index].asked = nil
            } else if entry.failures >= RoutingTable.failureLimit {
                // It has moved; while it answers from where it was, nobody takes its number.
                remove(entry.contact.number, entry.contact.address)
                answered(contact, at: now)
            }
            return
        }
        guard numbers[contact.address] == nil, isBearable(contact.address) else { return }
        let entry = Entry(contact: contact, seen: now)
        if buckets[place].entries.count < RoutingTable.size {
            buckets[place].entries.append(entry)
        } else if let index = buckets[place].entries.firstIndex(where: { $0.failures >= RoutingTable.failureLimit }) {
            forget(buckets[place].entries[index].contact.address)
            buckets[place].entries[index] = entry
        } else {
            buckets[place].waiting.append(entry)
            if buckets[place].waiting.count > RoutingTable.size { forget(buckets[place].waiting.removeFirst().contact.address) }
        }
        buckets[place].changed = now
        numbers[contact.address] = contact.number
        neighbourhoods[contact.address.neighbourhood, default: 0] += 1
    }

    /// A node that has answered before has asked something.
    package mutating func asks(_ contact: TableMessage.Contact, at now: Time) {
        guard contains(contact) else { return }
        let place = place(of: contact.number)
        guard let index = buckets[place].entries.firstIndex(where: { $0.contact == contact }) else { return }
        buckets[place].entries[index].seen = now
    }

    /// A node has not answered a question.
    package mutating func failed(_ address: NodeAddress, at now: Time) {
        guard let number = numbers[address] else { return }
        let place = place(of: number)
        guard let index = buckets[place].entries.firstIndex(where: { $0.contact.address == address }) else { return }
        buckets[place].entries[index].failures += 1
        buckets[place].entries[index].asked = nil
        guard buckets[place].entries[index].failures >= RoutingTable.failureLimit, let next = buckets[place].waiting.popLast() else {
            return
        }
        forget(address)
        buckets[place].entries[index] = next
        buckets[place].changed = now
    }

    private mutating func remove(_ number: NodeNumber, _ address: NodeAddress) {
        let place = place(of: number)
        buckets[place].entries.removeAll { $0.contact.address == address }
        buckets[place].waiting.removeAll { $0.contact.address == address }
        forget(address)
    }

    private mutating func forget(_ address: NodeAddress) {
        guard numbers.removeValue(forKey: address) != nil else { return }
        let left = neighbourhoods[address.neighbourhood, default: 1] - 1
        neighbourhoods[address.neighbourhood] = left > 0 ? left : nil
    }

    // MARK: What is known

    /// The nodes nearest to a number, the nearest first; those that do not answer are left out. Takes time in proportion to the table.
    package func nearest(to target: NodeNumber, _ count: Int = RoutingTable.size) -> [TableMessage.Contact] {
        let known = buckets.flatMap { $0.entries.lazy.filter { $0.failures < RoutingTable.failureLimit }.map(\.contact) }
        return Array(known.sorted { target.distance(to: $0.number) < target.distance(to: $1.number) }.prefix(count))
    }

    // MARK: Upkeep

    /// Of those that were silent for long the ones to be asked whether they are there, at most so many; they count as asked from now on.
    package mutating func doubtful(atMost count: Int, at now: Time) -> [TableMessage.Contact] {
        var found: [TableMessage.Contact] = []
        for place in buckets.indices {
            for index in buckets[place].entries.indices where found.count < count {
                let entry = buckets[place].entries[index]
                let rest: Duration = entry.failures > 0 ? .seconds(30) : RoutingTable.freshness
                guard entry.asked == nil, now - entry.seen >= rest, entry.failures < 2 * RoutingTable.failureLimit else { continue }
                buckets[place].entries[index].asked = now
                found.append(entry.contact)
            }
        }
        return found
    }

    /// A number in the part of the table that has not changed for longest, if that is long; looking for it brings nodes of that distance.
    package mutating func stale(at now: Time, _ random: inout some RandomNumberGenerator) -> NodeNumber? {
        // Beyond the deepest part that has anybody there is nobody to be found.
        let deepest = buckets.lastIndex { !$0.entries.isEmpty } ?? 0
        let candidates = buckets.indices.prefix(deepest + 2).filter { now - buckets[$0].changed >= RoutingTable.freshness }
        guard let place = candidates.min(by: { buckets[$0].changed < buckets[$1].changed }) else { return nil }
        buckets[place].changed = now
        return own.neighbour(commonBits: place, &random)
    }
}
