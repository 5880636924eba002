/// The TXT record of a service (RFC 6763, section 6): entries `key=value`, each behind a byte that holds its length.
///
/// Records come from anybody: what is not wholly as it should be is refused as a whole.
package enum ServiceText {
    /// Bytes of a record, so that it fits a packet.
    package static let byteLimit = 1300
    package static let entryLimit = 16

    /// The record's bytes.
    ///
    /// - Parameter entries: keys of printable ASCII without `=`, in lower case; values without control characters. In order of keys.
    package static func encode(_ entries: [String: String]) throws(ServiceTextError) -> [UInt8] {
        guard entries.count <= entryLimit else { throw .tooManyEntries }
        var bytes: [UInt8] = []
        for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
            guard isKey(key.utf8), !key.utf8.contains(where: isUpperCase) else { throw .wrongKey }
            guard isValue(value) else { throw .wrongValue }
            let entry = Array(key.utf8) + [UInt8(ascii: "=")] + Array(value.utf8)
            guard let length = UInt8(exactly: entry.count) else { throw .tooLong }
            bytes.append(length)
            bytes += entry
        }
        guard bytes.count <= byteLimit else { throw .tooLong }
        // An empty record has one entry, which is empty.
        return bytes.isEmpty ? [0] : bytes
    }

    /// The entries of a record. Keys are in lower case; of several with one key the first counts; an entry without `=` has the value "".
    package static func parse(_ bytes: [UInt8]) throws(ServiceTextError) -> [String: String] {
        guard bytes.count <= byteLimit else { throw .tooLong }
        var entries: [String: String] = [:]
        var rest = bytes[...]
        var count = 0
        while let length = rest.popFirst() {
            guard length > 0 else { continue }
            guard rest.count >= Int(length) else { throw .cutShort }
            count += 1
            guard count <= entryLimit else { throw .tooManyEntries }
            let entry = rest.prefix(Int(length))
            rest.removeFirst(Int(length))
            let end = entry.firstIndex(of: UInt8(ascii: "=")) ?? entry.endIndex
            guard isKey(entry[..<end]) else { throw .wrongKey }
            guard let value = String(validating: entry[end...].dropFirst(), as: UTF8.self), isValue(value) else { throw .wrongValue }
            let key = String(decoding: entry[..<end].map { isUpperCase($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
            if entries[key] == nil { entries[key] = value }
        }
        return entries
    }

    private static func isKey(_ bytes: some Collection<UInt8>) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy { (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "=") }
    }

    private static func isUpperCase(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }

    private static func isValue(_ text: String) -> Bool { text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } }
}

/// What is wrong with a TXT record.
package enum ServiceTextError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooLong, tooManyEntries, cutShort, wrongKey, wrongValue

    package var description: String {
        switch self {
        case .tooLong: "a TXT record has at most \(ServiceText.byteLimit) bytes, and an entry 255"
        case .tooManyEntries: "a TXT record has at most \(ServiceText.entryLimit) entries"
        case .cutShort: "an entry of a TXT record ends behind the record"
        case .wrongKey: "a key in a TXT record is printable ASCII without '='"
        case .wrongValue: "a value in a TXT record is UTF-8 without control characters"
        }
    }
}
