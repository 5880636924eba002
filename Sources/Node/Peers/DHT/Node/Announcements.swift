/// When this node puts itself under its keys again: as often as those go at whom it did.
struct Announcements: Sendable {
    /// Since some moment in the past.
    typealias Time = Duration

    private struct Announcement: Sendable {
        var port: Int
        var next: Time
        var isUnderWay = false
        var pause = Announcements.shortest
        var holders: Set<NodeAddress> = []
    }

    private var announcements: [NodeNumber: Announcement] = [:]

    /// Between two times; what is put somewhere stays there for half an hour.
    static let shortest = Duration.seconds(30)
    static let longest = Duration.seconds(12 * 60)
    /// Where nobody could be reached.
    static let retry = Duration.seconds(5)

    var keys: [NodeNumber] { Array(announcements.keys) }

    func port(of key: NodeNumber) -> Int? { announcements[key]?.port }

    mutating func set(_ key: NodeNumber, port: Int, at now: Time) {
        if announcements[key]?.port == port { return }
        announcements[key] = Announcement(port: port, next: now)
    }

    mutating func remove(_ key: NodeNumber) { announcements[key] = nil }

    /// All are due at once, as when this node has another address.
    mutating func hurry(at now: Time) {
        for key in announcements.keys { announcements[key]?.next = now }
    }

    /// The keys that are due; they are under way until ``ended(_:holders:at:_:)``.
    mutating func due(at now: Time) -> [NodeNumber] {
        let due = announcements.filter { !$0.value.isUnderWay && $0.value.next <= now }.map(\.key)
        for key in due { announcements[key]?.isUnderWay = true }
        return due
    }

    /// It has been put at these nodes.
    mutating func ended(_ key: NodeNumber, holders: Set<NodeAddress>, at now: Time, _ random: inout some RandomNumberGenerator) {
        guard var announcement = announcements[key] else { return }
        announcement.isUnderWay = false
        if holders.isEmpty {
            announcement.next = now + Announcements.retry
        } else {
            // As many of the last ones gone, or behind nearer ones, as says how soon these will be.
            let stayed =
                announcement.holders.isEmpty
                ? 0 : Double(announcement.holders.intersection(holders).count) / Double(announcement.holders.count)
            if stayed > 0.8 {
                announcement.pause = min(Announcements.longest, announcement.pause * 2)
            } else if stayed < 0.7 {
                announcement.pause = max(Announcements.shortest, announcement.pause / 2)
            }
            announcement.holders = holders
            announcement.next = now + announcement.pause * Double.random(in: 0.9...1.1, using: &random)
        }
        announcements[key] = announcement
    }

    var nextTime: Time? { announcements.values.filter { !$0.isUnderWay }.map(\.next).min() }
}
