/// The tokenizer of BERT and of many models that embed texts (Devlin et al., 2019): a text is cut into words, and each word is
/// taken from the left by the longest token that fits, or is one unknown token. In model files: `tokenizer.ggml.model` =
/// `bert`; tokens that begin a word are written with `▁` (U+2581) in front.
///
/// A text does not survive it where it lowers case, nor do spaces.
public struct WordPieceTokenizer: Tokenizer {
    public let vocabulary: Vocabulary
    private let splitter: WordSplitter
    private let partition: SpecialTokenPartition
    /// Bytes that tokens' texts have, the most first.
    private let lengths: [Int]
    /// Bytes of a token that is looked for in a word, at most.
    private static let longestPiece = 128

    /// - Parameters:
    ///   - lowersCase: `tokenizer.ggml.normalizer.lowercase`.
    ///   - stripsAccents: `tokenizer.ggml.normalizer.strip_accents`.
    public init(vocabulary: Vocabulary, lowersCase: Bool = true, stripsAccents: Bool = true) {
        self.vocabulary = vocabulary
        splitter = WordSplitter(lowersCase: lowersCase, stripsAccents: stripsAccents)
        partition = SpecialTokenPartition(vocabulary: vocabulary)
        var lengths = Set<Int>()
        for id in 0..<vocabulary.count { lengths.insert(vocabulary.tokens.length(of: Int32(id))) }
        // Longer ones are no parts of words, and looking for them at every place would take any time.
        self.lengths = lengths.filter { $0 <= WordPieceTokenizer.longestPiece }.sorted(by: >)
    }

    public func encode(_ text: UnsafeBufferPointer<UInt8>, addSpecial: Bool, plain: [Range<Int>]) -> [Int32] {
        var output: [Int32] = []
        if addSpecial, let bos = vocabulary.special.bos { output.append(bos) }
        var word: [UInt8] = []
        for fragment in partition.fragments(of: text, plain: plain, vocabulary: vocabulary) {
            switch fragment {
            case .token(let token):
                output.append(token)
            case .text(let range):
                splitter.forEachWord(of: ScalarText(text[range]), in: &word) { append($0, to: &output) }
            }
        }
        if addSpecial, let separator = vocabulary.special.separator { output.append(separator) }
        return output
    }

    public func appendPiece(of token: Int32, renderSpecial: Bool, to output: inout [UInt8]) {
        vocabulary.appendPiece(of: token, renderSpecial: renderSpecial, to: &output) { SentencePieceTokenizer.appendUnescaped($0, to: &$1) }
    }

    public func decode(_ tokens: [Int32], removeSpecial: Bool, renderSpecial: Bool) -> [UInt8] {
        var own = tokens[...]
        if removeSpecial {
            own = vocabulary.withoutMarks(tokens).tokens
            if let separator = vocabulary.special.separator, own.last == separator { own.removeLast() }
        }
        var output: [UInt8] = []
        for token in own { appendPiece(of: token, renderSpecial: renderSpecial, to: &output) }
        if output.first == 0x20 { output.removeFirst() }
        return output
    }

    /// Appends the tokens of a word that has the mark of its start. For a word of n bytes
    /// it takes time in n times the sum of the lengths that tokens have.
    private func append(_ word: UnsafeBufferPointer<UInt8>, to output: inout [Int32]) {
        let before = output.count
        var start = 0
        while start < word.count {
            guard let (token, length) = longest(UnsafeBufferPointer(rebasing: word[start...])) else {
                output.removeSubrange(before...)
                break
            }
            output.append(token)
            start += length
        }
        if output.count == before, let unknown = vocabulary.special.unknown { output.append(unknown) }
    }

    private func longest(_ text: UnsafeBufferPointer<UInt8>) -> (token: Int32, length: Int)? {
        for length in lengths where length <= text.count {
            if let token = vocabulary.tokens.find(UnsafeBufferPointer(rebasing: text[..<length])) { return (token, length) }
        }
        return nil
    }
}
