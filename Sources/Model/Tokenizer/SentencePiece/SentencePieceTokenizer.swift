/// The tokenizer of Llama 2, Gemma, Phi-3 and their like: SentencePiece vocabularies with scores, spaces written as
/// `▁` (U+2581), bytes as a last resort. In model files: `tokenizer.ggml.model` = `llama`.
public struct SentencePieceTokenizer: Tokenizer {
    public let vocabulary: Vocabulary
    private let partition: SpecialTokenPartition
    /// By byte value, the token that stands for it, -1 for none.
    private let byteTokens: [Int32]
    /// By byte value, whether any control token's text starts with it.
    private let structureStarts: [Bool]

    public init(vocabulary: Vocabulary) {
        self.vocabulary = vocabulary
        partition = SpecialTokenPartition(vocabulary: vocabulary)
        let digits = Array("0123456789ABCDEF".utf8)
        byteTokens = (0..<256).map { (byte: Int) -> Int32 in
            let text = Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15], UInt8(ascii: ">")]
            let written = text.withUnsafeBufferPointer { vocabulary.tokens.find($0) }
            let itself = [UInt8(byte)].withUnsafeBufferPointer { vocabulary.tokens.find($0) }
            return written ?? itself ?? -1
        }
        var structureStarts = [Bool](repeating: false, count: 256)
        for id in vocabulary.attributes.indices where !vocabulary.attributes[id].isDisjoint(with: .structure) {
            if let first = vocabulary.tokens.withBytes(of: Int32(id), { $0.first }) { structureStarts[Int(first)] = true }
        }
        self.structureStarts = structureStarts
    }

    public func encode(_ text: UnsafeBufferPointer<UInt8>, addSpecial: Bool, plain: [Range<Int>]) -> [Int32] {
        var output: [Int32] = []
        if addSpecial, vocabulary.addBOS, let bos = vocabulary.special.bos { output.append(bos) }
        var merger = PieceMerger(vocabulary: vocabulary, byteTokens: byteTokens, structureStarts: structureStarts)
        var escaped: [UInt8] = []
        var isAfterSpecial = true
        for fragment in partition.fragments(of: text, plain: plain, vocabulary: vocabulary) {
            switch fragment {
            case .token(let token):
                output.append(token)
                isAfterSpecial = true
            case .text(let range):
                let withSpace = vocabulary.addSpacePrefix && isAfterSpecial
                Self.escape(text[range], withSpace: withSpace, into: &escaped)
                escaped.withUnsafeBufferPointer { merger.split($0, into: &output) }
                isAfterSpecial = false
            }
        }
        if addSpecial, vocabulary.addEOS, let eos = vocabulary.special.eos { output.append(eos) }
        return output
    }

    public func appendPiece(of token: Int32, renderSpecial: Bool, to output: inout [UInt8]) {
        vocabulary.appendPiece(of: token, renderSpecial: renderSpecial, to: &output) { Self.appendUnescaped($0, to: &$1) }
    }

    public func decode(_ tokens: [Int32], removeSpecial: Bool, renderSpecial: Bool) -> [UInt8] {
        let (own, hadStart) = removeSpecial ? vocabulary.withoutMarks(tokens) : (tokens[...], false)
        // Kept behind a mark of start, as readers of the format in use have it, though the space prefix would be there too.
        var dropsSpace = vocabulary.addSpacePrefix && !hadStart
        var output: [UInt8] = []
        for token in own {
            let start = output.count
            appendPiece(of: token, renderSpecial: renderSpecial, to: &output)
            if dropsSpace, output.count > start, output[start] == 0x20 { output.remove(at: start) }
            dropsSpace = false
        }
        return output
    }

    // MARK: Spaces

    /// U+2581 in UTF-8.
    private static let escapedSpace: [UInt8] = [0xE2, 0x96, 0x81]

    private static func escape(_ text: Slice<UnsafeBufferPointer<UInt8>>, withSpace: Bool, into output: inout [UInt8]) {
        output.removeAll(keepingCapacity: true)
        output.reserveCapacity(text.count + 3)
        if withSpace { output.append(contentsOf: escapedSpace) }
        for byte in text {
            if byte == 0x20 { output.append(contentsOf: escapedSpace) } else { output.append(byte) }
        }
    }

    /// Appends a token's text with its spaces.
    static func appendUnescaped(_ text: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        var index = 0
        while index < text.count {
            let isEscape = index + 2 < text.count && text[index] == 0xE2 && text[index + 1] == 0x96 && text[index + 2] == 0x81
            output.append(isEscape ? 0x20 : text[index])
            index += isEscape ? 3 : 1
        }
    }
}
