internal import Tensor

extension Inspection {
    /// Everything as one JSON object: `path`, `version`, `alignment`, `parts`, `metadata`, `tensors`, `totals`.
    ///
    /// A metadata value is an object of `type` and `value`; one that is an array, of `type`, `element_type`, `count` and
    /// either `value` or, where only the beginning is given, `head`. Floats that JSON has no numbers for are the strings
    /// `nan`, `inf` and `-inf`.
    ///
    /// - Parameter fullArrays: whether to write long arrays out.
    public func json(fullArrays: Bool = false) -> String {
        let first = file.parts[0]
        var out = JSONText()
        out.object { out in
            out.member("path") { $0.string(file.path) }
            out.member("version") { $0.raw("\(first.version)") }
            out.member("alignment") { $0.raw("\(first.alignment)") }
            out.member("parts") { $0.array(file.parts) { out, part in partObject(part, &out) } }
            out.member("metadata") { out in
                out.object { out in
                    for entry in file.metadata.entries {
                        out.member(entry.key) { valueObject(entry.value, full: fullArrays, &$0) }
                    }
                }
            }
            out.member("tensors") { $0.array(file.tensors) { out, tensor in tensorObject(tensor, &out) } }
            out.member("totals") { $0.array(totals) { out, total in totalObject(total, &out) } }
        }
        return out.text + "\n"
    }

    private func partObject(_ part: GGUFPart, _ out: inout JSONText) {
        out.object { out in
            out.member("path") { $0.string(part.path) }
            out.member("bytes") { $0.raw("\(part.mapping.bytes.count)") }
            out.member("tensors") { $0.raw("\(part.tensorCount)") }
            out.member("data_offset") { $0.raw("\(part.dataOffset)") }
        }
    }

    private func tensorObject(_ tensor: GGUFTensor, _ out: inout JSONText) {
        out.object { out in
            out.member("name") { $0.string(tensor.name) }
            out.member("type") { $0.string(tensor.type.name) }
            out.member("shape") { $0.array(extents(tensor)) { out, extent in out.raw("\(extent)") } }
            out.member("offset") { $0.raw("\(tensor.byteOffset)") }
            out.member("bytes") { $0.raw("\(tensor.byteCount)") }
            out.member("part") { $0.raw("\(tensor.part)") }
        }
    }

    private func totalObject(_ total: TypeTotal, _ out: inout JSONText) {
        out.object { out in
            out.member("type") { $0.string(total.type.name) }
            out.member("tensors") { $0.raw("\(total.tensorCount)") }
            out.member("elements") { $0.raw("\(total.elementCount)") }
            out.member("bytes") { $0.raw("\(total.byteCount)") }
        }
    }

    private func valueObject(_ value: GGUFValue, full: Bool, _ out: inout JSONText) {
        out.object { out in
            out.member("type") { $0.string(value.type.name) }
            if case .array(let array) = value {
                out.member("element_type") { $0.string(array.elementType.name) }
                out.member("count") { $0.raw("\(array.count)") }
                let whole = full || array.count <= headElements
                out.member(whole ? "value" : "head") { out in
                    out.array(array.values.prefix(whole ? array.count : headElements)) { out, element in
                        plain(element, full: full, &out)
                    }
                }
            } else {
                out.member("value") { plain(value, full: full, &$0) }
            }
        }
    }

    private func plain(_ value: GGUFValue, full: Bool, _ out: inout JSONText) {
        switch value {
        case .string(let string): out.string(string.string)
        case .bool(let bool): out.raw(bool ? "true" : "false")
        case .float32(let number): out.number("\(number)", isFinite: number.isFinite)
        case .float64(let number): out.number("\(number)", isFinite: number.isFinite)
        case .array: valueObject(value, full: full, &out)
        default: out.raw(value.integer(as: Int128.self).map { "\($0)" } ?? "null")
        }
    }
}

/// JSON as it is written, piece by piece, onto one line per member of the outer objects.
private struct JSONText {
    private(set) var text = ""
    private var needsComma = false

    mutating func object(_ body: (inout JSONText) -> Void) {
        text += "{"
        needsComma = false
        body(&self)
        text += "}"
        needsComma = true
    }

    mutating func member(_ name: String, _ body: (inout JSONText) -> Void) {
        if needsComma { text += ", " }
        string(name)
        text += ": "
        needsComma = false
        body(&self)
        needsComma = true
    }

    mutating func array<S: Sequence>(_ elements: S, _ body: (inout JSONText, S.Element) -> Void) {
        text += "["
        var first = true
        for element in elements {
            if !first { text += ", " }
            first = false
            needsComma = false
            body(&self, element)
        }
        text += "]"
        needsComma = true
    }

    mutating func raw(_ token: String) { text += token }

    mutating func number(_ token: String, isFinite: Bool) {
        if isFinite { raw(token) } else { string(token) }
    }

    mutating func string(_ string: String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
