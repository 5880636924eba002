/// Text to tokens and back. One implementation per way of splitting text; all are immutable and may be shared freely.
public protocol Tokenizer: Sendable {
    var vocabulary: Vocabulary { get }

    /// The tokens of a text.
    ///
    /// - Parameters:
    ///   - text: UTF-8, though nothing breaks if it is not: what no token covers is split into bytes.
    ///   - addSpecial: mark the text's start and end as the vocabulary wants it.
    ///   - plain: bytes that no control token is made of: one written out in the text (`<end_of_turn>`) becomes that
    ///     token only where it lies between these ranges. They change nothing else: text on both sides of an end is
    ///     split as one. Ascending, disjoint, none empty; what is outside the text does not matter.
    ///
    /// Complexity: O(n log n) in the text's length.
    func encode(_ text: UnsafeBufferPointer<UInt8>, addSpecial: Bool, plain: [Range<Int>]) -> [Int32]

    /// Appends the bytes that a token adds to a text; nothing for an id outside the vocabulary. A piece may end
    /// inside a character.
    ///
    /// - Parameter renderSpecial: also write control tokens, as their texts.
    func appendPiece(of token: Int32, renderSpecial: Bool, to output: inout [UInt8])

    /// The bytes of a sequence of tokens as a text of its own: the space that ``encode(_:addSpecial:plain:)``
    /// put at its start is taken off.
    ///
    /// - Parameters:
    ///   - removeSpecial: leave out the marks of start and end that `addSpecial` adds.
    ///   - renderSpecial: also write control tokens, as their texts.
    func decode(_ tokens: [Int32], removeSpecial: Bool, renderSpecial: Bool) -> [UInt8]
}

extension Tokenizer {
    /// The tokens of a text of one origin.
    ///
    /// - Parameter parseSpecial: let control tokens written out in the text become those tokens, wherever they stand.
    ///   So it is for a prompt that is all the caller's own: a completion's, the command line's. Of a rendered chat only
    ///   the template's part is; there the messages are `plain`.
    public func encode(_ text: UnsafeBufferPointer<UInt8>, addSpecial: Bool, parseSpecial: Bool) -> [Int32] {
        encode(text, addSpecial: addSpecial, plain: parseSpecial ? [] : [0..<text.count])
    }

    /// The tokens of a text; see the requirement of the same name.
    public func encode(_ text: String, addSpecial: Bool, plain: [Range<Int>]) -> [Int32] {
        var text = text
        return text.withUTF8 { encode($0, addSpecial: addSpecial, plain: plain) }
    }

    /// The tokens of a text; see ``encode(_:addSpecial:parseSpecial:)``.
    public func encode(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) -> [Int32] {
        text.withUnsafeBufferPointer { encode($0, addSpecial: addSpecial, parseSpecial: parseSpecial) }
    }

    /// The tokens of a text; see ``encode(_:addSpecial:parseSpecial:)``.
    public func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool) -> [Int32] {
        var text = text
        return text.withUTF8 { encode($0, addSpecial: addSpecial, parseSpecial: parseSpecial) }
    }

    /// The bytes that a token adds to a text; see ``appendPiece(of:renderSpecial:to:)``.
    public func piece(of token: Int32, renderSpecial: Bool = false) -> [UInt8] {
        var bytes: [UInt8] = []
        appendPiece(of: token, renderSpecial: renderSpecial, to: &bytes)
        return bytes
    }

    /// The text of a sequence of tokens, with U+FFFD for what is not UTF-8; see ``decode(_:removeSpecial:renderSpecial:)``.
    public func text(of tokens: [Int32], removeSpecial: Bool = true, renderSpecial: Bool = false) -> String {
        String(decoding: decode(tokens, removeSpecial: removeSpecial, renderSpecial: renderSpecial), as: UTF8.self)
    }
}
