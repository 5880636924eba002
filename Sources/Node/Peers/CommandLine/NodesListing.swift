internal import Base
internal import Foundation

/// What `swiftlet nodes` prints: who is in a network.
public struct NodesListing: Sendable {
    /// One that was found.
    public struct Entry: Sendable {
        public var card: NodeCard
        /// How it was reached: where it was found, or by way of whom.
        public var route: String
        /// The kind of that: `direct`, `punched`, `called` or `relayed`.
        public var way: String
        /// Seconds there and back, where they are known.
        public var roundTrip: Double?

        public init(card: NodeCard, route: String, way: String, roundTrip: Double?) {
            self.card = card
            self.route = route
            self.way = way
            self.roundTrip = roundTrip
        }
    }

    public var tag: String
    public var entries: [Entry]
    /// What was looked for in vain, a line each.
    public var misses: [String]

    public init(tag: String, entries: [Entry], misses: [String]) {
        self.tag = tag
        self.entries = entries.sorted {
            ($0.card.role.rawValue, $0.card.name, $0.card.id) < ($1.card.role.rawValue, $1.card.name, $1.card.id)
        }
        self.misses = misses
    }

    public var json: String {
        let nodes = entries.map { entry in
            var object: JSONObject = [
                "name": .string(entry.card.name), "id": .string(entry.card.id), "role": .string(entry.card.role.rawValue),
                "version": .string(entry.card.version), "address": .string(entry.route), "way": .string(entry.way),
                "devices": .array(entry.card.devices.map(JSONValue.string)),
            ]
            object["round_trip_ms"] = entry.roundTrip.map { .number(($0 * 1e6).rounded() / 1e3) } ?? .null
            return JSONValue.object(object)
        }
        let value: JSONValue = ["network": .string(tag), "nodes": .array(nodes), "misses": .array(misses.map(JSONValue.string))]
        return value.indented + "\n"
    }

    /// - Parameter tellsMisses: whether what was looked for in vain is told.
    public func text(tellsMisses: Bool) -> String {
        var lines: [String] = []
        if !entries.isEmpty {
            var rows = [["NAME", "ID", "ROLE", "VERSION", "ADDRESS", "ROUND TRIP", "DEVICES"]]
            for entry in entries {
                let time = entry.roundTrip.map { String(format: "%.2f ms", $0 * 1e3) } ?? "-"
                let first = [entry.card.name, entry.card.id, entry.card.role.rawValue, entry.card.version, entry.route, time]
                rows.append(first + [entry.card.devices.first ?? "-"])
                for device in entry.card.devices.dropFirst() { rows.append(first.map { _ in "" } + [device]) }
            }
            let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
            for row in rows {
                let cells = zip(row, widths).map { text, width in text + String(repeating: " ", count: width - text.count) }
                var line = cells.joined(separator: "  ")
                while line.last == " " { line.removeLast() }
                lines.append(line)
            }
        }
        switch entries.count {
        case 0: lines.append("Nobody is in network \(tag) that this machine can see.")
        case 1: lines.append("1 node in network \(tag).")
        case let count: lines.append("\(count) nodes in network \(tag).")
        }
        if tellsMisses {
            for miss in misses { lines.append("not there: \(miss)") }
        } else if entries.isEmpty, !misses.isEmpty {
            lines.append("\(misses.count == 1 ? "One place was" : "\(misses.count) places were") tried in vain: -v says why.")
        }
        return lines.map { $0 + "\n" }.joined()
    }
}
