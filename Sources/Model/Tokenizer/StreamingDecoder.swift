/// Turns tokens into text as they are generated. A character may be spread over several tokens; only whole characters
/// come out, and what can no longer become one comes out as U+FFFD.
///
/// The pieces put together are the same text as decoding all bytes at once.
public struct StreamingDecoder: Sendable {
    private let tokenizer: any Tokenizer
    private let renderSpecial: Bool
    /// The bytes of a character begun but not finished, at most 3.
    private var pending: [UInt8] = []

    /// - Parameter renderSpecial: also write control tokens, as their texts.
    public init(tokenizer: any Tokenizer, renderSpecial: Bool = false) {
        self.tokenizer = tokenizer
        self.renderSpecial = renderSpecial
    }

    /// The text that is certain once this token is there; often empty within a character.
    public mutating func append(_ token: Int32) -> String {
        tokenizer.appendPiece(of: token, renderSpecial: renderSpecial, to: &pending)
        let whole = pending.count - Self.unfinishedSuffix(of: pending)
        guard whole > 0 else { return "" }
        let text = String(decoding: pending[..<whole], as: UTF8.self)
        pending.removeFirst(whole)
        return text
    }

    /// The rest at the end: empty, or U+FFFD for a character that never came to its end.
    public mutating func finish() -> String {
        defer { pending.removeAll() }
        return String(decoding: pending, as: UTF8.self)
    }

    /// How many bytes at the end are the start of a sequence that further bytes could complete (RFC 3629's table).
    static func unfinishedSuffix(of bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            if lead & 0xC0 == 0x80 { continue }
            let wanted =
                switch lead {
                case 0xC2...0xDF: 2
                case 0xE0...0xEF: 3
                case 0xF0...0xF4: 4
                default: 1
                }
            guard length < wanted else { return 0 }
            guard length > 1 else { return 1 }
            let second = bytes[bytes.count - length + 1]
            let allowed: ClosedRange<UInt8> =
                switch lead {
                case 0xE0: 0xA0...0xBF
                case 0xED: 0x80...0x9F
                case 0xF0: 0x90...0xBF
                case 0xF4: 0x80...0x8F
                default: 0x80...0xBF
                }
            return allowed.contains(second) ? length : 0
        }
        return 0
    }
}
