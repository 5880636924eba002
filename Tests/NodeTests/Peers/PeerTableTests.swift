import Base
import Foundation
import NodePeers
import RPCProto
import Testing

/// Who counts as a node, in every order of what can be heard and found.
@Suite struct PeerTableTests {
    private static let own = NodeKey().id

    private static func card(_ number: Int) -> NodeCard {
        NodeCard(id: String(format: "%032x", number + 1), name: "node \(number)", role: .worker, version: "1")
    }

    private static func route(_ number: Int) -> Route { .direct(Endpoint(host: "10.0.0.\(number % 250)", port: 1000 + number)) }

    @Test("a record alone makes no node; a look that found it does, until nothing was seen of it for a while")
    func life() {
        var table = PeerTable(ownID: PeerTableTests.own)
        let card = PeerTableTests.card(1)
        table.hint(.record("a"), id: card.id, [PeerTableTests.route(1)], at: .zero)
        #expect(table.listed(at: .zero).isEmpty)
        let probes = table.probes(at: .zero)
        #expect(probes.map(\.route) == [PeerTableTests.route(1)] && probes.map(\.id) == [card.id])
        let due = table.probes(at: .seconds(1))
        #expect(due.isEmpty)
        table.found(probes[0], card, at: .seconds(1))
        #expect(table.listed(at: .seconds(2)).map(\.card) == [card])
        // Its record goes, as when a daemon is started anew: what was seen counts on for a while.
        table.unhint(.record("a"), at: .seconds(2))
        #expect(table.listed(at: .seconds(2)).count == 1)
        table.opened(card, along: PeerTableTests.route(1), at: .seconds(3))
        #expect(table.listed(at: .seconds(300)).count == 1)
        table.closed(card.id, at: .seconds(300))
        #expect(table.listed(at: .seconds(301)).count == 1)
        #expect(table.listed(at: .seconds(300) + PeerTable.memory).isEmpty)
        table.expire(at: .seconds(300) + PeerTable.memory)
        #expect(table.size == 0)
    }

    @Test("this node, and revoked ones, never count")
    func excluded() {
        var table = PeerTable(ownID: PeerTableTests.own)
        table.hint(.record("a"), id: PeerTableTests.own, [PeerTableTests.route(1)], at: .zero)
        let due = table.probes(at: .zero)
        #expect(due.isEmpty)
        table.name(PeerTableTests.route(2), at: .zero)
        let probe = table.probes(at: .zero)[0]
        table.found(probe, NodeCard(id: PeerTableTests.own, name: "me", role: .head), at: .zero)
        #expect(table.listed(at: .zero).isEmpty)
        let card = PeerTableTests.card(3)
        table.hint(.record("b"), id: card.id, [PeerTableTests.route(3)], at: .zero)
        table.found(table.probes(at: .zero)[0], card, at: .zero)
        #expect(table.listed(at: .zero).count == 1)
        let wasThere = table.revoke([card.id])
        #expect(wasThere)
        #expect(table.listed(at: .zero).isEmpty)
        table.hint(.record("b"), id: card.id, [PeerTableTests.route(3)], at: .zero)
        let dueLater = table.probes(at: .seconds(1))
        #expect(dueLater.allSatisfy { $0.id == nil })
    }

    @Test("whatever is announced, the table stays small and true nodes are found", arguments: [true, false])
    func flood(truthComesFirst: Bool) {
        var table = PeerTable(ownID: PeerTableTests.own)
        let (card, route) = (PeerTableTests.card(0), PeerTableTests.route(0))
        table.hint(.record("first"), id: card.id, [truthComesFirst ? route : PeerTableTests.route(99)], at: .zero)
        for number in 1...20_000 {
            let liar = PeerTableTests.card(number % 10 == 0 ? 0 : number % 5)
            table.hint(.record("lie \(number)"), id: liar.id, (1..<40).map { PeerTableTests.route(number + $0) }, at: .zero)
        }
        #expect(table.size < 40_000)
        var now = Duration.zero
        var isFound = false
        for step in 0..<3000 where !isFound {
            // What was passed over is told again now and then.
            if step % 50 == 49 { table.hint(.record("truth"), id: card.id, [route], at: now) }
            for probe in table.probes(at: now) {
                if probe.id == card.id, probe.route == route {
                    table.found(probe, card, at: now)
                    isFound = true
                } else {
                    table.missed(probe, "nobody there", at: now)
                }
            }
            if !isFound { now += .milliseconds(100) }
        }
        let ids = table.listed(at: now).map(\.card.id)
        #expect(ids == [card.id])
    }

