/// A search for the nodes nearest to a number: those nearest of whom it has heard are asked, several at a time, and tell of nearer ones,
/// until the nearest of all have answered. A value: questions and answers go through whoever holds it.
struct Lookup: Sendable {
    /// Since some moment in the past.
    typealias Time = Duration

    private enum State: Hashable, Sendable {
        case new
        case asked
        /// Asked for longer than an answer usually takes: another is asked beside it.
        case late
        case answered
        case failed
    }

    private struct Candidate: Sendable {
        let address: NodeAddress
        /// Nil for one of which no more than the address is known, which is asked first.
        var number: NodeNumber?
        var state = State.new
        var token: [UInt8]?
    }

    let target: NodeNumber
    /// The nearest first.
    private var candidates: [Candidate] = []
    private var known: Set<NodeAddress> = []
    private var neighbourhoods: [[UInt8]: Int] = [:]
    private var askedCount = 0
    /// What was found under the key.
    private(set) var peers: Set<NodeAddress> = []

    /// Questions at a time.
    static let width = 4
    /// Of the nearest, how many have to have answered; and where none of them knew of a peer, but some may: those that did may be behind
    /// others by now that have come since.
    static let goal = RoutingTable.size
    static let farGoal = 2 * goal
    static let candidateLimit = 200
    static let questionLimit = 120
    /// Of one answer, and of one neighbourhood of addresses.
    static let contactsPerAnswer = 8
    static let candidatesPerNeighbourhood = 4
    static let peerLimit = 500

    /// Whether peers are looked for, and not only nodes.
    private let wantsPeers: Bool

    /// The number of the node that searches: others tell it of itself.
    private let own: NodeNumber

    init(_ target: NodeNumber, own: NodeNumber, wantsPeers: Bool) {
        self.target = target
        self.own = own
        self.wantsPeers = wantsPeers
    }

    private var currentGoal: Int { wantsPeers && peers.isEmpty ? Lookup.farGoal : Lookup.goal }

    /// Has heard of nodes.
    mutating func add(_ contacts: [TableMessage.Contact], atMost limit: Int = Lookup.contactsPerAnswer) {
        for contact in contacts.sorted(by: { target.distance(to: $0.number) < target.distance(to: $1.number) }).prefix(limit) {
            guard contact.number != own, contact.address.isUsable, contact.number.isRight(for: contact.address) else { continue }
            insert(Candidate(address: contact.address, number: contact.number))
        }
    }

    /// Places where a node may be, of which nothing else is known.
    mutating func add(places: [NodeAddress]) {
        for address in places where address.isUsable { insert(Candidate(address: address)) }
    }

    private mutating func insert(_ candidate: Candidate) {
        guard !known.contains(candidate.address) else { return }
        let neighbourhood = candidate.address.neighbourhood
        if !candidate.address.isLocal {
            guard neighbourhoods[neighbourhood, default: 0] < Lookup.candidatesPerNeighbourhood else { return }
            neighbourhoods[neighbourhood, default: 0] += 1
        }
        known.insert(candidate.address)
        let index = candidates.firstIndex { isNearer(candidate, than: $0) } ?? candidates.count
        candidates.insert(candidate, at: index)
        // The farthest that was not asked makes room.
        if candidates.count > Lookup.candidateLimit, let last = candidates.lastIndex(where: { $0.state == .new }) {
            candidates.remove(at: last)
        }
    }

    private func isNearer(_ one: Candidate, than other: Candidate) -> Bool {
        guard let number = one.number else { return other.number != nil }
        guard let otherNumber = other.number else { return false }
        return target.distance(to: number) < target.distance(to: otherNumber)
    }

    /// Whom to ask now; they count as asked.
    mutating func next() -> [NodeAddress] {
        var free = Lookup.width - candidates.count { $0.state == .asked }
        var found: [NodeAddress] = []
        var leading = 0
        for index in candidates.indices where free > 0 && askedCount < Lookup.questionLimit {
            switch candidates[index].state {
            case .new:
                candidates[index].state = .asked
                found.append(candidates[index].address)
                askedCount += 1
                free -= 1
            case .answered:
                // What is behind the nearest that have answered is of no interest.
                if candidates[index].number != nil { leading += 1 }
            case .asked, .late, .failed: break
            }
            if leading >= currentGoal { break }
        }
        return found
    }

    private func index(of address: NodeAddress) -> Int? { candidates.firstIndex { $0.address == address } }

    /// One has answered.
    mutating func answered(_ address: NodeAddress, _ reply: TableMessage.Reply, isIPv6: Bool) {
        guard let index = index(of: address), candidates[index].state == .asked || candidates[index].state == .late else { return }
        var candidate = candidates.remove(at: index)
        // Also where it is not who it was said to be: what it says is as good as what anybody says.
        candidate.number = reply.number
        // With a number that its address cannot have (BEP 42), it is none of the nearest.
        candidate.state = reply.number.isRight(for: address) ? .answered : .failed
        candidate.token = reply.token
        candidates.insert(candidate, at: candidates.firstIndex { isNearer(candidate, than: $0) } ?? candidates.count)
        add(reply.contacts.filter { $0.address.isIPv6 == isIPv6 })
    }

    /// - Returns: those of the peers that an answer tells of that are new.
    mutating func take(_ found: [NodeAddress]) -> [NodeAddress] {
        let new = found.filter { $0.isUsable && !peers.contains($0) }.prefix(max(0, Lookup.peerLimit - peers.count))
        peers.formUnion(new)
        return Array(new)
    }

    /// One takes long.
    mutating func isLate(_ address: NodeAddress) {
        if let index = index(of: address), candidates[index].state == .asked { candidates[index].state = .late }
    }

    /// One does not answer.
    mutating func failed(_ address: NodeAddress) {
        if let index = index(of: address), candidates[index].state != .answered { candidates[index].state = .failed }
    }

    /// Whether nothing more is to be expected.
    var isOver: Bool {
        var leading = 0
        var isWaiting = false
        for candidate in candidates {
            switch candidate.state {
            case .answered: leading += 1
            case .failed: break
            case .asked, .late: isWaiting = true
            case .new: if askedCount < Lookup.questionLimit { return false }
            }
            // Nearer ones that were asked may still tell of others, and are waited for.
            if leading >= currentGoal { return !isWaiting }
        }
        return !isWaiting
    }

    /// The nearest that have answered, with the tokens that they gave.
    var nearest: [(address: NodeAddress, token: [UInt8]?)] {
        candidates.filter { $0.state == .answered }.prefix(Lookup.goal).map { ($0.address, $0.token) }
    }

    var answeredCount: Int { candidates.count { $0.state == .answered } }
}
