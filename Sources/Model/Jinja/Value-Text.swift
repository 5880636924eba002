// Values as text, by Python's rules: `str`, `repr` and `json.dumps`.

extension Value {
    /// What printing the value writes. Appends to `output`; stops with false once that has more than `limit` bytes.
    func write(to output: inout String, limit: Int) -> Bool {
        switch self {
        case .undefined: return true
        case .string(let text), .markup(let text): output += text
        default: return writeRepresentation(to: &output, limit: limit)
        }
        return output.utf8.count <= limit
    }

    /// The value as Python source would have it.
    func writeRepresentation(to output: inout String, limit: Int) -> Bool {
        switch self {
        case .undefined: output += "Undefined"
        case .none: output += "None"
        case .bool(let truth): output += truth ? "True" : "False"
        case .int(let number): output += String(number)
        case .double(let number): output += Self.python(number)
        case .string(let text): Self.quote(text, into: &output)
        case .markup(let text):
            output += "Markup("
            Self.quote(text, into: &output)
            output += ")"
        case .list(let list):
            output += "["
            guard Self.write(list.elements, to: &output, limit: limit) else { return false }
            output += "]"
        case .tuple(let list):
            output += "("
            guard Self.write(list.elements, to: &output, limit: limit) else { return false }
            output += list.elements.count == 1 ? ",)" : ")"
        case .dictionary(let dictionary):
            output += "{"
            for (index, (key, value)) in zip(dictionary.map.keys, dictionary.map.values).enumerated() {
                if index > 0 { output += ", " }
                guard key.value.writeRepresentation(to: &output, limit: limit) else { return false }
                output += ": "
                guard value.writeRepresentation(to: &output, limit: limit) else { return false }
            }
            output += "}"
        // Not the attributes: one may be the namespace itself.
        case .namespace: output += "<Namespace>"
        case .macro(let macro): output += "<Macro '\(macro.definition.name)'>"
        case .function, .method: output += "<function>"
        case .loop(let loop): output += "<LoopContext \(loop.index + 1)/\(loop.elements.count)>"
        }
        return output.utf8.count <= limit
    }

    private static func write(_ elements: [Value], to output: inout String, limit: Int) -> Bool {
        for (index, element) in elements.enumerated() {
            if index > 0 { output += ", " }
            guard element.writeRepresentation(to: &output, limit: limit) else { return false }
        }
        return true
    }

    /// A float as Python writes it.
    static func python(_ number: Double) -> String {
        if number.isNaN { return "nan" }
        if number.isInfinite { return number < 0 ? "-inf" : "inf" }
        return "\(number)"
    }

    private static func quote(_ text: String, into output: inout String) {
        let quote: Unicode.Scalar = text.utf8.contains(0x27) && !text.utf8.contains(0x22) ? "\"" : "'"
        output.unicodeScalars.append(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            case "\\": output += "\\\\"
            case quote:
                output += "\\"
                output.unicodeScalars.append(scalar)
            default:
                if TextOperations.isPrintable(scalar) {
                    output.unicodeScalars.append(scalar)
                } else {
                    let code = String(scalar.value, radix: 16)
                    let (mark, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
                    output += "\\\(mark)" + String(repeating: "0", count: max(0, width - code.count)) + code
                }
            }
        }
        output.unicodeScalars.append(quote)
    }
}

/// Writes values as JSON, as Python's `json.dumps` lays it out.
struct JSONWriter {
    enum Failure: Error {
        case notJSON(String)
        case tooLong
    }

    /// What goes before each level; nil for everything on one line.
    var indent: String?
    var itemSeparator = ", "
    var keySeparator = ": "
    var sortsKeys = false
    var escapesNonASCII = false
    let limit: Int
    private(set) var output = ""

    init(limit: Int) { self.limit = limit }

    mutating func write(_ value: Value, level: Int = 0) throws(Failure) {
        switch value {
        case .none: output += "null"
        case .bool(let truth): output += truth ? "true" : "false"
        case .int(let number): output += String(number)
        case .double(let number): output += Self.text(number)
        case .string(let text), .markup(let text): write(text)
        case .list(let list), .tuple(let list):
            if list.elements.isEmpty {
                output += "[]"
                break
            }
            output += "["
            for (index, element) in list.elements.enumerated() {
                separate(index, level: level)
                try write(element, level: level + 1)
            }
            close("]", level: level)
        case .dictionary(let dictionary): try write(dictionary, level: level)
        default: throw .notJSON(value.typeName)
        }
        if output.utf8.count > limit { throw .tooLong }
    }

    private mutating func write(_ dictionary: DictionaryValue, level: Int) throws(Failure) {
        if dictionary.map.isEmpty {
            output += "{}"
            return
        }
        output += "{"
        var members = zip(dictionary.map.keys, dictionary.map.values).map { (key: Self.text($0), value: $1) }
        if sortsKeys { members.sort { TextOperations.precedes($0.key, $1.key) } }
        for (index, (key, value)) in members.enumerated() {
            separate(index, level: level)
            write(key)
            output += keySeparator
            try write(value, level: level + 1)
        }
        close("}", level: level)
    }

    private mutating func separate(_ index: Int, level: Int) {
        if index > 0 { output += indent == nil ? itemSeparator : Self.withoutTrailingSpace(itemSeparator) }
        newLine(level + 1)
    }

    private static func withoutTrailingSpace(_ separator: String) -> String { separator == ", " ? "," : separator }

    private mutating func close(_ bracket: String, level: Int) {
        newLine(level)
        output += bracket
    }

    private mutating func newLine(_ level: Int) {
        guard let indent else { return }
        output += "\n"
        for _ in 0..<level { output += indent }
    }

    private static func text(_ key: DictionaryKey) -> String {
        switch key {
        case .none: "null"
        case .bool(let truth): truth ? "true" : "false"
        case .int(let number): String(number)
        case .double(let number): text(number)
        case .text(let text): text.text
        }
    }

    private static func text(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
        return "\(number)"
    }

    private mutating func write(_ text: String) {
        output += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            case "\u{8}": output += "\\b"
            case "\u{C}": output += "\\f"
            default:
                if scalar.value < 0x20 || (escapesNonASCII && scalar.value > 0x7E) {
                    for unit in String(Character(scalar)).utf16 {
                        let code = String(unit, radix: 16)
                        output += "\\u" + String(repeating: "0", count: max(0, 4 - code.count)) + code
                    }
                } else {
                    output.unicodeScalars.append(scalar)
                }
            }
        }
        output += "\""
    }
}
