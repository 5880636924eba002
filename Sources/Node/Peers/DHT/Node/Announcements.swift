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
        /// Holders gone, or behind nearer ones, of late; and how long those and the others were held at, all together.
        var gone = 0.0
        var exposure = Duration.zero

        /// It is at these nodes now. How soon it is to be so again follows from how fast holders go: most are to be there still. The
        /// time grows slowly, since few have gone by chance too.
        mutating func learn(_ new: Set<NodeAddress>) {
            guard !holders.isEmpty else { return }
            gone = Announcements.fading * gone + Double(holders.subtracting(new).count)
            exposure = exposure * Announcements.fading + pause * Double(holders.count)
            // Half a holder more than were seen to go: that none have does not say that none will.
            let mean = exposure / (gone + 0.5)
            pause = min(max(mean * Announcements.loss, Announcements.shortest), pause * Announcements.growth, Announcements.longest)
        }
    }

    private var announcements: [NodeNumber: Announcement] = [:]

    /// Between two times; what is put somewhere stays there for half an hour.
    static let shortest = Duration.seconds(30)
    static let longest = Duration.seconds(12 * 60)
    /// The part of the holders that may go in between, how fast what was seen is forgotten, and how fast the time grows.
    private static let loss = 0.2
    private static let fading = 0.8
    private static let growth = 1.5
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
        let due = announcements.filter { !$0.value.isUnderWay && $0.value.next <= now }.map(\.key).sorted {
            $0.bytes.lexicographicallyPrecedes($1.bytes)
        }
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
            announcement.learn(holders)
            announcement.holders = holders
            announcement.next = now + announcement.pause * Double.random(in: 0.9...1.1, using: &random)
        }
        announcements[key] = announcement
    }

    var nextTime: Time? { announcements.values.filter { !$0.isUnderWay }.map(\.next).min() }
}
