internal import Foundation
internal import Yams

/// How a token is written: EdgeVPN's configuration of a network, as YAML, in base64.
///
/// ```
/// otp:
///   dht: {interval: 9000, key: …, length: 43}
///   crypto: {interval: 9000, key: …, length: 43}
/// room: …
/// rendezvous: …
/// mdns: …
/// max_message_size: 20971520
/// ```
///
/// Ours are `v`, `bootstrap` and `relay`, which EdgeVPN passes over, as we do keys that we do not know. Everything that is read here may
/// come from anybody.
enum TokenForm {
    static let interval = 9000
    static let length = 43
    static let messageSize = 20 << 20
    static let newestVersion = 1

    /// Bytes that the two keys of a token have together at least. Its network's tag is sent in the clear, and whoever hears it can try
    /// what they guess.
    static let leastKeyByteCount = 16
    /// Lists and mappings in each other on a line, a token has one; and brackets in all, of which addresses have some.
    private static let depthLimit = 16
    private static let bracketLimit = 256
    private static let listLimit = 64

    // MARK: reading

    static func token(_ text: String) throws(TokenError) -> NetworkToken {
        let yaml = try yaml(text)
        try checkForm(yaml)
        guard let document = try? Parser(yaml: yaml, encoding: .utf8).singleRoot() else { throw .notYAML }
        guard case .mapping(let top) = document else { throw .notMapping }
        let version = try integer("v", of: top, default: 1, range: 1...Int.max)
        if version > newestVersion { throw .tooNew(version: version) }
        let otp = try mapping("otp", of: top, path: "otp")
        var token = NetworkToken(
            discovery: try key("dht", of: otp), sealing: try key("crypto", of: otp), room: try word("room", of: top, path: "room"),
            rendezvous: try word("rendezvous", of: top, path: "rendezvous"), mdns: try optionalWord("mdns", of: top) ?? "",
            maximumMessageSize: try integer("max_message_size", of: top, default: messageSize, range: 0...Int.max))
        token.version = version
        token.bootstrap = try list("bootstrap", of: top)
        token.relays = try list("relay", of: top)
        if token.discovery.key.utf8.count + token.sealing.key.utf8.count < leastKeyByteCount {
            throw .guessable(leastByteCount: leastKeyByteCount)
        }
        return token
    }

    private static func yaml(_ text: String) throws(TokenError) -> String {
        if text.utf8.count > NetworkToken.byteCountLimit { throw .tooLong(limit: NetworkToken.byteCountLimit) }
        var digits: [UInt8] = []
        var padding = 0
        for byte in text.utf8 {
            switch byte {
            case 0x20, 0x09...0x0d: continue
            case UInt8(ascii: "="): padding += 1
            case _ where padding > 0: throw .notBase64
            case UInt8(ascii: "-"): digits.append(UInt8(ascii: "+"))
            case UInt8(ascii: "_"): digits.append(UInt8(ascii: "/"))
            default: digits.append(byte)
            }
        }
        if digits.isEmpty && padding == 0 { throw .empty }
        let missing = (4 - digits.count % 4) % 4
        guard missing < 3, padding == 0 || padding == missing else { throw .notBase64 }
        digits += [UInt8](repeating: UInt8(ascii: "="), count: missing)
        guard let bytes = Data(base64Encoded: Data(digits)) else { throw .notBase64 }
        guard let yaml = String(validating: bytes, as: UTF8.self) else { throw .notUTF8 }
        return yaml
    }

