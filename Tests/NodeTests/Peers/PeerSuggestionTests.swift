import Base
import Foundation
import NodePeers
import RPCProto
import Testing

/// Places from a list to which anybody can add, and nodes of which nothing but records is known.
@Suite struct PeerSuggestionTests {
    private static let own = String(repeating: "f", count: 32)

    private static func card(_ number: Int) -> NodeCard {
        NodeCard(id: String(format: "%032x", number + 1), name: "node \(number)", role: .worker, version: "1")
    }

    /// A host of its own each.
    private static func route(_ number: Int) -> Route { .direct(Endpoint(host: "10.\(number >> 8 & 255).\(number & 255).1", port: 7000)) }

    @Test("a node at a suggested place counts, is looked at as others are, and is found again where it was")
    func found() {
        var table = PeerTable(ownID: PeerSuggestionTests.own)
        let card = PeerSuggestionTests.card(1)
        table.suggest(PeerSuggestionTests.route(1), at: .zero)
        let probe = table.probes(at: .zero)[0]
        #expect(probe.id == nil)
        table.found(probe, card, at: .zero)
        #expect(table.listed(at: .zero).map(\.routes) == [[PeerSuggestionTests.route(1)]])
        let next = table.probes(at: PeerTable.period)
        #expect(next.map(\.id) == [card.id])
        table.missed(next[0], "gone", at: PeerTable.period)
        let late = PeerTable.period + PeerTable.memory
        table.expire(at: late)
        #expect(table.listed(at: late).isEmpty)
        let again = table.probes(at: late)
        #expect(again.map(\.id) == [nil] && again.map(\.route) == [PeerSuggestionTests.route(1)])
    }

    @Test("suggestions that nobody repeats are forgotten")
    func forgotten() {
        var table = PeerTable(ownID: PeerSuggestionTests.own)
        table.suggest(PeerSuggestionTests.route(1), at: .zero)
        table.suggest(PeerSuggestionTests.route(2), at: .zero)
        table.suggest(PeerSuggestionTests.route(2), at: .seconds(60))
        table.expire(at: PeerTable.suggestionMemory)
        #expect(table.probes(at: PeerTable.suggestionMemory).map(\.route) == [PeerSuggestionTests.route(2)])
        table.expire(at: PeerTable.suggestionMemory + .seconds(60))
        #expect(table.size == 0)
    }

    @Test("a flood of false places is bounded, and keeps neither a true one nor a node of a record from being looked for")
    func flood() {
        var table = PeerTable(ownID: PeerSuggestionTests.own)
        var now = Duration.zero
        let (record, suggested) = (PeerSuggestionTests.card(1), PeerSuggestionTests.card(2))
        var found: [String: Duration] = [:]
        var next = 1000
        for turn in 0..<600 {
            now += .milliseconds(200)
            // Fifty new ones a second, all on hosts of their own.
            for _ in 0..<10 {
                table.suggest(PeerSuggestionTests.route(next), at: now)
                next += 1
            }
            if turn == 100 {
                table.hint(.record("r"), id: record.id, [PeerSuggestionTests.route(1)], at: now)
                table.suggest(PeerSuggestionTests.route(2), at: now)
            }
            // As every list that is asked again has it.
            if turn > 100, turn % 25 == 0 { table.suggest(PeerSuggestionTests.route(2), at: now) }
            for probe in table.probes(at: now) {
                switch probe.route {
                case PeerSuggestionTests.route(1):
                    table.found(probe, record, at: now)
                    found[record.id] = found[record.id] ?? now
                case PeerSuggestionTests.route(2):
                    table.found(probe, suggested, at: now)
                    found[suggested.id] = found[suggested.id] ?? now
                default: table.missed(probe, "nobody", at: now)
                }
            }
            #expect(table.size <= 2 * PeerTable.suggestionLimit + 16)
        }
        #expect(found[record.id].map { $0 < .seconds(21) } ?? false)
        #expect(found[suggested.id] != nil)
        #expect(Set(table.listed(at: now).map(\.card.id)).isSuperset(of: [record.id, suggested.id]))
    }

    @Test("one host has a few places at most")
    func host() {
        var table = PeerTable(ownID: PeerSuggestionTests.own)
        for port in 1...1000 { table.suggest(.direct(Endpoint(host: "10.0.0.1", port: port)), at: .zero) }
        #expect(table.size == 2 * PeerTable.suggestionsPerHost)
    }

    @Test("nodes that were announced and were nowhere make room for one that is there")
    func room() {
        var table = PeerTable(ownID: PeerSuggestionTests.own)
        var now = Duration.zero
        for number in 0..<PeerTable.nodeLimit {
            table.hint(.record("r\(number)"), id: PeerSuggestionTests.card(number).id, [PeerSuggestionTests.route(number)], at: now)
        }
        for _ in 0..<100 {
            now += .seconds(1)
            for probe in table.probes(at: now) { table.missed(probe, "nobody", at: now) }
        }
        let late = PeerSuggestionTests.card(9999)
        table.hint(.record("late"), id: late.id, [PeerSuggestionTests.route(9999)], at: now)
        var isFound = false
        // At the pace of looks a turn comes round within a minute, whoever else is to be looked for.
        for _ in 0..<60 where !isFound {
            now += .seconds(1)
            for probe in table.probes(at: now) {
                if probe.id == late.id {
                    table.found(probe, late, at: now)
                    isFound = true
                } else {
                    table.missed(probe, "nobody", at: now)
                }
            }
        }
        #expect(isFound)
        #expect(table.listed(at: now).map(\.card) == [late])
    }
}
