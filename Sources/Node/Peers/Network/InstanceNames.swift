internal import Crypto
internal import Foundation

/// The names by which the nodes of a network announce themselves: `bench 01234567-89abcdef` is the node's own, for people, the start of its
/// id, and a code that only those can make who have the token. However many names others make up, each costs a look at it and no more.
package struct InstanceNames: Sendable {
    private let key: SymmetricKey

    private static let digits = 8
    /// Behind the node's own name: a blank, the start of the id, a dash, the code.
    private static let tailLength = 2 + 2 * digits
    /// Bytes that are left free for what the daemon puts behind a name that another has.
    private static let numberLength = 3

    package init(_ keys: NetworkKeys) { key = SymmetricKey(data: keys.secret(for: .announcement)) }

    package func name(of node: String, id: String) -> String {
        let node = ServiceAnnouncer.cut(node, to: ServiceKey.nameLimit - InstanceNames.tailLength - InstanceNames.numberLength)
        let start = id.prefix(InstanceNames.digits)
        return "\(node) \(start)-\(code(node, start))"
    }

    /// The start of the id of the node whose name this is; nil for one that somebody without the token has made up.
    package func idStart(of name: String) -> String? {
        let bytes = Array(ServiceKey.withoutNumber(name).utf8)
        guard bytes.count >= InstanceNames.tailLength else { return nil }
        let tail = bytes.suffix(InstanceNames.tailLength)
        let start = tail.dropFirst().prefix(InstanceNames.digits)
        guard tail.first == UInt8(ascii: " "), tail.dropFirst(1 + InstanceNames.digits).first == UInt8(ascii: "-") else { return nil }
        let node = String(decoding: bytes.dropLast(InstanceNames.tailLength), as: UTF8.self)
        let idStart = String(decoding: start, as: UTF8.self)
        return String(decoding: tail.suffix(InstanceNames.digits), as: UTF8.self) == code(node, idStart[...]) ? idStart : nil
    }

    /// The start of an HMAC-SHA256; of no words that an ``Announcement`` has one of.
    private func code(_ node: String, _ idStart: Substring) -> String {
        HMAC<SHA256>.authenticationCode(for: Data("name \(idStart) \(node)".utf8), using: key)
            .prefix(InstanceNames.digits / 2).map { String(format: "%02x", $0) }.joined()
    }
}

extension ServiceFilter {
    /// The announcements of one network's nodes.
    package init(_ keys: NetworkKeys) {
        let names = InstanceNames(keys)
        self.init(
            takesName: { names.idStart(of: $0) != nil },
            takes: { name, text, port in
                // A true announcement by another node's name is a repetition.
                guard let start = names.idStart(of: name), let announcement = Announcement(text, port: port, keys) else { return false }
                return announcement.id.hasPrefix(start)
            })
    }
}
