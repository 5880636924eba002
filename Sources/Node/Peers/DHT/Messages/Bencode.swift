/// A value in the encoding of BitTorrent's messages (BEP 3): integers, byte strings, lists and dictionaries.
package indirect enum Bencode: Hashable, Sendable {
    case integer(Int)
    case bytes([UInt8])
    case list([Bencode])
    case dictionary([[UInt8]: Bencode])

    /// Values within values, and values in all, that bytes of anybody's may have.
    package static let depthLimit = 8
    package static let countLimit = 1024

    package static func text(_ text: String) -> Bencode { .bytes(Array(text.utf8)) }

    // MARK: Looking

    /// A member of a dictionary; nil for anything else.
    package subscript(key: String) -> Bencode? {
        guard case .dictionary(let members) = self else { return nil }
        return members[Array(key.utf8)]
    }

    package var bytes: [UInt8]? {
        guard case .bytes(let bytes) = self else { return nil }
        return bytes
    }

    package var integer: Int? {
        guard case .integer(let integer) = self else { return nil }
        return integer
    }

    package var list: [Bencode]? {
        guard case .list(let list) = self else { return nil }
        return list
    }

    // MARK: Writing

    /// The bytes that say it; members of dictionaries in the order of their keys.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .integer(let integer): bytes += Array("i\(integer)e".utf8)
        case .bytes(let content): Bencode.append(content, to: &bytes)
        case .list(let values):
            bytes.append(UInt8(ascii: "l"))
            for value in values { value.append(to: &bytes) }
            bytes.append(UInt8(ascii: "e"))
        case .dictionary(let members):
            bytes.append(UInt8(ascii: "d"))
            for (key, value) in members.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                Bencode.append(key, to: &bytes)
                value.append(to: &bytes)
            }
            bytes.append(UInt8(ascii: "e"))
        }
    }

    private static func append(_ content: [UInt8], to bytes: inout [UInt8]) {
        bytes += Array("\(content.count):".utf8)
        bytes += content
    }

    // MARK: Reading

    /// - Parameter bytes: of anybody's, the whole of a message.
    /// - Returns: nil for what is not well formed, has something behind its end, or goes beyond the limits. Keys need not be in order, since
    ///   some programs have them in none, but none may stand twice.
    package init?(_ bytes: [UInt8]) {
        var reader = Reader(bytes: bytes)
        guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
        self = value
    }

    private struct Reader {
        let bytes: [UInt8]
        var at = 0
        var count = 0

        var isAtEnd: Bool { at == bytes.count }
        private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

        mutating func value(depth: Int) -> Bencode? {
            count += 1
            guard depth <= Bencode.depthLimit, count <= Bencode.countLimit, let first = next else { return nil }
            switch first {
            case UInt8(ascii: "i"):
                at += 1
                return integer(until: UInt8(ascii: "e"), isSigned: true).map { .integer($0) }
            case UInt8(ascii: "l"):
                at += 1
                var values: [Bencode] = []
                while let byte = next, byte != UInt8(ascii: "e") {
                    guard let value = value(depth: depth + 1) else { return nil }
                    values.append(value)
                }
                return end() ? .list(values) : nil
            case UInt8(ascii: "d"):
                at += 1
                var members: [[UInt8]: Bencode] = [:]
                while let byte = next, byte != UInt8(ascii: "e") {
                    guard let key = string(), let value = value(depth: depth + 1), members.updateValue(value, forKey: key) == nil else {
                        return nil
                    }
                }
                return end() ? .dictionary(members) : nil
            default: return string().map { .bytes($0) }
            }
        }

        private mutating func end() -> Bool {
            guard next == UInt8(ascii: "e") else { return false }
            at += 1
            return true
        }

        private mutating func string() -> [UInt8]? {
            guard let length = integer(until: UInt8(ascii: ":"), isSigned: false), length <= bytes.count - at else { return nil }
            defer { at += length }
            return Array(bytes[at..<(at + length)])
        }

        /// Digits up to a mark, in the only way in which a number may be written.
        private mutating func integer(until mark: UInt8, isSigned: Bool) -> Int? {
            var isNegative = false
            if isSigned, next == UInt8(ascii: "-") {
                isNegative = true
                at += 1
            }
            let start = at
            var number = 0
            while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                let (tenfold, isTooLarge) = number.multipliedReportingOverflow(by: 10)
                let (sum, isBeyond) = tenfold.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
                if isTooLarge || isBeyond { return nil }
                number = sum
                at += 1
            }
            let digits = at - start
            guard digits > 0, next == mark, digits == 1 || bytes[start] != UInt8(ascii: "0"), !(isNegative && number == 0) else {
                return nil
            }
            at += 1
            return isNegative ? -number : number
        }
    }
}
