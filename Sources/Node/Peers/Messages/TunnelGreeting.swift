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
        /// To wait there to be called (``CallMessage``), as a node does to which nobody can connect.
        case attend = 3
        /// To answer a call: what follows is a connection like any other, with whoever called at the side that connects.
        case meet = 4
        /// To be joined with ``TunnelGreeting/target``, which waits there: what follows is a connection to it.
        case reach = 5
        /// To meet ``TunnelGreeting/target``, which waits there, half-way: both are told from where the other one came, and then connect to
        /// each other from where they came themselves, at the same time. Routers let in what seems to be the answer to what went out (RFC 5128,
        /// section 3.4).
        case punch = 6
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
    /// The node that the client wants to be joined with.
    package var target: String?
    /// The call that the client answers.
    package var ticket: CallTicket?
    /// Where the node that is to be met half-way came from, as a server says.
    package var place: String?
    /// The nodes that wait at the server to be called.
    package var attending: [String] = []

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
    package static let mostAttending = 512

    package var encoded: [UInt8] {
        var object: JSONObject = ["node": card.json, "revoked": .array(revoked.prefix(TunnelGreeting.mostRevoked).map(JSONValue.string))]
        if let reason { object["reason"] = .string(reason) }
        if let target { object["target"] = .string(target) }
        if let place { object["place"] = .string(place) }
        if let ticket { object["ticket"] = .string(ticket.text) }
        if !attending.isEmpty { object["attending"] = .array(attending.prefix(TunnelGreeting.mostAttending).map(JSONValue.string)) }
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
        revoked = TunnelGreeting.ids(json["revoked"], atMost: TunnelGreeting.mostRevoked)
        attending = TunnelGreeting.ids(json["attending"], atMost: TunnelGreeting.mostAttending)
        if case .string(let text)? = json["reason"] { reason = NodeCard.shown(text) }
        if case .string(let text)? = json["target"], NodeCard.isID(text) { target = text }
        if case .string(let text)? = json["place"] { place = NodeCard.shown(text) }
        if case .string(let text)? = json["ticket"] { ticket = CallTicket(text: text) }
    }

    private static func ids(_ value: JSONValue?, atMost limit: Int) -> [String] {
        guard case .array(let values)? = value else { return [] }
        return values.prefix(limit).compactMap { value in
            guard case .string(let id) = value, NodeCard.isID(id) else { return nil }
            return id
        }
    }
}
