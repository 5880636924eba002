// Values as text, by Python's rules: `str`, `repr` and `json.dumps`.

extension Value {
    /// What printing the value writes. Appends to `output`; stops with false once that has more than `limit` bytes.
    func write(to output: inout MarkedTextBuilder, limit: Int) -> Bool {
        switch self {
        case .undefined: return true
        case .string(let text), .markup(let text): output.append(text)
        default: return writeRepresentation(to: &output, limit: limit)
        }
        return output.count <= limit
    }

    /// The value as Python source would have it.
    func writeRepresentation(to output: inout MarkedTextBuilder, limit: Int) -> Bool {
        switch self {
        case .undefined: output.append("Undefined")
        case .none: output.append("None")
        case .bool(let truth): output.append(truth ? "True" : "False")
        case .int(let number): output.append(String(number))
        case .double(let number): output.append(Self.python(number))
        case .string(let text): Self.quote(text, into: &output)
        case .markup(let text):
            output.append("Markup(")
            Self.quote(text, into: &output)
            output.append(")")
        case .list(let list):
            output.append("[")
            guard Self.write(list.elements, to: &output, limit: limit) else { return false }
            output.append("]")
        case .tuple(let list):
            output.append("(")
            guard Self.write(list.elements, to: &output, limit: limit) else { return false }
            output.append(list.elements.count == 1 ? ",)" : ")")
        case .dictionary(let dictionary):
            output.append("{")
            for (index, (key, value)) in zip(dictionary.map.keys, dictionary.map.values).enumerated() {
                if index > 0 { output.append(", ") }
                guard key.value.writeRepresentation(to: &output, limit: limit) else { return false }
                output.append(": ")
                guard value.writeRepresentation(to: &output, limit: limit) else { return false }
            }
            output.append("}")
        // Not the attributes: one may be the namespace itself.
        case .namespace: output.append("<Namespace>")
        case .macro(let macro): output.append("<Macro '\(macro.definition.name)'>")
        case .function, .method: output.append("<function>")
        case .loop(let loop): output.append("<LoopContext \(loop.index + 1)/\(loop.elements.count)>")
        }
        return output.count <= limit
    }

    private static func write(_ elements: [Value], to output: inout MarkedTextBuilder, limit: Int) -> Bool {
        for (index, element) in elements.enumerated() {
            if index > 0 { output.append(", ") }
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

    private static func quote(_ text: MarkedText, into output: inout MarkedTextBuilder) {
        let quote: Unicode.Scalar = text.utf8.contains(0x27) && !text.utf8.contains(0x22) ? "\"" : "'"
        output.append(MarkedScalar(quote))
        text.forEachScalar { marked in
            let escape: String
            switch marked.scalar {
            case "\n": escape = "\\n"
            case "\r": escape = "\\r"
            case "\t": escape = "\\t"
            case "\\": escape = "\\\\"
            case quote: escape = "\\\(quote)"
            case let scalar where TextOperations.isPrintable(scalar): return output.append(marked)
            case let scalar:
                let code = String(scalar.value, radix: 16)
                let (mark, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
                escape = "\\\(mark)" + String(repeating: "0", count: max(0, width - code.count)) + code
            }
            output.append(escape, isUntrusted: marked.isUntrusted)
        }
        output.append(MarkedScalar(quote))
    }
}

/// Writes values as JSON, as Python's `json.dumps` lays it out.
struct JSONWriter {
    enum Failure: Error {
        case notJSON(String)
        case tooLong
    }

    /// What goes before each level; nil for everything on one line.
    var indent: MarkedText?
    var itemSeparator: MarkedText = ", "
    var keySeparator: MarkedText = ": "
    var sortsKeys = false
    var escapesNonASCII = false
    let limit: Int
    private(set) var output = MarkedTextBuilder()

    init(limit: Int) { self.limit = limit }

    mutating func write(_ value: Value, level: Int = 0) throws(Failure) {
        switch value {
        case .none: output.append("null")
        case .bool(let truth): output.append(truth ? "true" : "false")
        case .int(let number): output.append(String(number))
        case .double(let number): output.append(Self.text(number))
        case .string(let text), .markup(let text): write(text)
        case .list(let list), .tuple(let list):
            if list.elements.isEmpty {
                output.append("[]")
                break
            }
            output.append("[")
            for (index, element) in list.elements.enumerated() {
                separate(index, level: level)
                try write(element, level: level + 1)
            }
            close("]", level: level)
        case .dictionary(let dictionary): try write(dictionary, level: level)
        default: throw .notJSON(value.typeName)
        }
        if output.count > limit { throw .tooLong }
    }

    private mutating func write(_ dictionary: DictionaryValue, level: Int) throws(Failure) {
        if dictionary.map.isEmpty {
            output.append("{}")
            return
        }
        output.append("{")
        var members = zip(dictionary.map.keys, dictionary.map.values).map { (key: Self.text($0), value: $1) }
        if sortsKeys { members.sort { TextOperations.precedes($0.key.string, $1.key.string) } }
        for (index, (key, value)) in members.enumerated() {
            separate(index, level: level)
            write(key)
            output.append(keySeparator)
            try write(value, level: level + 1)
        }
        close("}", level: level)
    }

    private mutating func separate(_ index: Int, level: Int) {
        if index > 0 { output.append(indent == nil ? itemSeparator : Self.withoutTrailingSpace(itemSeparator)) }
        newLine(level + 1)
    }

    private static func withoutTrailingSpace(_ separator: MarkedText) -> MarkedText { separator == ", " ? "," : separator }

    private mutating func close(_ bracket: String, level: Int) {
        newLine(level)
        output.append(bracket)
    }

    private mutating func newLine(_ level: Int) {
        guard let indent else { return }
        output.append("\n")
        for _ in 0..<level { output.append(indent) }
    }

    private static func text(_ key: DictionaryKey) -> MarkedText {
        switch key {
        case .none: "null"
        case .bool(let truth): truth ? "true" : "false"
        case .int(let number): MarkedText(String(number))
        case .double(let number): MarkedText(text(number))
        case .text(let text): text
        }
    }

    private static func text(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
        return "\(number)"
    }

    private mutating func write(_ text: MarkedText) {
        output.append("\"")
        for part in text.parts { write(part.string, isUntrusted: part.isMarked) }
        output.append("\"")
    }

    private mutating func write(_ text: String, isUntrusted: Bool) {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": escaped += "\\\""
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\r": escaped += "\\r"
            case "\t": escaped += "\\t"
            case "\u{8}": escaped += "\\b"
            case "\u{C}": escaped += "\\f"
            default:
                if scalar.value < 0x20 || (escapesNonASCII && scalar.value > 0x7E) {
                    for unit in String(Character(scalar)).utf16 {
                        let code = String(unit, radix: 16)
                        escaped += "\\u" + String(repeating: "0", count: max(0, 4 - code.count)) + code
                    }
                } else {
                    escaped.unicodeScalars.append(scalar)
                }
            }
        }
        output.append(escaped, isUntrusted: isUntrusted)
    }
}
