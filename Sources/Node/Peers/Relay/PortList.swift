/// The ports by which programs that know nothing of the network reach its nodes: which node has which, for as long as the program runs,
/// and when a list of them is worth telling. A value without sockets or clocks.
package struct PortList: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    /// For so long nothing has changed before a list counts.
    package static let quiet = Duration.seconds(1)

    /// So long one to whom no tunnel could be made does not count, whatever the network says, and twice as long each time that follows.
    package static let rest = Duration.seconds(15)
    package static let longestRest = Duration.seconds(600)

    /// In the order in which nodes were first there, so that a list is as before when one comes back.
    private var known: [(id: String, port: Int)] = []
    private var present: Set<String> = []
    /// Those that the network says are there.
    private var said: Set<String> = []
    /// Those to whom no tunnel could be made: until when they do not count, and how long that is.
    private var missed: [String: (until: Time, rest: Duration)] = [:]
    private var changed: Time?
    /// What was told last; nil before anything was.
    private var told: [Int]?

    package init() {}

    /// The nodes that are there now.
    ///
    /// - Returns: those that have no port yet: ``give(_:to:)`` gives them one.
    package mutating func show(_ ids: [String], at now: Time) -> [String] {
        said = Set(ids)
        update(at: now)
        return ids.filter { id in !known.contains { $0.id == id } }
    }

    /// No tunnel could be made to a node: a head that is told of it could not begin.
    package mutating func miss(_ id: String, at now: Time) {
        if let last = missed[id], now < last.until { return }
        let rest = missed[id].map { min(PortList.longestRest, $0.rest * 2) } ?? PortList.rest
        missed[id] = (now + rest, rest)
        update(at: now)
    }

    /// A tunnel to it was made.
    package mutating func reach(_ id: String, at now: Time) {
        if missed.removeValue(forKey: id) != nil { update(at: now) }
    }

    private mutating func update(at now: Time) {
        let before = ports
        present = said.filter { id in missed[id].map { now >= $0.until } ?? true }
        if ports != before { changed = now }
    }

    package mutating func give(_ port: Int, to id: String, at now: Time) {
        guard !known.contains(where: { $0.id == id }) else { return }
        known.append((id, port))
        if present.contains(id) { changed = now }
    }

    /// Of those that are there.
    package var ports: [Int] { known.filter { present.contains($0.id) }.map(\.port) }

    /// Whether the network says that it is there, and so a tunnel is worth trying.
    package func isSaid(_ id: String) -> Bool { said.contains(id) }

    /// The list, if it has settled and is not the one that was told last, or none was and there is something to tell.
    package mutating func news(at now: Time) -> [Int]? {
        update(at: now)
        guard let changed, now - changed >= PortList.quiet else { return nil }
        self.changed = nil
        let list = ports
        if list == told ?? [] { return nil }
        told = list
        return list
    }

    /// When a change that was noticed will have settled.
    package var nextTime: Time? { changed.map { $0 + PortList.quiet } }
}
