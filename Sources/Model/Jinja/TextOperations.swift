/// Work on strings by code point, as Python counts them. (Swift's own `Character` joins code points, takes "\r\n" for
/// one, and compares by canonical equivalence; templates must not see that.)
enum TextOperations {
    /// Whether Python's `str.isspace` says so.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == " " { return true }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator:
            return false
        default: return true
        }
    }

    static func equal(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

    /// Order by code point, which in UTF-8 is the order of bytes.
    static func precedes(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }

    static func length(_ text: String) -> Int { text.unicodeScalars.count }

    // MARK: Stripping

    /// Without white space, or without `characters`, at the start, the end or both.
    static func strip(_ text: MarkedText, left: Bool = true, right: Bool = true, characters: String? = nil) -> MarkedText {
        let set = characters.map { Set($0.unicodeScalars) }
        func isStripped(_ scalar: Unicode.Scalar) -> Bool { set.map { $0.contains(scalar) } ?? isSpace(scalar) }
        var scalars = text.unicodeScalars[...]
        var range = 0..<text.utf8.count
        if left {
            while let first = scalars.first, isStripped(first) {
                scalars.removeFirst()
                range = (range.lowerBound + UTF8.width(first))..<range.upperBound
            }
        }
        if right {
            while let last = scalars.last, isStripped(last) {
                scalars.removeLast()
                range = range.lowerBound..<(range.upperBound - UTF8.width(last))
            }
        }
        return text.slice(range)
    }

    // MARK: Searching, by bytes: a match of whole UTF-8 sequences is a match of code points

    static func starts(_ text: String, with prefix: String) -> Bool { text.utf8.starts(with: prefix.utf8) }

    static func ends(_ text: String, with suffix: String) -> Bool {
        text.utf8.count >= suffix.utf8.count && text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }

    /// Offsets in bytes at which `pattern` occurs, not overlapping, at most `limit`. Searching takes linear time for
    /// patterns of few repeats (Horspool's skips); the caller pays by the product for others.
    static func occurrences(of pattern: [UInt8], in text: [UInt8], limit: Int = .max) -> [Int] {
        guard !pattern.isEmpty, pattern.count <= text.count, limit > 0 else { return [] }
        var skip = [Int](repeating: pattern.count, count: 256)
        for index in 0..<(pattern.count - 1) { skip[Int(pattern[index])] = pattern.count - 1 - index }
        var found: [Int] = []
        var offset = 0
        while offset + pattern.count <= text.count {
            var index = pattern.count - 1
            while index >= 0, text[offset + index] == pattern[index] { index -= 1 }
            if index < 0 {
                found.append(offset)
                if found.count == limit { break }
                offset += pattern.count
            } else {
                offset += skip[Int(text[offset + pattern.count - 1])]
            }
        }
        return found
    }

    static func contains(_ text: String, _ pattern: String) -> Bool {
        pattern.isEmpty || !occurrences(of: Array(pattern.utf8), in: Array(text.utf8), limit: 1).isEmpty
    }

    /// The index by code point of the first (or last) occurrence, nil if there is none.
    static func find(_ pattern: String, in text: String, fromEnd: Bool = false) -> Int? {
        let bytes = Array(text.utf8)
        if pattern.isEmpty { return fromEnd ? length(text) : 0 }
        let needle = Array(pattern.utf8)
        var offset: Int?
        if fromEnd {
            let reversed = occurrences(of: needle.reversed(), in: bytes.reversed(), limit: 1).first
            offset = reversed.map { bytes.count - $0 - needle.count }
        } else {
            offset = occurrences(of: needle, in: bytes, limit: 1).first
        }
        return offset.map { length(String(decoding: bytes[..<$0], as: UTF8.self)) }
    }

    /// The parts between occurrences of a separator, at most `limit` cuts, counted from the end if so wanted.
    static func split(_ text: MarkedText, by separator: String, limit: Int, fromEnd: Bool = false) -> [MarkedText] {
        let length = separator.utf8.count
        var parts: [MarkedText] = []
        var start = 0
        for cut in cuts(of: text.string, by: separator, limit: limit, fromEnd: fromEnd) {
            parts.append(text.slice(start..<cut))
            start = cut + length
        }
        parts.append(text.slice(start..<text.utf8.count))
        return parts
    }

    /// Where a separator stands, in bytes: the first or last `limit` places, ascending.
    static func cuts(of text: String, by separator: String, limit: Int, fromEnd: Bool = false) -> [Int] {
        let bytes = Array(text.utf8)
        let needle = Array(separator.utf8)
        guard fromEnd else { return occurrences(of: needle, in: bytes, limit: limit) }
        let found = occurrences(of: needle.reversed(), in: bytes.reversed(), limit: limit)
        return found.map { bytes.count - $0 - needle.count }.reversed()
    }

    /// The words between runs of white space, at most `limit` cuts.
    static func splitAtSpace(_ text: MarkedText, limit: Int, fromEnd: Bool = false) -> [MarkedText] {
        var words: [Range<Int>] = []
        var offset = 0
        var start: Int?
        for scalar in text.unicodeScalars {
            if isSpace(scalar) {
                if let begun = start { words.append(begun..<offset) }
                start = nil
            } else if start == nil {
                start = offset
            }
            offset += UTF8.width(scalar)
        }
        if let start { words.append(start..<offset) }
        if let first = words.first, let last = words.last, words.count > limit {
            // The last, or the first, is all that was not cut.
            if fromEnd {
                words.replaceSubrange(..<(words.count - limit), with: [first.lowerBound..<words[words.count - limit - 1].upperBound])
            } else {
                words.replaceSubrange(limit..., with: [words[limit].lowerBound..<last.upperBound])
            }
        }
        return words.map { text.slice($0) }
    }

    static func lines(_ text: MarkedText, keepsEnds: Bool) -> [MarkedText] {
        var lines: [MarkedText] = []
        var start = 0
        var offset = 0
        var scalars = text.unicodeScalars.makeIterator()
        var coming = scalars.next()
        while let scalar = coming {
            coming = scalars.next()
            let end = offset
            offset += UTF8.width(scalar)
            switch scalar.value {
            case 0x0D where coming == "\n":
                offset += 1
                coming = scalars.next()
            case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: break
            default: continue
            }
            lines.append(text.slice(start..<(keepsEnds ? offset : end)))
            start = offset
        }
        if start < offset { lines.append(text.slice(start..<offset)) }
        return lines
    }

    /// With occurrences of `pattern` replaced, at most `limit`.
    static func replace(_ text: MarkedText, _ pattern: String, by replacement: MarkedText, limit: Int) -> MarkedText {
        var output = MarkedTextBuilder()
        guard pattern.isEmpty else {
            for (index, part) in split(text, by: pattern, limit: limit).enumerated() {
                if index > 0 { output.append(replacement) }
                output.append(part)
            }
            return output.text
        }
        // Between all code points, and at both ends.
        var left = limit
        text.forEachScalar { scalar in
            if left > 0 { output.append(replacement) }
            left -= 1
            output.append(scalar)
        }
        if left > 0 { output.append(replacement) }
        return output.text
    }

    // MARK: Case

    static func capitalized(_ text: MarkedText) -> MarkedText {
        guard let first = text.unicodeScalars.first else { return text }
        let width = UTF8.width(first)
        let start = text.prefix(width).mapped { _ in first.properties.titlecaseMapping }
        return start + text.dropFirst(width).mapped { $0.lowercased() }
    }

    /// With the first letter of each word in upper case. A word starts after what `isBoundary` holds for.
    static func titled(_ text: MarkedText, isBoundary: (Unicode.Scalar) -> Bool) -> MarkedText {
        var output = MarkedTextBuilder()
        var isStart = true
        text.forEachScalar { marked in
            let properties = marked.scalar.properties
            output.append(isStart ? properties.titlecaseMapping : properties.lowercaseMapping, isUntrusted: marked.isUntrusted)
            isStart = isBoundary(marked.scalar)
        }
        return output.text
    }

    static func escapedForHTML(_ text: MarkedText) -> MarkedText { text.mapped(escapedForHTML) }

    private static func escapedForHTML(_ text: String) -> String {
        var output = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": output += "&amp;"
            case "<": output += "&lt;"
            case ">": output += "&gt;"
            case "'": output += "&#39;"
            case "\"": output += "&#34;"
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output
    }
}