    @Test("a node that has moved is known by where it is now; where it was is looked at no more")
    func moved() {
        var table = PeerTable(ownID: PeerTableTests.own)
        let card = PeerTableTests.card(1)
        table.hint(.record("a"), id: card.id, [PeerTableTests.route(1)], at: .zero)
        table.found(table.probes(at: .zero)[0], card, at: .zero)
        table.opened(card, along: PeerTableTests.route(1), at: .zero)
        table.hint(.record("a"), id: card.id, [PeerTableTests.route(2)], at: .seconds(1))
        var now = Duration.seconds(1)
        var last = Duration.zero
        while now < .seconds(120) {
            for probe in table.probes(at: now) {
                if probe.route == PeerTableTests.route(2) {
                    table.found(probe, card, at: now)
                } else {
                    table.missed(probe, "nobody there", at: now)
                    last = now
                }
            }
            #expect(table.listed(at: now).first?.routes.first == PeerTableTests.route(now < .seconds(1) ? 1 : 2))
            now += .milliseconds(100)
        }
        #expect(table.listed(at: now).map(\.routes) == [[PeerTableTests.route(2)]])
        #expect(last < .seconds(30))
    }

    @Test("a goodbye for a node's record, which anybody can send, takes nothing from a node that is there, nor from its tunnel")
    func goodbye() {
        var table = PeerTable(ownID: PeerTableTests.own)
        let card = PeerTableTests.card(1)
        table.hint(.record("a"), id: card.id, [PeerTableTests.route(1)], at: .zero)
        table.found(table.probes(at: .zero)[0], card, at: .zero)
        table.opened(card, along: PeerTableTests.route(1), at: .zero)
        table.unhint(.record("a"), at: .seconds(1))
        #expect(table.listed(at: .seconds(600)).map(\.routes) == [[PeerTableTests.route(1)]])
        // Nor is it forgotten where it was when the tunnel ends meanwhile.
        table.closed(card.id, at: .seconds(600))
        #expect(table.probes(at: .seconds(600)).map(\.route) == [PeerTableTests.route(1)])
    }

    @Test("of what is said of a node, its own record is looked into first, and what leads nowhere is no route of it")
    func ownRecordFirst() {
        var table = PeerTable(ownID: PeerTableTests.own)
        let card = PeerTableTests.card(1)
        for number in 2...9 { table.hint(.record("a #\(number)\0local"), id: card.id, [PeerTableTests.route(number)], at: .zero) }
        table.hint(.record("a\0local"), id: card.id, [PeerTableTests.route(1)], at: .zero)
        let first = table.probes(at: .zero)
        #expect(first.first?.route == PeerTableTests.route(1) && first.count <= PeerTable.probesPerNode)
        table.found(first[0], card, at: .zero)
        #expect(table.listed(at: .zero).map(\.routes) == [[PeerTableTests.route(1)]])
    }

