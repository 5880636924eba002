/// What others say this node's own address is. The first one is believed, for want of better: a lie costs no more than that this node is in
/// nobody's table until it is corrected. After that an address is believed when several say the same that have little to do with each other
/// (BEP 42).
package struct AddressVotes: Sendable {
    private var believed: [UInt8]?
    private var votes: [(voter: [UInt8], host: [UInt8])] = []

    /// The latest that are kept, and how many must agree.
    package static let memory = 24
    package static let majority = 3

    package init() {}

    /// - Returns: the address, if it is believed now.
    package mutating func add(_ host: [UInt8], by voter: NodeAddress) -> [UInt8]? {
        let voter = voter.isLocal ? voter.compact : voter.neighbourhood
        votes.removeAll { $0.voter == voter }
        votes.append((voter, host))
        if votes.count > AddressVotes.memory { votes.removeFirst() }
        if believed != nil {
            let count = votes.count { $0.host == host }
            guard count >= AddressVotes.majority, 2 * count > votes.count else { return nil }
        }
        believed = host
        return host
    }
}
