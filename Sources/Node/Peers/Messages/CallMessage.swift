/// What is said in a tunnel by which a node waits at another to be called (``TunnelGreeting/Purpose/attend``): a kind (1 byte), the size of
/// what follows (2 bytes, little-endian), and that.
package enum CallMessage: Hashable, Sendable {
    /// Are you there?
    case question
    case answer
    /// Come here with this ticket: somebody wants to be connected with you.
    case call(CallTicket)
    /// Come here with this ticket, from a port that can be used again: somebody wants to meet you half-way
    /// (``TunnelGreeting/Purpose/punch``).
    case punch(CallTicket)

    private enum Kind: UInt8 {
        case question = 1
        case answer = 2
        case call = 3
        case punch = 4
    }

    static let headByteCount = 3
    /// Bytes behind the head; what is longer is none of ours.
    static let largestBody = 256

    package var encoded: [UInt8] {
        let (kind, body): (Kind, [UInt8]) =
            switch self {
            case .question: (.question, [])
            case .answer: (.answer, [])
            case .call(let ticket): (.call, ticket.bytes)
            case .punch(let ticket): (.punch, ticket.bytes)
            }
        return [kind.rawValue, UInt8(truncatingIfNeeded: body.count), UInt8(truncatingIfNeeded: body.count >> 8)] + body
    }

    /// Takes the first message from what has come, if all of it has.
    ///
    /// - Throws: for what no node says.
    package static func take(from bytes: inout ArraySlice<UInt8>) throws(TunnelError) -> CallMessage? {
        guard bytes.count >= headByteCount else { return nil }
        let head = Array(bytes.prefix(headByteCount))
        let size = Int(head[1]) | Int(head[2]) << 8
        guard size <= largestBody else { throw TunnelError("it sends a message of \(size) bytes, and \(largestBody) are allowed") }
        guard bytes.count >= headByteCount + size else { return nil }
        let body = bytes.dropFirst(headByteCount).prefix(size)
        defer { bytes = bytes.dropFirst(headByteCount + size) }
        switch Kind(rawValue: head[0]) {
        case .question?: return .question
        case .answer?: return .answer
        case .call?: return .call(try ticket(body))
        case .punch?: return .punch(try ticket(body))
        case nil: throw TunnelError("it sends a message of a kind that there is not (\(head[0]))")
        }
    }
}

extension CallMessage {
    private static func ticket(_ body: ArraySlice<UInt8>) throws(TunnelError) -> CallTicket {
        guard let ticket = CallTicket(bytes: Array(body)) else { throw TunnelError("it calls with a ticket that is none") }
        return ticket
    }
}

/// What tells one call from another, and cannot be guessed.
package struct CallTicket: Hashable, Sendable {
    package let bytes: [UInt8]

    private static let byteCount = 16

    /// A new one.
    package init() {
        var random = SystemRandomNumberGenerator()
        bytes = (0..<CallTicket.byteCount).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    /// Nil for bytes that are none.
    package init?(bytes: [UInt8]) {
        guard bytes.count == CallTicket.byteCount else { return nil }
        self.bytes = bytes
    }

    /// 32 hexadecimal digits.
    package init?(text: String) {
        guard NodeCard.isID(text) else { return nil }
        let digits = text.utf8.map { $0 < UInt8(ascii: "a") ? $0 - UInt8(ascii: "0") : $0 - UInt8(ascii: "a") + 10 }
        bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    package var text: String {
        bytes.flatMap { [$0 >> 4, $0 & 15] }.map { String($0, radix: 16) }.joined()
    }
}
