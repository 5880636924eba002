/// A string that knows which of its bytes came from outside: from a message, not from the template.
///
/// Marks are carried along and never looked at on the way: texts of the same bytes are equal and behave alike, however
/// they are marked.
struct MarkedText: Sendable {
    let string: String
    let marks: Marks

    enum Marks: Sendable {
        /// All of the text is trusted.
        case none
        /// None of it is. Apart from `some`, so that the usual texts need no list.
        case all
        /// These are not: ranges of UTF-8 bytes, ascending, with something between them, neither none nor all.
        case some([Range<Int>])
    }

    init(_ string: String, isUntrusted: Bool = false) {
        self.string = string
        marks = isUntrusted && !string.isEmpty ? .all : .none
    }

    /// - Parameter untrusted: ascending, with something between them, none empty, all inside the string.
    init(_ string: String, untrusted: [Range<Int>]) {
        self.string = string
        if untrusted.isEmpty {
            marks = .none
        } else if untrusted.count == 1, untrusted[0] == 0..<string.utf8.count {
            marks = .all
        } else {
            marks = .some(untrusted)
        }
    }

    init(_ scalar: MarkedScalar) { self.init(String(Character(scalar.scalar)), isUntrusted: scalar.isUntrusted) }

    init(_ scalars: some Sequence<MarkedScalar>) {
        var builder = MarkedTextBuilder()
        for scalar in scalars { builder.append(scalar) }
        self = builder.text
    }

    var utf8: String.UTF8View { string.utf8 }
    var unicodeScalars: String.UnicodeScalarView { string.unicodeScalars }
    var isEmpty: Bool { string.isEmpty }

    /// Whether any of it came from outside.
    var isMarked: Bool {
        if case .none = marks { return false }
        return true
    }

    /// The ranges of UTF-8 bytes that came from outside.
    var untrusted: [Range<Int>] {
        switch marks {
        case .none: []
        case .all: [0..<string.utf8.count]
        case .some(let ranges): ranges
        }
    }

    /// How long the list of marks is, which counts as work where texts are copied.
    var markCount: Int {
        if case .some(let ranges) = marks { return ranges.count }
        return 0
    }

    /// Its code points, each with its origin.
    var scalars: [MarkedScalar] {
        var scalars: [MarkedScalar] = []
        scalars.reserveCapacity(string.utf8.count)
        forEachScalar { scalars.append($0) }
        return scalars
    }

    func forEachScalar(_ body: (MarkedScalar) -> Void) {
        switch marks {
        case .none: for scalar in string.unicodeScalars { body(MarkedScalar(scalar)) }
        case .all: for scalar in string.unicodeScalars { body(MarkedScalar(scalar, isUntrusted: true)) }
        case .some(let ranges):
            var offset = 0
            var index = 0
            for scalar in string.unicodeScalars {
                while index < ranges.count, ranges[index].upperBound <= offset { index += 1 }
                body(MarkedScalar(scalar, isUntrusted: index < ranges.count && ranges[index].lowerBound <= offset))
                offset += UTF8.width(scalar)
            }
        }
    }

    /// A part, by UTF-8 bytes; its ends are between code points.
    func slice(_ range: Range<Int>) -> MarkedText {
        if range == 0..<string.utf8.count { return self }
        let start = string.utf8.index(string.startIndex, offsetBy: range.lowerBound)
        let part = String(string[start..<string.utf8.index(start, offsetBy: range.count)])
        switch marks {
        case .none: return MarkedText(part)
        case .all: return MarkedText(part, isUntrusted: true)
        case .some(let ranges):
            var low = 0
            var high = ranges.count
            while low < high {
                let middle = (low + high) / 2
                if ranges[middle].upperBound <= range.lowerBound { low = middle + 1 } else { high = middle }
            }
            var kept: [Range<Int>] = []
            while low < ranges.count, ranges[low].lowerBound < range.upperBound {
                let common = ranges[low].clamped(to: range)
                kept.append((common.lowerBound - range.lowerBound)..<(common.upperBound - range.lowerBound))
                low += 1
            }
            return MarkedText(part, untrusted: range.isEmpty ? [] : kept)
        }
    }

    func prefix(_ bytes: Int) -> MarkedText { slice(0..<bytes) }
    func dropFirst(_ bytes: Int) -> MarkedText { slice(bytes..<string.utf8.count) }

    /// Its parts of one origin each, in order.
    var parts: [MarkedText] {
        guard case .some(let ranges) = marks else { return isEmpty ? [] : [self] }
        var parts: [MarkedText] = []
        var position = 0
        for range in ranges {
            if position < range.lowerBound { parts.append(slice(position..<range.lowerBound)) }
            parts.append(slice(range))
            position = range.upperBound
        }
        if position < string.utf8.count { parts.append(slice(position..<string.utf8.count)) }
        return parts
    }

    /// With a change applied that changes every code point by itself.
    func mapped(_ change: (String) -> String) -> MarkedText {
        guard case .some = marks else { return MarkedText(change(string), isUntrusted: isMarked) }
        var builder = MarkedTextBuilder()
        for part in parts { builder.append(change(part.string), isUntrusted: part.isMarked) }
        return builder.text
    }

    static func + (left: MarkedText, right: MarkedText) -> MarkedText {
        var builder = MarkedTextBuilder()
        builder.append(left)
        builder.append(right)
        return builder.text
    }
}

/// Equal are the same code points, whatever their origin. (Swift's own equality takes different spellings of a character
/// for the same; JSON and Python do not.)
extension MarkedText: Hashable {
    static func == (left: MarkedText, right: MarkedText) -> Bool { TextOperations.equal(left.string, right.string) }

    func hash(into hasher: inout Hasher) { hasher.combine(ExactText(string)) }
}

extension MarkedText: ExpressibleByStringLiteral {
    init(stringLiteral value: String) { self.init(value) }
}

/// A code point and where it came from.
struct MarkedScalar: Hashable, Sendable {
    var scalar: Unicode.Scalar
    var isUntrusted: Bool

    init(_ scalar: Unicode.Scalar, isUntrusted: Bool = false) {
        self.scalar = scalar
        self.isUntrusted = isUntrusted
    }
}

/// Puts a text together from pieces of any origin.
struct MarkedTextBuilder {
    private(set) var string = ""
    private var untrusted: [Range<Int>] = []

    init() {}

    /// Bytes so far.
    var count: Int { string.utf8.count }

    var text: MarkedText { MarkedText(string, untrusted: untrusted) }

    mutating func append(_ piece: String, isUntrusted: Bool = false) {
        let start = string.utf8.count
        string += piece
        if isUntrusted { mark(start..<string.utf8.count) }
    }

    mutating func append(_ piece: MarkedScalar) {
        let start = string.utf8.count
        string.unicodeScalars.append(piece.scalar)
        if piece.isUntrusted { mark(start..<string.utf8.count) }
    }

    mutating func append(_ piece: MarkedText) {
        let start = string.utf8.count
        string += piece.string
        switch piece.marks {
        case .none: break
        case .all: mark(start..<string.utf8.count)
        case .some(let ranges): for range in ranges { mark((start + range.lowerBound)..<(start + range.upperBound)) }
        }
    }

    private mutating func mark(_ range: Range<Int>) {
        if range.isEmpty { return }
        if let last = untrusted.last, last.upperBound == range.lowerBound {
            untrusted[untrusted.count - 1] = last.lowerBound..<range.upperBound
        } else {
            untrusted.append(range)
        }
    }
}
