internal import Base

/// The first words inside a tunnel, one message each way: what the client wants and who both are. Only when the client has read that it
/// is welcome does it count: with TLS 1.3 its handshake ends before the other side has judged its certificate.
///
/// A message is `swft`, a version, a number, two zero bytes, the size of what follows (little-endian), and JSON.
package struct TunnelGreeting: Hashable, Sendable {
    package enum Purpose: UInt8, Hashable, Sendable {
        /// A stream to the node's worker: ggml's RPC follows.
        case rpc = 1
        /// To learn who the node is, and tell who is revoked.
        case look = 2
    }

    /// What the server answers.
    package enum Answer: UInt8, Hashable, Sendable {
        case welcome = 1
        case refused = 2
    }

    /// A ``Purpose`` of a client's, an ``Answer`` of a server's.
    package var number: UInt8
    package var card: NodeCard
    /// The nodes that it knows to be revoked.
    package var revoked: [String]
    /// Why the client is refused.
    package var reason: String?

    package init(number: UInt8, card: NodeCard, revoked: [String], reason: String? = nil) {
        self.number = number
        self.card = card
        self.revoked = revoked
        self.reason = reason
    }

    static let mark = Array("swft".utf8)
    static let version: UInt8 = 1
    package static let headByteCount = 12
    /// Bytes of JSON.
    package static let largestBody = 256 << 10
    /// Ids that are told in one message.
    package static let mostRevoked = 4096

    package var encoded: [UInt8] {
        var object: JSONObject = ["node": card.json, "revoked": .array(revoked.prefix(TunnelGreeting.mostRevoked).map(JSONValue.string))]
        if let reason { object["reason"] = .string(reason) }
        let body = JSONValue.object(object).utf8
        let size = UInt32(clamping: body.count)
        return TunnelGreeting.mark + [TunnelGreeting.version, number, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
            + body
    }

    /// The size of what follows a message's first bytes.
    package static func bodySize(head: [UInt8]) throws(TunnelError) -> Int {
        guard head.count == headByteCount, Array(head[..<4]) == mark else { throw TunnelError("it does not greet as a node") }
        guard head[4] == version else {
            throw TunnelError("it greets with version \(head[4]), and this is \(version): update the older one")
        }
        let size = (0..<4).reduce(0) { $0 | Int(head[8 + $1]) << (8 * $1) }
        guard size <= largestBody else { throw TunnelError("it greets with \(size) bytes, and \(largestBody) are allowed") }
        return size
    }

    package init(head: [UInt8], body: [UInt8]) throws(TunnelError) {
        guard try TunnelGreeting.bodySize(head: head) == body.count else { throw TunnelError("its greeting is cut off") }
        let json: JSONValue
        do throws(JSONError) {
            json = try JSONValue(parsing: body, limits: JSONLimits(depth: 8, values: 10_000))
        } catch {
            throw TunnelError("its greeting is no JSON: \(error)")
        }
        guard let card = json["node"].flatMap(NodeCard.init(json:)) else { throw TunnelError("its greeting does not say who it is") }
        number = head[5]
        self.card = card
        revoked = []
        if case .array(let ids)? = json["revoked"] {
            for case .string(let id) in ids.prefix(TunnelGreeting.mostRevoked) where NodeCard.isID(id) { revoked.append(id) }
        }
        if case .string(let text)? = json["reason"] { reason = NodeCard.shown(text) }
    }
}
