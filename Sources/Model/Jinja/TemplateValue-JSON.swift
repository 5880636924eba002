extension TemplateValue {
    /// What can be wrong with a JSON text.
    public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
        public let message: String
        /// In bytes from the start.
        public let offset: Int

        public var description: String { "\(message) at byte \(offset) of the JSON text" }
    }

    /// Reads a JSON text (RFC 8259), keeping the order of keys.
    ///
    /// Whole numbers that fit become `.int`. Nesting is limited to 128 levels.
    public init(json: some Sequence<UInt8>) throws(JSONError) {
        var reader = JSONReader(bytes: Array(json))
        self = try reader.document()
    }
}

private struct JSONReader {
    typealias Failure = TemplateValue.JSONError

    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    private static let deepest = 128

    func failure(_ message: String) -> Failure { Failure(message: message, offset: position) }

    mutating func document() throws(Failure) -> TemplateValue {
        let value = try self.value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw failure("unexpected text after the value") }
        return value
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skip(_ byte: Unicode.Scalar) -> Bool {
        guard peek() == UInt8(ascii: byte) else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(Failure) -> TemplateValue {
        guard depth < Self.deepest else { throw failure("values nested too deep") }
        skipSpace()
        switch peek() {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw failure("unexpected end")
        default: return try number()
        }
    }

    private mutating func word(_ word: String, _ value: TemplateValue) throws(Failure) -> TemplateValue {
        guard bytes[position...].starts(with: word.utf8) else { throw failure("unexpected character") }
        position += word.utf8.count
        return value
    }

    private mutating func array(depth: Int) throws(Failure) -> TemplateValue {
        position += 1
        var elements: [TemplateValue] = []
        skipSpace()
        if skip("]") { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if skip("]") { return .array(elements) }
            guard skip(",") else { throw failure("expected ',' or ']'") }
        }
    }

    private mutating func object(depth: Int) throws(Failure) -> TemplateValue {
        position += 1
        var object = TemplateObject()
        skipSpace()
        if skip("}") { return .object(object) }
        while true {
            skipSpace()
            guard peek() == UInt8(ascii: "\"") else { throw failure("expected a key") }
            let key = try string()
            skipSpace()
            guard skip(":") else { throw failure("expected ':'") }
            object[key] = try value(depth: depth + 1)
            skipSpace()
            if skip("}") { return .object(object) }
            guard skip(",") else { throw failure("expected ',' or '}'") }
        }
    }

    private mutating func number() throws(Failure) -> TemplateValue {
        let start = position
        var isWhole = true
        _ = skip("-")
        let leading = peek()
        guard digits() else { throw failure("unexpected character") }
        if leading == UInt8(ascii: "0"), bytes[position - 1] != leading || position - start > (bytes[start] == 0x2D ? 2 : 1) {
            throw failure("a number with a leading zero")
        }
        if skip(".") {
            isWhole = false
            guard digits() else { throw failure("expected a digit") }
        }
        if skip("e") || skip("E") {
            isWhole = false
            if !skip("+") { _ = skip("-") }
            guard digits() else { throw failure("expected a digit") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let whole = Int(text) { return .int(whole) }
        guard let number = Double(text) else { throw failure("not a number") }
        return .double(number)
    }

    private mutating func digits() -> Bool {
        let start = position
        while let byte = peek(), byte >= 0x30, byte <= 0x39 { position += 1 }
        return position > start
    }

    private mutating func string() throws(Failure) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = peek() {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): text.append(contentsOf: try escape())
            case 0..<0x20: throw failure("control character in a string")
            default: text.append(byte)
            }
        }
        throw failure("string without an end")
    }

    private mutating func escape() throws(Failure) -> [UInt8] {
        guard let byte = peek() else { throw failure("string without an end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [8]
        case UInt8(ascii: "f"): return [12]
        case UInt8(ascii: "n"): return [10]
        case UInt8(ascii: "r"): return [13]
        case UInt8(ascii: "t"): return [9]
        case UInt8(ascii: "u"): break
        default: throw failure("unknown escape")
        }
        var code = try hexadecimal()
        if code & 0xFC00 == 0xD800, bytes[position...].starts(with: "\\u".utf8) {
            let start = position
            position += 2
            let low = try hexadecimal()
            if low & 0xFC00 == 0xDC00 { code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF } else { position = start }
        }
        return Array(String(Unicode.Scalar(code).map(Character.init) ?? "\u{FFFD}").utf8)
    }

    private mutating func hexadecimal() throws(Failure) -> UInt32 {
        guard position + 4 <= bytes.count, bytes[position..<(position + 4)].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let code = UInt32(String(decoding: bytes[position..<(position + 4)], as: UTF8.self), radix: 16)
        else { throw failure("expected four hexadecimal digits") }
        position += 4
        return code
    }
}
