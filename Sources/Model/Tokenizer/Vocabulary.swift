/// A model's tokens and what the model's file says about them: texts, scores, attributes, special ids and the
/// conventions for marking a text's start and end.
///
/// Everything comes from an untrusted file and is checked here once: after `init` every id held is in range and every
/// per-token array has `count` entries. Source of the keys: the GGUF format's `tokenizer.ggml.*`.
public struct Vocabulary: Sendable {
    /// What `tokenizer.ggml.model` says: how texts are split into these tokens.
    public enum Kind: String, Sendable, CaseIterable {
        /// SentencePiece: neighbouring pieces merge in order of the score of what they make.
        case sentencePiece = "llama"
        /// Byte pairs: neighbouring pieces of a word merge in the order in which they did in training.
        case bytePair = "gpt2"
        /// Words: the longest token that a word begins with, then the longest that the rest does.
        case wordPiece = "bert"
    }

    /// What the file declares beside the tokens; each is nil where the file says nothing, and then the kind decides.
    public struct Declaration: Sendable {
        /// `bos_token_id` and so on. An id outside the vocabulary counts as not declared (with a warning): files
        /// in use write 2³² − 1 for "none".
        public var bos, eos, eot, eom, unknown, separator, padding, mask: UInt32?
        /// `fim_pre_token_id` and so on: the parts of fill-in-the-middle prompts.
        public var fimPrefix, fimSuffix, fimMiddle, fimPadding, fimRepository, fimSeparator: UInt32?
        /// `add_bos_token`, `add_eos_token`: whether every text starts or ends so.
        public var addBOS, addEOS: Bool?
        /// `add_space_prefix`: whether text after a special token (and at the start) gets a space before it.
        public var addSpacePrefix: Bool?
        /// `general.name`; a few families are known only by it.
        public var modelName: String?
        /// `pre`: how texts are cut into words, for kinds that do so.
        public var preTokenizer: PreTokenizer?

        public init(
            bos: UInt32? = nil, eos: UInt32? = nil, eot: UInt32? = nil, eom: UInt32? = nil, unknown: UInt32? = nil,
            separator: UInt32? = nil, padding: UInt32? = nil, mask: UInt32? = nil, addBOS: Bool? = nil,
            addEOS: Bool? = nil, addSpacePrefix: Bool? = nil, modelName: String? = nil
        ) {
            self.bos = bos
            self.eos = eos
            self.eot = eot
            self.eom = eom
            self.unknown = unknown
            self.separator = separator
            self.padding = padding
            self.mask = mask
            self.addBOS = addBOS
            self.addEOS = addEOS
            self.addSpacePrefix = addSpacePrefix
            self.modelName = modelName
        }
    }

    /// The special tokens in force, after defaults and what the texts give away.
    public struct SpecialTokens: Sendable {
        public internal(set) var bos, eos, eot, eom, unknown, separator, padding, mask: Int32?
        public internal(set) var fimPrefix, fimSuffix, fimMiddle, fimPadding, fimRepository, fimSeparator: Int32?
    }

    public let kind: Kind
    /// Texts by id and ids by text.
    public let tokens: TokenTable
    /// By id; higher merges first.
    public let scores: [Float]
    /// By id.
    public internal(set) var attributes: [TokenAttributes]
    public internal(set) var special: SpecialTokens
    public let addBOS: Bool
    public let addEOS: Bool
    public let addSpacePrefix: Bool
    /// Ids after which a model has nothing more to say, ascending.
    public internal(set) var endOfGeneration: [Int32] = []
    /// What in the file was odd but could be lived with, for the log.
    public internal(set) var warnings: [String] = []

