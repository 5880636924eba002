/// Why a text is not JSON that we accept.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    public var message: String
    /// Where it was noticed, in bytes from the start.
    public var offset: Int

    public var description: String { "\(message) at byte \(offset)" }
}

/// Limits to what a JSON text may ask of us. Bytes are limited by whoever receives them.
public struct JSONLimits: Hashable, Sendable {
    /// Arrays and objects inside each other.
    public var depth: Int
    /// Values, names of members not counted.
    public var values: Int

    public init(depth: Int = 64, values: Int = 1_000_000) {
        self.depth = depth
        self.values = values
    }
}

extension JSONValue {
    /// Parses a whole text by RFC 8259, strictly.
    ///
    /// Refused as well: invalid UTF-8, numbers beyond a Double's range, lone surrogates, a member named twice.
    public init(parsing bytes: some Collection<UInt8>, limits: JSONLimits = JSONLimits()) throws(JSONError) {
        let parsed: Result<JSONValue, JSONError>?
        parsed = bytes.withContiguousStorageIfAvailable { JSONValue.parse(UnsafeBufferPointer(rebasing: $0[...]), limits) }
        if let parsed {
            self = try parsed.get()
        } else {
            self = try Array(bytes).withUnsafeBufferPointer { JSONValue.parse($0, limits) }.get()
        }
    }

    private static func parse(_ bytes: UnsafeBufferPointer<UInt8>, _ limits: JSONLimits) -> Result<JSONValue, JSONError> {
        var parser = JSONParser(bytes: bytes, limits: limits)
        do throws(JSONError) {
            return .success(try parser.document())
        } catch {
            return .failure(error)
        }
    }
}

private struct JSONParser {
    let bytes: UnsafeBufferPointer<UInt8>
    let limits: JSONLimits
    var position = 0
    var depth = 0
    var values = 0

    init(bytes: UnsafeBufferPointer<UInt8>, limits: JSONLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    /// The next byte, or 0 (which is valid nowhere outside of strings) at the end.
    var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

    func error(_ message: String) -> JSONError {
        JSONError(message: position < bytes.count ? message : "the text ends too early: \(message)", offset: position)
    }

    mutating func document() throws(JSONError) -> JSONValue {
        skipSpace()
        if position == bytes.count { throw JSONError(message: "the text is empty", offset: 0) }
        let value = try value()
        skipSpace()
        if position != bytes.count { throw error("something follows the JSON value") }
        return value
    }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0a, 0x0d, 0x09: position += 1
            default: return
            }
        }
    }

    mutating func value() throws(JSONError) -> JSONValue {
        values += 1
        if values > limits.values { throw error("there are more than \(limits.values) values") }
        switch current {
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw error("a value was expected")
        }
    }

    mutating func word(_ spelling: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let start = position
        for index in 0..<spelling.utf8CodeUnitCount {
            if current != spelling.utf8Start[index] {
                position = start
                throw error("a value was expected")
            }
            position += 1
        }
        return value
    }

    mutating func enter() throws(JSONError) {
        depth += 1
        if depth > limits.depth { throw error("values are nested more than \(limits.depth) deep") }
        position += 1
        skipSpace()
    }

    mutating func array() throws(JSONError) -> [JSONValue] {
        try enter()
        defer { depth -= 1 }
        var elements: [JSONValue] = []
        if current == UInt8(ascii: "]") {
            position += 1
            return elements
        }
        while true {
            elements.append(try value())
            skipSpace()
            switch current {
            case UInt8(ascii: ","):
                position += 1
                skipSpace()
            case UInt8(ascii: "]"):
                position += 1
                return elements
            default: throw error("',' or ']' was expected")
            }
        }
    }

    mutating func object() throws(JSONError) -> JSONObject {
        try enter()
        defer { depth -= 1 }
        var members = JSONObject()
        var names: Set<String> = []
        if current == UInt8(ascii: "}") {
            position += 1
            return members
        }
        while true {
            if current != UInt8(ascii: "\"") { throw error("a member's name was expected") }
            let nameOffset = position
            let name = try string()
            if !names.insert(name).inserted {
                throw JSONError(message: "the member \"\(name.prefix(64))\" occurs twice", offset: nameOffset)
            }
            skipSpace()
            if current != UInt8(ascii: ":") { throw error("':' was expected") }
            position += 1
            skipSpace()
            members.append(name, try value())
            skipSpace()
            switch current {
            case UInt8(ascii: ","):
                position += 1
                skipSpace()
            case UInt8(ascii: "}"):
                position += 1
                return members
            default: throw error("',' or '}' was expected")
            }
        }
    }
}

