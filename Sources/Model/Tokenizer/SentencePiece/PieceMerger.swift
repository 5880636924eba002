/// Splits text into SentencePiece tokens: starts from single characters and joins the pair of neighbours whose union
/// is the token with the highest score, the leftmost first among equals, until no pair makes a token.
///
/// Works on bytes. A "character" is as many bytes as its first one announces, so broken UTF-8 is split the same way
/// every time. What is not a token in the end is written as byte tokens.
struct PieceMerger {
    /// A run of bytes that has not been joined further; empty once it was joined into its left neighbour.
    private struct Piece {
        var start: Int
        var count: Int
        /// Neighbours by index, -1 at the ends.
        var previous: Int
        var next: Int
    }

    /// A pair that would make a token. Stale once either side has changed, which the sum of the sizes shows.
    private struct Pair: HeapElement {
        var score: Float
        var size: Int32
        var left: Int
        var right: Int

        @inline(__always)
        func precedes(_ other: Pair) -> Bool {
            score > other.score || (score == other.score && left < other.left)
        }
    }

    private let vocabulary: Vocabulary
    private let byteTokens: [Int32]
    private let structureStarts: [Bool]
    private var pieces: [Piece] = []
    private var pairs = BinaryHeap<Pair>()

    /// - Parameters:
    ///   - byteTokens: by byte value, the token that stands for it, -1 for none.
    ///   - structureStarts: by byte value, whether any control token's text starts with it.
    init(vocabulary: Vocabulary, byteTokens: [Int32], structureStarts: [Bool]) {
        self.vocabulary = vocabulary
        self.byteTokens = byteTokens
        self.structureStarts = structureStarts
    }

    /// Appends the tokens of a text whose spaces have been escaped.
    mutating func split(_ text: UnsafeBufferPointer<UInt8>, into output: inout [Int32]) {
        pieces.removeAll(keepingCapacity: true)
        pairs.removeAll()
        var offset = 0
        while offset < text.count {
            let count = min(Self.announcedLength(text[offset]), text.count - offset)
            let index = pieces.count
            pieces.append(Piece(start: offset, count: count, previous: index - 1, next: index + 1))
            offset += count
        }
        guard !pieces.isEmpty else { return }
        pieces[pieces.count - 1].next = -1

        for index in 1..<max(pieces.count, 1) { consider(index - 1, index, text) }
        while let pair = pairs.pop() {
            let right = pieces[pair.right]
            guard pieces[pair.left].count > 0, right.count > 0, pieces[pair.left].count + right.count == Int(pair.size)
            else { continue }
            pieces[pair.left].count += right.count
            pieces[pair.left].next = right.next
            pieces[pair.right].count = 0
            if right.next >= 0 { pieces[right.next].previous = pair.left }
            consider(pieces[pair.left].previous, pair.left, text)
            consider(pair.left, right.next, text)
        }

        var index = 0
        while index >= 0 {
            let piece = pieces[index]
            emit(UnsafeBufferPointer(rebasing: text[piece.start..<(piece.start + piece.count)]), into: &output)
            index = piece.next
        }
    }

    /// Queues a pair of neighbours if together they are a token.
    private mutating func consider(_ left: Int, _ right: Int, _ text: UnsafeBufferPointer<UInt8>) {
        guard left >= 0, right >= 0 else { return }
        let start = pieces[left].start
        let size = pieces[left].count + pieces[right].count
        guard size <= vocabulary.tokens.longest,
            let token = textToken(UnsafeBufferPointer(rebasing: text[start..<(start + size)]))
        else { return }
        pairs.push(Pair(score: vocabulary.scores[Int(token)], size: Int32(truncatingIfNeeded: size), left: left, right: right))
    }

    /// The token with exactly this text, unless it is one for structure: text that merely spells it is split on.
    private func textToken(_ piece: UnsafeBufferPointer<UInt8>) -> Int32? {
        guard let token = vocabulary.tokens.find(piece) else { return nil }
        // Few texts start as control tokens do; the others need no look at the attributes.
        guard structureStarts[Int(piece[0])] else { return token }
        return vocabulary.attributes[Int(token)].isDisjoint(with: .structure) ? token : nil
    }

    private func emit(_ piece: UnsafeBufferPointer<UInt8>, into output: inout [Int32]) {
        if let token = textToken(piece) {
            output.append(token)
            return
        }
        for byte in piece {
            let token = byteTokens[Int(byte)]
            if token >= 0 {
                output.append(token)
            } else if let unknown = vocabulary.special.unknown {
                output.append(unknown)
            }
        }
    }

    /// How many bytes a UTF-8 sequence has by its first byte; 1 for bytes that start none.
    private static func announcedLength(_ byte: UInt8) -> Int {
        switch byte {
        case 0xF0...: 4
        case 0xE0...: 3
        case 0xC0...: 2
        default: 1
        }
    }
}
