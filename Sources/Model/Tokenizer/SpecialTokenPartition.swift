/// Finds the tokens that a text spells out, before the rest is split into pieces.
///
/// Longer tokens win over shorter ones wherever they stand, and of one token the earliest occurrence wins; what a
/// token strips (see ``TokenAttributes/stripsLeft``) belongs to it. The definition used elsewhere is a search of the
/// whole text for one token after another, which takes time in the product of both lengths. Here a heap holds, for
/// every place where some token begins, the longest that still may: the same result in O(n log n) for all but texts
/// made to nest.
struct SpecialTokenPartition: Sendable {
    /// A stretch of a text.
    enum Fragment: Equatable {
        case text(Range<Int>)
        case token(Int32)
    }

    /// The tokens looked for, ordered by their bytes, so that those with a common start are neighbours.
    private let sorted: [Int32]
    /// Which bytes any of them starts with.
    private let starts: [Bool]
    /// The same for those that are looked for in every text.
    private let startsAlways: [Bool]

    init(vocabulary: Vocabulary) {
        let found = vocabulary.attributes.indices.filter { !vocabulary.attributes[$0].isDisjoint(with: .partitioning) }
        let texts = found.map { (id: Int32($0), bytes: vocabulary.tokens.bytes(of: Int32($0))) }
        sorted = texts.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }.map(\.id)
        var starts = [Bool](repeating: false, count: 256)
        var startsAlways = starts
        for (id, bytes) in texts {
            guard let first = bytes.first else { continue }
            starts[Int(first)] = true
            if Self.isAlwaysParsed(vocabulary.attributes(of: id)) { startsAlways[Int(first)] = true }
        }
        self.starts = starts
        self.startsAlways = startsAlways
    }

    /// Control tokens are parsed only outside of what is plain; the others that are looked for, always.
    private static func isAlwaysParsed(_ attributes: TokenAttributes) -> Bool {
        attributes.isDisjoint(with: .structure)
    }

    /// Where a token might stand. Ordered by who comes first: the longer, then the lower id, then the earlier.
    private struct Candidate: HeapElement {
        var length: Int
        var token: Int32
        var start: Int

        func precedes(_ other: Candidate) -> Bool {
            if length != other.length { return length > other.length }
            if token != other.token { return token < other.token }
            return start < other.start
        }
    }

    /// The text as fragments in order; together with stripped white space they cover it.
    ///
    /// - Parameter plain: bytes of which no control token is made; ascending and disjoint.
    func fragments(of text: UnsafeBufferPointer<UInt8>, plain: [Range<Int>], vocabulary: Vocabulary) -> [Fragment] {
        guard !text.isEmpty else { return [] }
        var heap = BinaryHeap<Candidate>()
        func look(in range: Range<Int>, for starts: [Bool]) {
            for start in range where starts[Int(text[start])] {
                if let first = longest(at: start, below: .max, text, plain, vocabulary) { heap.push(first) }
            }
        }
        var offset = 0
        for range in plain {
            let start = min(max(range.lowerBound, offset), text.count)
            let end = min(max(range.upperBound, start), text.count)
            look(in: offset..<start, for: starts)
            look(in: start..<end, for: startsAlways)
            offset = end
        }
        look(in: offset..<text.count, for: starts)
        guard !heap.isEmpty else { return [.text(0..<text.count)] }

        var isTaken = [Bool](repeating: false, count: text.count)
        var claims: [(range: Range<Int>, token: Int32)] = []
        while let candidate = heap.pop() {
            let end = candidate.start + candidate.length
            // Whatever is taken already is at least as long, so it cannot hide between the two ends.
            if isTaken[candidate.start] { continue }
            if isTaken[end - 1] {
                let next = longest(at: candidate.start, below: candidate.length, text, plain, vocabulary)
                if let next { heap.push(next) }
                continue
            }
            let range = stripped(candidate.start..<end, vocabulary.attributes(of: candidate.token), text, isTaken)
            for index in range { isTaken[index] = true }
            claims.append((range, candidate.token))
        }

        claims.sort { $0.range.lowerBound < $1.range.lowerBound }
        var fragments: [Fragment] = []
        var position = 0
        for (range, token) in claims {
            if range.lowerBound > position { fragments.append(.text(position..<range.lowerBound)) }
            fragments.append(.token(token))
            position = range.upperBound
        }
        if position < text.count { fragments.append(.text(position..<text.count)) }
        return fragments
    }

    /// Where the next plain byte is, from `start` on; beyond any text if there is none.
    private func plainByte(from start: Int, _ plain: [Range<Int>]) -> Int {
        var low = 0
        var high = plain.count
        while low < high {
            let middle = (low + high) / 2
            if plain[middle].upperBound <= start { low = middle + 1 } else { high = middle }
        }
        return low < plain.count ? max(plain[low].lowerBound, start) : .max
    }

    /// The longest token that the text spells at `start` and that is shorter than `limit`.
    private func longest(
        at start: Int, below limit: Int, _ text: UnsafeBufferPointer<UInt8>, _ plain: [Range<Int>], _ vocabulary: Vocabulary
    ) -> Candidate? {
        var best: Candidate?
        let plainByte = plainByte(from: start, plain)
        // All tokens in low..<high begin with the `depth` bytes at `start`.
        var low = 0
        var high = sorted.count
        var depth = 0
        while low < high, start + depth < text.count, depth + 1 < limit {
            let byte = text[start + depth]
            low = firstIndex(in: low..<high, vocabulary) { $0.count > depth && $0[depth] >= byte }
            high = firstIndex(in: low..<high, vocabulary) { $0.count > depth && $0[depth] > byte }
            depth += 1
            guard low < high, vocabulary.tokens.length(of: sorted[low]) == depth else { continue }
            let token = sorted[low]
            if start + depth <= plainByte || Self.isAlwaysParsed(vocabulary.attributes(of: token)) {
                best = Candidate(length: depth, token: token, start: start)
            }
        }
        return best
    }

    /// The first index in `range` whose token satisfies a condition that, once true, stays true.
    private func firstIndex(
        in range: Range<Int>, _ vocabulary: Vocabulary, where holds: (UnsafeBufferPointer<UInt8>) -> Bool
    ) -> Int {
        var low = range.lowerBound
        var high = range.upperBound
        while low < high {
            let middle = (low + high) / 2
            if vocabulary.tokens.withBytes(of: sorted[middle], holds) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The range with the free white space around it that the token strips.
    private func stripped(
        _ range: Range<Int>, _ attributes: TokenAttributes, _ text: UnsafeBufferPointer<UInt8>, _ isTaken: [Bool]
    ) -> Range<Int> {
        var range = range
        if attributes.contains(.stripsLeft) {
            while let before = range.first.map({ $0 - 1 }), before >= 0, !isTaken[before], Self.isSpace(text[before]) {
                range = before..<range.upperBound
            }
        }
        if attributes.contains(.stripsRight) {
            while range.upperBound < text.count, !isTaken[range.upperBound], Self.isSpace(text[range.upperBound]) {
                range = range.lowerBound..<(range.upperBound + 1)
            }
        }
        return range
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
