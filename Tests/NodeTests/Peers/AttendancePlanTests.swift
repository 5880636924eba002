import NodePeers
import Testing

/// Where a node waits to be called.
@Suite struct AttendancePlanTests {
    private static func card(_ number: Int, _ role: NodeCard.Role, relays: Bool = false) -> NodeCard {
        NodeCard(id: String(format: "%032x", number), name: "\(number)", role: role, relays: relays)
    }

    @Test("at once where it is joined with others; at a head only when that does not come by itself")
    func who() {
        var plan = AttendancePlan()
        let (relay, head, guest) = (
            AttendancePlanTests.card(1, .worker, relays: true), AttendancePlanTests.card(2, .head), AttendancePlanTests.card(3, .head)
        )
        let all = [relay, head, guest, AttendancePlanTests.card(4, .worker)]
        var wanted = plan.wanted(all, waiting: [], at: .seconds(1))
        #expect(wanted == [relay.id])
        plan.noteGuest(guest.id, at: .seconds(10))
        wanted = plan.wanted(all, waiting: [relay.id], at: .seconds(14))
        #expect(wanted == [relay.id, head.id])
        // The one that came comes no more.
        wanted = plan.wanted(all, waiting: [relay.id, head.id], at: .seconds(23))
        #expect(wanted == [relay.id, head.id, guest.id])
        // And one that comes again needs nobody to wait for it.
        plan.noteGuest(head.id, at: .seconds(24))
        wanted = plan.wanted(all, waiting: [relay.id, head.id, guest.id], at: .seconds(25))
        #expect(wanted == [relay.id, guest.id])
        // Who is gone is forgotten.
        wanted = plan.wanted([relay], waiting: [relay.id], at: .seconds(26))
        #expect(wanted == [relay.id])
        wanted = plan.wanted(all, waiting: [relay.id], at: .seconds(40))
        #expect(wanted == [relay.id])
    }

    @Test("where it came to nothing it is tried again, ever more seldom, and soon where it had worked")
    func rests() {
        var plan = AttendancePlan()
        let relay = AttendancePlanTests.card(1, .head, relays: true)
        var now = Duration.zero
        var pauses: [Duration] = []
        for _ in 0..<8 {
            let start = now
            while plan.wanted([relay], waiting: [], at: now).isEmpty { now += .milliseconds(500) }
            pauses.append(now - start)
            plan.ended(relay.id, wasIn: false, at: now)
        }
        #expect(pauses.map { $0 / .seconds(1) } == [0, 1, 2, 4, 8, 16, 30, 30])
        plan.ended(relay.id, wasIn: true, at: now)
        let wanted = plan.wanted([relay], waiting: [], at: now + .seconds(1))
        #expect(wanted == [relay.id])
    }

    @Test("at no more than so many, and it does not go from one to another")
    func limit() {
        var plan = AttendancePlan()
        let relays = (10..<40).map { AttendancePlanTests.card($0, .head, relays: true) }
        let first = plan.wanted(relays, waiting: [], at: .zero)
        #expect(first.count == AttendancePlan.limit)
        let later = plan.wanted(
            (0..<10).map { AttendancePlanTests.card($0, .head, relays: true) } + relays, waiting: first, at: .seconds(1))
        #expect(later == first)
    }
}
