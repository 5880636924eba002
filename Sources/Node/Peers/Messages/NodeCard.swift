package import Base
internal import Foundation

/// What a node says of itself to those who have its network's token.
public struct NodeCard: Hashable, Sendable {
    public enum Role: String, Hashable, Sendable, CaseIterable {
        /// Lends its devices.
        case worker
        /// Runs models.
        case head
        /// Puts a program of somebody else's into the network.
        case tunnel
        /// A command that looks.
        case visitor
    }

    /// 32 hexadecimal digits: the digest of its key.
    public var id: String
    /// For people: a machine's name.
    public var name: String
    public var role: Role
    /// The program's version.
    public var version: String
    /// For people, one each: `cpu, 8 threads, 12000 MiB`.
    public var devices: [String]
    /// Whether nodes can wait at this one for others, which it joins with them.
    public var relays: Bool

    public init(id: String, name: String, role: Role, version: String? = nil, devices: [String] = [], relays: Bool = false) {
        self.id = id
        self.name = name
        self.role = role
        self.version = version ?? Version.current
        self.devices = devices
        self.relays = relays
    }

    /// Digits of an id.
    package static let idLength = 32

    /// Whether a text has the form of an id.
    package static func isID(_ text: some StringProtocol) -> Bool {
        text.utf8.count == idLength
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }

    /// Letters of a name, or of a device, that are kept.
    package static let longestText = 200
    package static let mostDevices = 64

    /// For people: `node3 (0827390a)`.
    package var label: String { "\(name) (\(id.prefix(8)))" }

    package var json: JSONValue {
        var object: JSONObject = [
            "id": .string(id), "name": .string(name), "role": .string(role.rawValue), "version": .string(version),
            "devices": .array(devices.map(JSONValue.string)),
        ]
        if relays { object["relay"] = .bool(true) }
        return .object(object)
    }

    /// - Parameter json: from another node, and so of any form.
    package init?(json: JSONValue) {
        guard case .string(let id)? = json["id"], NodeCard.isID(id), case .string(let role)? = json["role"], let role = Role(rawValue: role)
        else { return nil }
        func text(_ value: JSONValue?) -> String {
            guard case .string(let text)? = value else { return "" }
            return NodeCard.shown(text)
        }
        var devices: [String] = []
        if case .array(let values)? = json["devices"] { devices = values.prefix(NodeCard.mostDevices).map { text($0) } }
        self.init(
            id: id, name: text(json["name"]), role: role, version: text(json["version"]), devices: devices,
            relays: json["relay"] == .bool(true))
    }

    /// A text of somebody else's, as it can be shown anywhere.
    package static func shown(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(longestText).map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
    }
}
