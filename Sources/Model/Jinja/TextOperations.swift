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

    static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return String(text)
    }

    // MARK: Stripping

    /// Without what `isStripped` holds for, at the start, the end or both.
    static func strip(_ text: String, left: Bool = true, right: Bool = true, characters: String? = nil) -> String {
        let set = characters.map { Set($0.unicodeScalars) }
        func isStripped(_ scalar: Unicode.Scalar) -> Bool { set.map { $0.contains(scalar) } ?? isSpace(scalar) }
        var scalars = text.unicodeScalars[...]
        if left { while let first = scalars.first, isStripped(first) { scalars.removeFirst() } }
        if right { while let last = scalars.last, isStripped(last) { scalars.removeLast() } }
        return String(scalars)
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
    static func split(_ text: String, by separator: String, limit: Int, fromEnd: Bool = false) -> [String] {
        let bytes = Array(text.utf8)
        let needle = Array(separator.utf8)
        var cuts: [Int]
        if fromEnd {
            let found = occurrences(of: needle.reversed(), in: bytes.reversed(), limit: limit)
            cuts = found.map { bytes.count - $0 - needle.count }.reversed()
        } else {
            cuts = occurrences(of: needle, in: bytes, limit: limit)
        }
        cuts.append(bytes.count)
        var parts: [String] = []
        var start = 0
        for cut in cuts {
            parts.append(String(decoding: bytes[start..<cut], as: UTF8.self))
            start = min(cut + needle.count, bytes.count)
        }
        return parts
    }

    /// The words between runs of white space, at most `limit` cuts.
    static func splitAtSpace(_ text: String, limit: Int, fromEnd: Bool = false) -> [String] {
        var words: [String] = []
        var rest = Array(text.unicodeScalars)
        if fromEnd { rest.reverse() }
        var index = 0
        func skipSpace() { while index < rest.count, isSpace(rest[index]) { index += 1 } }
        skipSpace()
        while index < rest.count {
            var end = index
            if words.count == limit {
                end = rest.count
                while end > index, isSpace(rest[end - 1]) { end -= 1 }
            } else {
                while end < rest.count, !isSpace(rest[end]) { end += 1 }
            }
            let word = rest[index..<end]
            words.append(fromEnd ? string(word.reversed()) : string(word))
            if words.count > limit { break }
            index = end
            skipSpace()
        }
        return fromEnd ? words.reversed() : words
    }

    static func lines(_ text: String, keepsEnds: Bool) -> [String] {
        var lines: [String] = []
        var line = String.UnicodeScalarView()
        let scalars = Array(text.unicodeScalars)
        var index = 0
        while index < scalars.count {
            var end = String.UnicodeScalarView()
            switch scalars[index].value {
            case 0x0D where index + 1 < scalars.count && scalars[index + 1] == "\n":
                end.append(contentsOf: scalars[index...(index + 1)])
                index += 1
            case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: end.append(scalars[index])
            default: line.append(scalars[index])
            }
            index += 1
            guard !end.isEmpty else { continue }
            if keepsEnds { line.append(contentsOf: end) }
            lines.append(String(line))
            line = String.UnicodeScalarView()
        }
        if !line.isEmpty { lines.append(String(line)) }
        return lines
    }

    /// With occurrences of `pattern` replaced, at most `limit`.
    static func replace(_ text: String, _ pattern: String, by replacement: String, limit: Int) -> String {
        guard pattern.isEmpty else {
            let parts = split(text, by: pattern, limit: limit)
            return parts.joined(separator: replacement)
        }
        // Between all code points, and at both ends.
        var output = ""
        var left = limit
        for scalar in text.unicodeScalars {
            if left > 0 { output += replacement }
            left -= 1
            output.unicodeScalars.append(scalar)
        }
        if left > 0 { output += replacement }
        return output
    }

    // MARK: Case

    static func capitalized(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let first = scalars.first else { return text }
        return first.properties.titlecaseMapping + String(scalars.dropFirst()).lowercased()
    }

    /// With the first letter of each word in upper case. A word starts after what `isBoundary` holds for.
    static func titled(_ text: String, isBoundary: (Unicode.Scalar) -> Bool) -> String {
        var output = ""
        var isStart = true
        for scalar in text.unicodeScalars {
            output += isStart ? scalar.properties.titlecaseMapping : scalar.properties.lowercaseMapping
            isStart = isBoundary(scalar)
        }
        return output
    }

    static func escapedForHTML(_ text: String) -> String {
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