    @Test("looks are bounded whatever is said, and a node of which nobody lies does not wait behind those of which many do")
    func fairness() {
        var table = PeerTable(ownID: PeerTableTests.own)
        var count = 0
        var underWay: [(probe: PeerTable.Probe, end: Duration)] = []
        var foundAt: Duration?
        let card = PeerTableTests.card(500)
        for step in 0..<200 {
            let now = Duration.milliseconds(100) * step
            for number in 0..<30 {
                let liar = step * 30 + number
                table.hint(
                    .record("lie \(liar % 300)"), id: PeerTableTests.card(liar % 20).id,
                    (0..<16).map { PeerTableTests.route(liar * 16 + $0) }, at: now)
            }
            if step == 100 { table.hint(.record("truth"), id: card.id, [PeerTableTests.route(7)], at: now) }
            // Nobody answers along the lies: each takes its three seconds.
            for one in underWay where one.end <= now { table.missed(one.probe, "no answer", at: now) }
            underWay.removeAll { $0.end <= now }
            for probe in table.probes(at: now) {
                count += 1
                if probe.id == card.id {
                    table.found(probe, card, at: now)
                    foundAt = foundAt ?? now
                } else {
                    underWay.append((probe, now + .seconds(3)))
                }
            }
        }
        #expect(foundAt.map { $0 - .seconds(10) < .seconds(5) } ?? false)
        #expect(count < 20 * 40 + 60)
    }

    @Test("looks that fail at once are so many in a second, and no more")
    func pace() {
        var table = PeerTable(ownID: PeerTableTests.own)
        var count = 0
        for step in 0..<200 {
            let now = Duration.milliseconds(50) * step
            for number in 0..<20 {
                table.hint(
                    .record("lie \(number)"), id: PeerTableTests.card(number).id, (0..<16).map { PeerTableTests.route(step * 16 + $0) },
                    at: now)
            }
            for probe in table.probes(at: now) {
                count += 1
                table.missed(probe, "refused", at: now)
            }
        }
        #expect(count <= 10 * 40 + 40)
    }

    @Test("after any history, what counts is what was seen lately, and nothing is looked for twice at a time")
    func histories() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            var table = PeerTable(ownID: PeerTableTests.own)
            var now = Duration.zero
            var underWay: Set<PeerTable.Probe> = []
            var open: [Int: Int] = [:]
            var seen: [Int: Duration] = [:]
            var revoked: Set<String> = []
            for _ in 0..<60 {
                now += .milliseconds(Int.random(in: 0...2000, using: &random))
                let number = Int.random(in: 0..<5, using: &random)
                let card = PeerTableTests.card(number)
                let isRevoked = revoked.contains(card.id)
                switch Int.random(in: 0..<9, using: &random) {
                case 0: table.hint(.record("r\(number)"), id: card.id, [PeerTableTests.route(number)], at: now)
                case 1: table.unhint(.record("r\(number)"), at: now)
                case 2: table.name(PeerTableTests.route(number), at: now)
                case 3:
                    for probe in table.probes(at: now) { #expect(underWay.insert(probe).inserted) }
                case 4, 5:
                    guard let probe = underWay.popFirst() else { break }
                    let there = (0..<5).first { PeerTableTests.route($0) == probe.route } ?? 0
                    if Bool.random(using: &random) {
                        table.found(probe, PeerTableTests.card(there), at: now)
                        if !revoked.contains(PeerTableTests.card(there).id) { seen[there] = now }
                    } else {
                        table.missed(probe, "no", at: now)
                    }
                case 6:
                    table.opened(card, along: PeerTableTests.route(number), at: now)
                    if !isRevoked {
                        open[number, default: 0] += 1
                        seen[number] = now
                    }
                case 7 where open[number, default: 0] > 0:
                    open[number, default: 0] -= 1
                    table.closed(card.id, at: now)
                    seen[number] = now
                case 8 where Int.random(in: 0..<10, using: &random) == 0:
                    revoked = [card.id]
                    _ = table.revoke(revoked)
                    open[number] = nil
                    seen[number] = nil
                default: break
                }
                let expected = (0..<5).filter { number in
                    open[number, default: 0] > 0 || seen[number].map { now - $0 < PeerTable.memory } ?? false
                }
                if Bool.random(using: &random) { table.expire(at: now) }
                #expect(table.listed(at: now).map(\.card.name) == expected.map { "node \($0)" })
            }
        }
    }
}
