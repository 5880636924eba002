/// The tokenizer of GPT-2, Llama 3, Qwen, SmolLM and most others since: texts are cut into words, words into bytes, and of the
/// neighbouring pieces those join first that joined first in training (Sennrich et al., 2016; GPT-2, 2019). In model files:
/// `tokenizer.ggml.model` = `gpt2`.
public struct BytePairTokenizer: Tokenizer {
    public let vocabulary: Vocabulary
    private let preTokenizer: PreTokenizer
    private let merges: BytePairMerges
    private let partition: SpecialTokenPartition
    /// By byte, the piece that stands for it; -1 for none.
    private let bytePieces: [Int32]
    /// By byte, the tokens to write where no token has it.
    private let byteFallbacks: [[Int32]]

    /// - Parameter merges: lines of two pieces with a space between, in order of rank.
    /// - Throws: ``VocabularyError``.
    package init(
        vocabulary: Vocabulary, preTokenizer: PreTokenizer, merges lines: some Sequence<UnsafeRawBufferPointer>, mergeCount: Int
    ) throws(VocabularyError) {
        self.vocabulary = vocabulary
        self.preTokenizer = preTokenizer
        let merges = try BytePairMerges(lines, lineCount: mergeCount, vocabulary)
        self.merges = merges
        partition = SpecialTokenPartition(vocabulary: vocabulary)
        let symbols = (0..<256).map { byte in
            var symbol: [UInt8] = []
            ByteAlphabet.append(UInt8(byte), to: &symbol)
            return symbol
        }
        bytePieces = symbols.map { symbol in symbol.withUnsafeBufferPointer { merges.piece($0, in: vocabulary) } ?? -1 }
        // What cannot be written at all is left out, as other readers do.
        byteFallbacks = symbols.map { symbol in
            symbol.compactMap { byte in [byte].withUnsafeBufferPointer { vocabulary.tokens.find($0) } }
        }
    }

    public func encode(_ text: UnsafeBufferPointer<UInt8>, addSpecial: Bool, plain: [Range<Int>]) -> [Int32] {
        var output: [Int32] = []
        if addSpecial, vocabulary.addBOS, let bos = vocabulary.special.bos { output.append(bos) }
        var joining = Joining(self)
        for fragment in partition.fragments(of: text, plain: plain, vocabulary: vocabulary) {
            switch fragment {
            case .token(let token):
                output.append(token)
            case .text(let range):
                let scalars = ScalarText(text[range])
                var start = 0
                for end in preTokenizer.wordEnds(scalars) {
                    joining.join(scalars, start..<end, into: &output)
                    start = end
                }
            }
        }
        if addSpecial, vocabulary.addEOS, let eos = vocabulary.special.eos { output.append(eos) }
        return output
    }

    public func appendPiece(of token: Int32, renderSpecial: Bool, to output: inout [UInt8]) {
        vocabulary.appendPiece(of: token, renderSpecial: renderSpecial, to: &output) { ByteAlphabet.appendDecoded($0, to: &$1) }
    }

    public func decode(_ tokens: [Int32], removeSpecial: Bool, renderSpecial: Bool) -> [UInt8] {
        let (own, _) = removeSpecial ? vocabulary.withoutMarks(tokens) : (tokens[...], false)
        var output: [UInt8] = []
        for token in own { appendPiece(of: token, renderSpecial: renderSpecial, to: &output) }
        return output
    }
}

extension BytePairTokenizer {
    /// Joins the bytes of words to tokens; its memory is used again from word to word.
    private struct Joining {
        private struct Piece {
            /// By number; -1 for a byte that nothing stands for.
            var number: Int32
            /// The bytes of the word that it has. None once it was joined into its left neighbour.
            var start: Int
            var count: Int
            var previous: Int
            var next: Int
        }

        /// A pair that would join. Stale once either side has changed, which the sum of the sizes shows.
        private struct Pair: HeapElement {
            var rank: Int32
            var product: Int32
            var size: Int
            var left: Int
            var right: Int

            @inline(__always)
            func precedes(_ other: Pair) -> Bool { rank < other.rank || (rank == other.rank && left < other.left) }
        }

        private let tokenizer: BytePairTokenizer
        private var bytes: [UInt8] = []
        private var pieces: [Piece] = []
        private var pairs = BinaryHeap<Pair>()

        init(_ tokenizer: BytePairTokenizer) { self.tokenizer = tokenizer }

        /// Appends the tokens of a word. O(n log n) in its length.
        mutating func join(_ text: ScalarText, _ range: Range<Int>, into output: inout [Int32]) {
            bytes.removeAll(keepingCapacity: true)
            for index in range { ScalarText.forEachByte(of: text.scalars[index]) { bytes.append($0) } }
            if tokenizer.preTokenizer.takesWholeWords, let token = wholeWord() {
                output.append(token)
                return
            }
            pieces.removeAll(keepingCapacity: true)
            pairs.removeAll()
            for (index, byte) in bytes.enumerated() {
                let next = index + 1 < bytes.count ? index + 1 : -1
                let number = tokenizer.bytePieces[Int(byte)]
                pieces.append(Piece(number: number, start: index, count: 1, previous: index - 1, next: next))
            }
            for index in pieces.indices.dropFirst() { consider(index - 1, index) }
            while let pair = pairs.pop() {
                let right = pieces[pair.right]
                guard pieces[pair.left].count > 0, right.count > 0, pieces[pair.left].count + right.count == pair.size else { continue }
                pieces[pair.left].number = pair.product
                pieces[pair.left].count += right.count
                pieces[pair.left].next = right.next
                pieces[pair.right].count = 0
                if right.next >= 0 { pieces[right.next].previous = pair.left }
                consider(pieces[pair.left].previous, pair.left)
                consider(pair.left, right.next)
            }
            var index = pieces.isEmpty ? -1 : 0
            while index >= 0 {
                write(pieces[index], into: &output)
                index = pieces[index].next
            }
        }

        private func wholeWord() -> Int32? {
            var symbols: [UInt8] = []
            for byte in bytes { ByteAlphabet.append(byte, to: &symbols) }
            let vocabulary = tokenizer.vocabulary
            guard let token = symbols.withUnsafeBufferPointer({ vocabulary.tokens.find($0) }),
                vocabulary.attributes(of: token).isDisjoint(with: .structure)
            else { return nil }
            return token
        }

        private mutating func consider(_ left: Int, _ right: Int) {
            guard left >= 0, right >= 0, pieces[left].number >= 0, pieces[right].number >= 0,
                let merge = tokenizer.merges.merge(pieces[left].number, pieces[right].number)
            else { return }
            let size = pieces[left].count + pieces[right].count
            pairs.push(Pair(rank: merge.rank, product: merge.product, size: size, left: left, right: right))
        }

        private func write(_ piece: Piece, into output: inout [Int32]) {
            if piece.number >= 0, Int(piece.number) < tokenizer.vocabulary.count {
                output.append(piece.number)
                return
            }
            for byte in bytes[piece.start..<piece.start + piece.count] { output += tokenizer.byteFallbacks[Int(byte)] }
        }
    }
}
