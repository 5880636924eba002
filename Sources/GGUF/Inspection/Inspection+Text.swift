internal import Tensor

extension Inspection {
    /// Metadata (long values abbreviated), a table of tensors, totals by type, and the files of a split model.
    public var text: String {
        var lines = [String]()
        let first = file.parts[0]
        lines.append("\(Inspection.escaped(file.path)): GGUF version \(first.version), alignment \(first.alignment)")
        if file.parts.count > 1 {
            lines.append("")
            lines.append("Parts (\(file.parts.count))")
            for part in file.parts {
                let size = Inspection.size(part.mapping.bytes.count)
                lines.append("  \(Inspection.escaped(part.path)): \(part.tensorCount) tensors, \(size)")
            }
        }
        lines.append("")
        lines.append("Metadata (\(file.metadata.entries.count))")
        let keyWidth = file.metadata.entries.map { min($0.key.count, 48) }.max() ?? 0
        for entry in file.metadata.entries {
            let key = Inspection.padded(Inspection.escaped(entry.key), keyWidth)
            lines.append("  \(key)  \(describedType(entry.value))  \(described(entry.value))")
        }
        lines.append("")
        lines.append("Tensors (\(file.tensors.count))")
        lines += tensorTable
        lines.append("")
        lines.append("Totals")
        for total in totals {
            let name = Inspection.padded(total.type.name, 8)
            lines.append("  \(name) \(total.tensorCount) tensors, \(total.elementCount) elements, \(Inspection.size(total.byteCount))")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private var tensorTable: [String] {
        let split = file.parts.count > 1
        var rows = [["name", "type", "shape", "offset", "bytes"] + (split ? ["part"] : [])]
        for tensor in file.tensors {
            let shape = "[" + extents(tensor).map(String.init).joined(separator: ", ") + "]"
            var row = [Inspection.escaped(tensor.name), tensor.type.name, shape, "\(tensor.byteOffset)", "\(tensor.byteCount)"]
            if split { row.append("\(tensor.part + 1)") }
            rows.append(row)
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.indices.map { column in
                Inspection.padded(row[column], widths[column], right: column >= 3)
            }
            return "  " + cells.joined(separator: "  ").trimmingTrailingSpaces
        }
    }

    private func describedType(_ value: GGUFValue) -> String {
        guard case .array(let array) = value else { return Inspection.padded(value.type.name, 7) }
        return "\(array.elementType.name)[\(array.count)]"
    }

    private func described(_ value: GGUFValue) -> String {
        switch value {
        case .string(let string): return abbreviated(string)
        case .bool(let bool): return bool ? "true" : "false"
        case .float32(let number): return "\(number)"
        case .float64(let number): return "\(number)"
        case .array(let array):
            var items = array.values.prefix(headElements).map { described($0) }
            if array.count > headElements { items.append("…") }
            return "[" + items.joined(separator: ", ") + "]"
        default:
            return value.integer(as: Int128.self).map { "\($0)" } ?? ""
        }
    }

    /// Decodes no more of a long string than is shown.
    private func abbreviated(_ string: GGUFString) -> String {
        string.withUnsafeBytes { bytes in
            let head = String(decoding: bytes.prefix(headCharacters), as: UTF8.self)
            let more = bytes.count > headCharacters ? "… (\(bytes.count) bytes)" : ""
            return "\"" + Inspection.escaped(head) + "\"" + more
        }
    }

    /// Control characters, and what could reorder text on a terminal, as escapes.
    static func escaped(_ string: String) -> String {
        var result = ""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            case "\\": result += "\\\\"
            default:
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
                    result += "\\u{\(String(scalar.value, radix: 16))}"
                default:
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result
    }

    private static func padded(_ string: String, _ width: Int, right: Bool = false) -> String {
        let gap = String(repeating: " ", count: max(0, width - string.count))
        return right ? gap + string : string + gap
    }

    /// Bytes in the unit that gives one to four digits before the point.
    private static func size(_ count: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1024, unit + 1 < units.count {
            value /= 1024
            unit += 1
        }
        if unit == 0 { return "\(count) B" }
        return "\((value * 100).rounded() / 100) \(units[unit])"
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        var end = endIndex
        while end > startIndex, self[index(before: end)] == " " { end = index(before: end) }
        return String(self[..<end])
    }
}
