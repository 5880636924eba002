/// The ports by which programs that know nothing of the network reach its nodes: which node has which, for as long as the program runs,
/// and when a list of them is worth telling. A value without sockets or clocks.
package struct PortList: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    /// For so long nothing has changed before a list counts.
    package static let quiet = Duration.seconds(1)

    /// In the order in which nodes were first there, so that a list is as before when one comes back.
    private var known: [(id: String, port: Int)] = []
    private var present: Set<String> = []
    private var changed: Time?
    /// What was told last; nil before anything was.
    private var told: [Int]?

    package init() {}

    /// The nodes that are there now.
    ///
    /// - Returns: those that have no port yet: ``give(_:to:)`` gives them one.
    package mutating func show(_ ids: [String], at now: Time) -> [String] {
        let before = ports
        present = Set(ids)
        if ports != before { changed = now }
        return ids.filter { id in !known.contains { $0.id == id } }
    }

    package mutating func give(_ port: Int, to id: String, at now: Time) {
        guard !known.contains(where: { $0.id == id }) else { return }
        known.append((id, port))
        if present.contains(id) { changed = now }
    }

    /// Of those that are there.
    package var ports: [Int] { known.filter { present.contains($0.id) }.map(\.port) }

    package func isPresent(_ id: String) -> Bool { present.contains(id) }

    /// The list, if it has settled and is not the one that was told last, or none was and there is something to tell.
    package mutating func news(at now: Time) -> [Int]? {
        guard let changed, now - changed >= PortList.quiet else { return nil }
        self.changed = nil
        let list = ports
        if list == told ?? [] { return nil }
        told = list
        return list
    }

    /// When ``news(at:)`` may have some.
    package var nextTime: Time? { changed.map { $0 + PortList.quiet } }
}
