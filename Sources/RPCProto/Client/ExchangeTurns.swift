internal import Base

/// Whose exchange a connection carries: one at a time, in the order in which they were asked for. An upload that is one
/// exchange behind the other does not take the connection again before whoever waits for it.
final class ExchangeTurns: Sendable {
    private struct Tickets {
        /// The ticket that is given next, and the one whose turn it is.
        var next = 0
        var current = 0
    }

    private let tickets = Monitor(Tickets())

    /// Waits for the turn.
    func take() {
        let own = tickets.change { tickets in
            defer { tickets.next += 1 }
            return tickets.next
        }
        tickets.wait { $0.current == own ? () : nil }
    }

    /// Whether somebody has a turn, or waits for one.
    var areTaken: Bool { tickets.read { $0.current < $0.next } }

    func giveBack() { tickets.change { $0.current += 1 } }
}
