extension JSONValue {
    /// The value as JSON text, without spaces.
    public var text: String {
        String(decoding: utf8, as: UTF8.self)
    }

    /// As ``text``, in bytes.
    public var utf8: [UInt8] {
        var bytes: [UInt8] = []
        write(into: &bytes)
        return bytes
    }

    /// The value as JSON text over several lines, for people.
    public var indented: String {
        var bytes: [UInt8] = []
        write(into: &bytes, indentation: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(into bytes: inout [UInt8], indentation: Int? = nil) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .number(let value): bytes.append(contentsOf: JSONValue.spelling(of: value).utf8)
        case .string(let value): JSONValue.write(value, into: &bytes)
        case .array(let elements):
            JSONValue.writeList("[", elements, "]", into: &bytes, indentation) { element, bytes, inner in
                element.write(into: &bytes, indentation: inner)
            }
        case .object(let object):
            JSONValue.writeList("{", object.members, "}", into: &bytes, indentation) { member, bytes, inner in
                JSONValue.write(member.name, into: &bytes)
                bytes.append(contentsOf: (inner == nil ? ":" : ": ").utf8)
                member.value.write(into: &bytes, indentation: inner)
            }
        }
    }

    private static func writeList<Element>(
        _ open: Unicode.Scalar, _ elements: [Element], _ close: Unicode.Scalar, into bytes: inout [UInt8], _ indentation: Int?,
        each: (Element, inout [UInt8], Int?) -> Void
    ) {
        bytes.append(UInt8(ascii: open))
        let inner = indentation.map { $0 + 2 }
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            if let inner { newLine(inner, into: &bytes) }
            each(element, &bytes, inner)
        }
        if let indentation, !elements.isEmpty { newLine(indentation, into: &bytes) }
        bytes.append(UInt8(ascii: close))
    }

    private static func newLine(_ indentation: Int, into bytes: inout [UInt8]) {
        bytes.append(0x0a)
        bytes.append(contentsOf: repeatElement(0x20, count: indentation))
    }

    /// JSON has no spelling for what is not finite.
    private static func spelling(of value: Double) -> String {
        guard value.isFinite else { return "null" }
        let spelling = "\(value)"
        return spelling.hasSuffix(".0") && value.magnitude < 1e15 ? String(spelling.dropLast(2)) : spelling
    }

    private static let hexadecimal = Array("0123456789abcdef".utf8)

    private static func write(_ text: String, into bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: "\\\"".utf8)
            case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
            case 0x0a: bytes.append(contentsOf: "\\n".utf8)
            case 0x0d: bytes.append(contentsOf: "\\r".utf8)
            case 0x09: bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7f:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(hexadecimal[Int(byte >> 4)])
                bytes.append(hexadecimal[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