// MARK: - Numbers

extension JSONParser {
    mutating func digits() throws(JSONError) {
        let start = position
        while (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(current) { position += 1 }
        if position == start { throw error("a digit was expected") }
    }

    mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        var isInteger = true
        if current == UInt8(ascii: "-") { position += 1 }
        if current == UInt8(ascii: "0") {
            position += 1
        } else {
            try digits()
        }
        if current == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            try digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        // A longer spelling than this names no number that anyone means.
        if position - start > 512 { throw JSONError(message: "a number is too long", offset: start) }
        let spelling = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let integer = Int(spelling) { return .integer(integer) }
        guard let number = Double(spelling), number.isFinite else {
            throw JSONError(message: "a number is too large", offset: start)
        }
        return .number(number)
    }
}

// MARK: - Strings

extension JSONParser {
    mutating func string() throws(JSONError) -> String {
        let start = position
        position += 1
        // Most strings hold no escape: their bytes are taken as they are.
        while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\") {
            if bytes[position] < 0x20 { throw error("a control character stands in a string; write it as \\u00XX") }
            position += 1
        }
        if current == UInt8(ascii: "\"") {
            let plain = UnsafeBufferPointer(rebasing: bytes[start + 1..<position])
            position += 1
            return try text(plain, at: start)
        }
        var unescaped = [UInt8](bytes[start + 1..<position])
        while true {
            if position == bytes.count { throw error("a string has no end") }
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try unescaped.withUnsafeBufferPointer { bytes in Result { () throws(JSONError) in try text(bytes, at: start) } }
                    .get()
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &unescaped)
            case 0..<0x20: throw error("a control character stands in a string; write it as \\u00XX")
            default:
                unescaped.append(byte)
                position += 1
            }
        }
    }

    func text(_ utf8: UnsafeBufferPointer<UInt8>, at start: Int) throws(JSONError) -> String {
        guard let text = String(validating: utf8, as: UTF8.self) else {
            throw JSONError(message: "a string is not valid UTF-8", offset: start)
        }
        return text
    }

    mutating func escape(into unescaped: inout [UInt8]) throws(JSONError) {
        let kind = current
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(kind)
        case UInt8(ascii: "b"): unescaped.append(0x08)
        case UInt8(ascii: "f"): unescaped.append(0x0c)
        case UInt8(ascii: "n"): unescaped.append(0x0a)
        case UInt8(ascii: "r"): unescaped.append(0x0d)
        case UInt8(ascii: "t"): unescaped.append(0x09)
        case UInt8(ascii: "u"):
            position += 1
            unescaped.append(contentsOf: String(try escapedScalar()).utf8)
            return
        default: throw error("an unknown escape stands in a string")
        }
        position += 1
    }

    mutating func escapedScalar() throws(JSONError) -> Character {
        let start = position
        let first = try codeUnit()
        var value = UInt32(first)
        if (0xd800...0xdbff).contains(first), current == UInt8(ascii: "\\"),
            position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "u")
        {
            position += 2
            let second = try codeUnit()
            if (0xdc00...0xdfff).contains(second) {
                value = 0x10000 + ((UInt32(first) - 0xd800) << 10) + (UInt32(second) - 0xdc00)
            }
        }
        guard let scalar = Unicode.Scalar(value) else {
            throw JSONError(message: "half of a surrogate pair stands in a string", offset: start)
        }
        return Character(scalar)
    }

    mutating func codeUnit() throws(JSONError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch current {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = current - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = current - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = current - UInt8(ascii: "A") + 10
            default: throw error("four hexadecimal digits were expected after \\u")
            }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return value
    }
}
