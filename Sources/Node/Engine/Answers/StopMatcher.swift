/// Finds the first of several strings in a text that arrives in pieces, and holds back what may be the start of one.
///
/// Which stop string ends the text, and where, does not depend on how the text is cut into pieces: it is the one whose last
/// byte comes first, and of several that end there the longest. Matching is by bytes, as UTF-8 allows: a whole
/// string never begins inside a character. Cost per byte: a few steps for each stop string.
package struct StopMatcher: Hashable, Sendable {
    /// One stop string, and how much of it the text ends with.
    private struct Pattern: Hashable, Sendable {
        let bytes: [UInt8]
        /// For each count of matched bytes, the longest shorter prefix that these end with (Knuth, Morris and Pratt).
        let fallback: [Int]
        var matched = 0

        init(_ text: String) {
            bytes = Array(text.utf8)
            var fallback = [0, 0]
            var length = 0
            for index in bytes.indices.dropFirst() {
                while length > 0, bytes[index] != bytes[length] { length = fallback[length] }
                if bytes[index] == bytes[length] { length += 1 }
                fallback.append(length)
            }
            self.fallback = fallback
        }

        /// Takes one more byte in; true when the text now ends with the whole pattern.
        mutating func step(_ byte: UInt8) -> Bool {
            if matched == bytes.count { matched = fallback[matched] }
            while matched > 0, bytes[matched] != byte { matched = fallback[matched] }
            if bytes[matched] == byte { matched += 1 }
            return matched == bytes.count
        }
    }

    private var patterns: [Pattern]
    /// What is held back: the end of the text that some pattern may begin with.
    private var held: [UInt8] = []
    /// The string that was found. Once there is one, later text is dropped.
    package private(set) var found: String?

    /// - Parameter stops: none of them empty.
    package init(_ stops: [String]) {
        patterns = stops.filter { !$0.isEmpty }.map(Pattern.init)
    }

    /// Takes a piece of text and returns what is certain to stand before any stop string.
    package mutating func push(_ text: String) -> String {
        if patterns.isEmpty { return text }
        if found != nil { return "" }
        for byte in text.utf8 {
            held.append(byte)
            var longest: Pattern?
            for index in patterns.indices where patterns[index].step(byte) {
                if patterns[index].bytes.count > longest?.bytes.count ?? 0 { longest = patterns[index] }
            }
            if let longest {
                found = String(decoding: longest.bytes, as: UTF8.self)
                let text = String(decoding: held.dropLast(longest.bytes.count), as: UTF8.self)
                held = []
                return text
            }
        }
        let kept = patterns.reduce(0) { max($0, $1.matched) }
        let text = String(decoding: held.dropLast(kept), as: UTF8.self)
        held.removeFirst(held.count - kept)
        return text
    }

    /// The text is over: returns what was held back.
    package mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }
}
