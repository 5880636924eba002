internal import Crypto
internal import Foundation

/// What a node says of itself by multicast, for everybody to read: nothing secret, and a code that only those can make who have the
/// token, so that others' lies need not be looked into. A record that is repeated by somebody else leads, at worst, to where nobody is.
package struct Announcement: Hashable, Sendable {
    package var id: String
    package var role: NodeCard.Role
    package var port: Int

    package init(id: String, role: NodeCard.Role, port: Int) {
        self.id = id
        self.role = role
        self.port = port
    }

    /// The version of what is announced.
    private static let version = "1"

    /// - Parameter program: the version of the program, for people.
    package func text(_ keys: NetworkKeys, program: String) -> [String: String] {
        [
            "v": Announcement.version, "net": keys.tag, "id": id, "role": role.rawValue, "ver": String(program.prefix(32)),
            "mac": Announcement.code(keys, id: id, role: role, port: port),
        ]
    }

    /// - Parameters:
    ///   - text: of anybody's.
    ///   - port: that the record names.
    /// - Returns: nil for one of another network, another version, or somebody who has no token.
    package init?(_ text: [String: String], port: Int, _ keys: NetworkKeys) {
        guard text["v"] == Announcement.version, text["net"] == keys.tag, let id = text["id"], NodeCard.isID(id),
            let role = text["role"].flatMap(NodeCard.Role.init(rawValue:)), let code = text["mac"],
            Announcement.isSame(code, Announcement.code(keys, id: id, role: role, port: port))
        else { return nil }
        self.init(id: id, role: role, port: port)
    }

    /// HMAC-SHA256 (RFC 2104), its first half in hexadecimal digits.
    private static func code(_ keys: NetworkKeys, id: String, role: NodeCard.Role, port: Int) -> String {
        let key = SymmetricKey(data: keys.secret(for: .announcement))
        return HMAC<SHA256>.authenticationCode(for: Data("\(id) \(role.rawValue) \(port)".utf8), using: key)
            .prefix(16).map { String(format: "%02x", $0) }.joined()
    }

    /// In a time that does not tell how far they are alike.
    private static func isSame(_ one: String, _ other: String) -> Bool {
        let (one, other) = (Array(one.utf8), Array(other.utf8))
        return one.count == other.count && zip(one, other).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