    /// - Parameters:
    ///   - tokens: `tokenizer.ggml.tokens`.
    ///   - scores: `tokenizer.ggml.scores`, at least one per token; nil where the file has none (all 0).
    ///   - types: `tokenizer.ggml.token_type`, at least one per token; nil where the file has none (all normal).
    ///   - declared: the remaining keys.
    public init(
        kind: Kind = .sentencePiece, tokens: TokenTable, scores: [Float]?, types: [Int32]?, declared: Declaration = .init()
    ) throws(VocabularyError) {
        let count = tokens.count
        guard count > 0 else { throw .empty }
        if let scores, scores.count < count {
            throw .arrayTooShort(key: "tokenizer.ggml.scores", count: scores.count, tokens: count)
        }
        if let types, types.count < count {
            throw .arrayTooShort(key: "tokenizer.ggml.token_type", count: types.count, tokens: count)
        }
        self.kind = kind
        self.tokens = tokens
        self.scores = scores.map { $0.count == count ? $0 : Array($0[..<count]) } ?? [Float](repeating: 0, count: count)
        if let bad = self.scores.firstIndex(where: { $0.isNaN }) { throw .scoreNotANumber(id: bad) }
        if let types {
            attributes = types[..<count].map { TokenAttributes(tokenType: $0) }
        } else {
            attributes = [TokenAttributes](repeating: .normal, count: count)
        }

        var warnings: [String] = []
        special = Self.resolve(declared, kind: kind, count: count, warnings: &warnings)
        if let first = tokens.duplicates.first {
            let others = tokens.duplicates.count > 1 ? " and \(tokens.duplicates.count - 1) more have" : " has"
            warnings.append("token \(first)\(others) the text of an earlier one: the later is taken for it")
        }
        self.warnings = warnings
        addEOS = declared.addEOS ?? false
        switch kind {
        case .sentencePiece:
            addBOS = declared.addBOS ?? true
            addSpacePrefix = declared.addSpacePrefix ?? true
        case .bytePair:
            addBOS = declared.addBOS ?? declared.preTokenizer?.addsBOS ?? false
            // Spaces are part of words, and none is ever put in front, whatever files say.
            addSpacePrefix = false
        case .wordPiece:
            // A text is always marked, whatever files say, and its end with the separator.
            addBOS = true
            addSpacePrefix = false
            if special.separator == nil { throw .missingSpecialToken(key: "sep") }
        }
        if addBOS, special.bos == nil { throw .missingSpecialToken(key: "bos") }
        if addEOS, special.eos == nil { throw .missingSpecialToken(key: "eos") }
        for id in attributes.indices where attributes[id].contains(.byte) {
            guard byteValue(of: Int32(id)) != nil else { throw .malformedByteToken(id: id) }
        }
        recogniseByText()
        applyStripping(modelName: declared.modelName ?? "")
    }

    /// The number of tokens.
    public var count: Int { tokens.count }

    /// Whether generation ends at this token.
    public func isEndOfGeneration(_ token: Int32) -> Bool { endOfGeneration.contains(token) }

    /// The token's attributes, none for an id outside the vocabulary.
    public func attributes(of token: Int32) -> TokenAttributes {
        attributes.indices.contains(Int(token)) ? attributes[Int(token)] : []
    }

    /// The token's text as the file has it (with `▁` for spaces in SentencePiece vocabularies), repaired where it is
    /// not UTF-8. For messages and for `bos_token` and the like in chat templates.
    public func text(of token: Int32) -> String {
        tokens.withBytes(of: token) { String(decoding: $0, as: UTF8.self) }
    }

    /// Tokens without the marks of start and end that every text gets.
    ///
    /// - Returns: also whether there was one of a start.
    func withoutMarks(_ tokens: [Int32]) -> (tokens: ArraySlice<Int32>, hadStart: Bool) {
        var rest = tokens[...]
        let hasStart = addBOS && special.bos != nil && rest.first == special.bos
        if hasStart { rest.removeFirst() }
        if addEOS, special.eos != nil, rest.last == special.eos { rest.removeLast() }
        return (rest, hasStart)
    }

    /// Appends what a token adds to a text; nothing for one that is not shown.
    ///
    /// - Parameter decode: appends the text of an ordinary token, which each kind writes in its own way.
    func appendPiece(
        of token: Int32, renderSpecial: Bool, to output: inout [UInt8], _ decode: (UnsafeBufferPointer<UInt8>, inout [UInt8]) -> Void
    ) {
        let attributes = attributes(of: token)
        let isHidden = !attributes.isDisjoint(with: .hidden)
        if isHidden, !renderSpecial { return }
        if isHidden || attributes.contains(.userDefined) {
            tokens.withBytes(of: token) { output.append(contentsOf: $0) }
        } else if attributes.contains(.normal) {
            tokens.withBytes(of: token) { decode($0, &output) }
        } else if attributes.contains(.byte), let byte = byteValue(of: token) {
            output.append(byte)
        }
    }

    /// The byte that a token written `<0xHH>` stands for.
    func byteValue(of token: Int32) -> UInt8? {
        tokens.withBytes(of: token) { text in
            guard text.count == 6, text[0] == UInt8(ascii: "<"), text[1] == UInt8(ascii: "0"),
                text[2] == UInt8(ascii: "x"), text[5] == UInt8(ascii: ">"),
                let high = Self.hexDigit(text[3]), let low = Self.hexDigit(text[4])
            else { return nil }
            return high << 4 | low
        }
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
