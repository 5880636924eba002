/// What others have put here under keys: where programs are that have a key in common. Bounded whatever comes, and shared out fairly: one
/// that puts much under a key takes its own places, not those of others.
package struct PeerStore: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    private struct Peer: Sendable {
        var address: NodeAddress
        var time: Time
    }

    private var keys: [NodeNumber: [Peer]] = [:]
    private var count = 0
    /// Places in all, by the neighbourhood of their addresses; of local ones by the address.
    private var shares: [[UInt8]: Int] = [:]

    /// For so long something stays that is not put here again.
    package static let memory = Duration.seconds(30 * 60)
    package static let keyLimit = 2000
    package static let peersPerKey = 200
    /// Of one address, and of one neighbourhood of addresses, under one key.
    package static let portsPerHost = 4
    package static let peersPerNeighbourhood = 16
    /// Of one neighbourhood of addresses, under all keys.
    package static let share = 128
    /// In all: about a hundred bytes each.
    package static let peerLimit = 20_000

    package init() {}

    package var peerCount: Int { count }
    package var keyCount: Int { keys.count }

    /// Puts a program under a key, or keeps it there.
    ///
    /// - Returns: false if there is no room for it.
    @discardableResult
    package mutating func put(_ address: NodeAddress, under key: NodeNumber, own: NodeNumber, at now: Time) -> Bool {
        if let index = keys[key]?.firstIndex(where: { $0.address == address }) {
            keys[key]?[index].time = now
            return true
        }
        let owner = PeerStore.owner(address)
        // What is old goes every second (``expire(at:)``): looking for it here would make floods dear.
        if count >= PeerStore.peerLimit || shares[owner, default: 0] >= PeerStore.share { return false }
        if keys[key] == nil, keys.count >= PeerStore.keyLimit, !makeRoom(for: key, own: own, at: now) { return false }
        if let peers = keys[key], let surplus = surplus(of: peers, for: address), let gone = keys[key]?.remove(at: surplus) {
            release(gone)
        }
        keys[key, default: []].append(Peer(address: address, time: now))
        count += 1
        shares[owner, default: 0] += 1
        return true
    }

    /// Who counts as one holder of addresses.
    private static func owner(_ address: NodeAddress) -> [UInt8] { address.isLocal ? address.host : address.neighbourhood }

    private mutating func release(_ peer: Peer) {
        count -= 1
        let owner = PeerStore.owner(peer.address)
        let left = shares[owner, default: 1] - 1
        shares[owner] = left > 0 ? left : nil
    }

    /// Whose place a newcomer under a key takes, if it is to take one: the oldest of its own host, else of its own neighbourhood, else of
    /// the neighbourhood that has the most.
    private func surplus(of peers: [Peer], for address: NodeAddress) -> Int? {
        func oldest(_ isMeant: (Peer) -> Bool) -> Int? {
            peers.indices.filter { isMeant(peers[$0]) }.min { peers[$0].time < peers[$1].time }
        }
        if peers.count(where: { $0.address.host == address.host }) >= PeerStore.portsPerHost {
            return oldest { $0.address.host == address.host }
        }
        let neighbourhood = address.neighbourhood
        if !address.isLocal, peers.count(where: { $0.address.neighbourhood == neighbourhood }) >= PeerStore.peersPerNeighbourhood {
            return oldest { $0.address.neighbourhood == neighbourhood }
        }
        guard peers.count >= PeerStore.peersPerKey else { return nil }
        let sizes = Dictionary(grouping: peers, by: \.address.neighbourhood).mapValues(\.count)
        let largest = sizes.values.max() ?? 0
        return oldest { sizes[$0.address.neighbourhood] == largest }
    }

    /// One key makes room for another: the one farthest from this node, if the new one is nearer.
    private mutating func makeRoom(for key: NodeNumber, own: NodeNumber, at now: Time) -> Bool {
        expire(at: now)
        if keys.count < PeerStore.keyLimit { return true }
        guard let farthest = keys.keys.max(by: { own.distance(to: $0) < own.distance(to: $1) }),
            own.distance(to: key) < own.distance(to: farthest)
        else { return false }
        for peer in keys.removeValue(forKey: farthest) ?? [] { release(peer) }
        return true
    }

    /// Some of those under a key, drawn by lot.
    package func peers(under key: NodeNumber, atMost limit: Int, at now: Time, _ random: inout some RandomNumberGenerator) -> [NodeAddress]
    {
        let fresh = (keys[key] ?? []).filter { now - $0.time < PeerStore.memory }.map(\.address)
        return fresh.count <= limit ? fresh : Array(fresh.shuffled(using: &random).prefix(limit))
    }

    /// Forgets what is old.
    package mutating func expire(at now: Time) {
        for (key, peers) in keys where peers.contains(where: { now - $0.time >= PeerStore.memory }) {
            let fresh = peers.filter { now - $0.time < PeerStore.memory }
            for peer in peers where now - peer.time >= PeerStore.memory { release(peer) }
            keys[key] = fresh.isEmpty ? nil : fresh
        }
    }
}