    /// What must not reach the parser of YAML: it goes into itself for what is nested, and a few aliases of aliases as keys keep it busy for
    /// years.
    private static func checkForm(_ yaml: String) throws(TokenError) {
        var brackets = 0
        var isInsideWord = false
        var atLineStart = true
        var indentation = 0
        var openings = 0
        for byte in yaml.utf8 {
            switch byte {
            case 0x0a, 0x0d: (atLineStart, indentation, openings) = (true, 0, 0)
            case 0x20, 0x09, UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: ":"):
                // Marks of entries and keys at a line's beginning open blocks in each other.
                if atLineStart {
                    indentation += 1
                    if byte != 0x20 && byte != 0x09 { openings += 1 }
                }
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                brackets += 1
                atLineStart = false
            case UInt8(ascii: "&"), UInt8(ascii: "*"):
                // Inside a word they are letters like others.
                if !isInsideWord { throw .hasAliases }
                atLineStart = false
            default: atLineStart = false
            }
            if brackets > bracketLimit || openings > depthLimit || indentation > 8 * depthLimit { throw .tooDeep }
            isInsideWord = byte >= 0x80 || UnicodeScalar(byte).properties.isAlphabetic || (0x30...0x39).contains(byte)
        }
    }

    private static func value(_ key: String, of mapping: Node.Mapping) -> Node? {
        mapping.first { $0.key.scalar?.string == key }?.value
    }

    private static func mapping(_ key: String, of outer: Node.Mapping, path: String) throws(TokenError) -> Node.Mapping {
        guard let value = value(key, of: outer), !isNull(value) else { throw .missing(key: path) }
        guard case .mapping(let mapping) = value else { throw .wrongKind(key: path, expected: "a mapping") }
        return mapping
    }

    private static func key(_ name: String, of otp: Node.Mapping) throws(TokenError) -> NetworkToken.OneTimeKey {
        let path = "otp.\(name)"
        let mapping = try mapping(name, of: otp, path: path)
        return NetworkToken.OneTimeKey(
            key: try word("key", of: mapping, path: "\(path).key"),
            interval: try integer("interval", of: mapping, path: path, default: interval, range: 1...Int(Int32.max)),
            length: try integer("length", of: mapping, path: path, default: length, range: 1...1024))
    }

    private static func word(_ key: String, of mapping: Node.Mapping, path: String) throws(TokenError) -> String {
        guard let word = try optionalWord(key, of: mapping, path: path), !word.isEmpty else { throw .missing(key: path) }
        return word
    }

    /// A word, as it is written: EdgeVPN takes numbers and truth values for texts here.
    private static func optionalWord(_ key: String, of mapping: Node.Mapping, path: String? = nil) throws(TokenError) -> String? {
        guard let value = value(key, of: mapping), !isNull(value) else { return nil }
        guard case .scalar(let scalar) = value else { throw .wrongKind(key: path ?? key, expected: "a text") }
        return scalar.string
    }

    private static func integer(
        _ key: String, of mapping: Node.Mapping, path: String? = nil, default usual: Int, range: ClosedRange<Int>
    ) throws(TokenError) -> Int {
        let path = path.map { "\($0).\(key)" } ?? key
        guard let value = value(key, of: mapping), !isNull(value) else { return usual }
        guard case .scalar(let scalar) = value, let number = Int(scalar.string) else {
            throw .wrongKind(key: path, expected: "a whole number")
        }
        guard range.contains(number) else { throw .outOfRange(key: path, range: range) }
        return number
    }

    private static func list(_ key: String, of mapping: Node.Mapping) throws(TokenError) -> [String] {
        guard let value = value(key, of: mapping), !isNull(value) else { return [] }
        guard case .sequence(let sequence) = value, sequence.count <= listLimit else {
            throw .wrongKind(key: key, expected: "a list of at most \(listLimit) texts")
        }
        var texts: [String] = []
        for element in sequence {
            guard case .scalar(let scalar) = element else { throw .wrongKind(key: key, expected: "a list of at most \(listLimit) texts") }
            texts.append(scalar.string)
        }
        return texts
    }

    private static func isNull(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    // MARK: writing

    static func text(_ token: NetworkToken) -> String {
        var lines = ["otp:"]
        for (name, key) in [("dht", token.discovery), ("crypto", token.sealing)] {
            lines += ["  \(name):", "    interval: \(key.interval)", "    key: \(spelling(key.key))", "    length: \(key.length)"]
        }
        lines += ["room: \(spelling(token.room))", "rendezvous: \(spelling(token.rendezvous))", "mdns: \(spelling(token.mdns))"]
        lines.append("max_message_size: \(token.maximumMessageSize)")
        if token.version != 1 { lines.append("v: \(token.version)") }
        for (name, texts) in [("bootstrap", token.bootstrap), ("relay", token.relays)] where !texts.isEmpty {
            lines.append("\(name):")
            lines += texts.map { "- \(spelling($0))" }
        }
        return Data((lines.joined(separator: "\n") + "\n").utf8).base64EncodedString()
    }

    /// A text as a scalar of YAML: as it is where that can mean nothing else, otherwise in quotes.
    private static func spelling(_ text: String) -> String {
        let letters = text.unicodeScalars.filter { $0.isASCII && $0.properties.isAlphabetic }
        // Words that mean something (true, null) are shorter, and numbers have no letters but these.
        let isPlain =
            text.utf8.count > 5 && letters.contains { !"abcdefoxABCDEFOX".unicodeScalars.contains($0) }
            && text.utf8.allSatisfy { UnicodeScalar($0).isASCII && UnicodeScalar($0).properties.isAlphabetic || (0x30...0x39).contains($0) }
        if isPlain { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case " "..."~": quoted.unicodeScalars.append(scalar)
            default: quoted += "\\U" + String(format: "%08X", scalar.value)
            }
        }
        return quoted + "\""
    }
}
