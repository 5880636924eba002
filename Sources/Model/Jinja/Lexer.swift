/// Cuts a template into tokens, by Jinja 2's rules with `trim_blocks` and `lstrip_blocks` on, as chat templates are
/// written for: the first newline after a block is dropped, and so is white space between a line's start and a block.
/// A `-` inside a tag strips all white space on its side, a `+` none.
struct Lexer {
    let source: [UInt8]
    var position = 0
    var line = 1
    var tokens: [Token] = []
    /// Whether the last thing read ended with a newline, which makes the text after it the start of a line.
    private var isAtLineStart = true

    /// What a tag's `-` or `+` asks for.
    private enum Strip { case all, none, asUsual }

    static func tokens(of text: String, limits: TemplateLimits) throws(TemplateError) -> [Token] {
        guard text.utf8.count <= limits.source else { throw TemplateError(.limit, "the template is too long", line: 1) }
        var lexer = Lexer(text)
        try lexer.run()
        lexer.tokens.append(Token(kind: .end, line: lexer.line))
        return lexer.tokens
    }

    /// All newlines become `\n`, and a last one is dropped.
    private init(_ text: String) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var isAfterReturn = false
        for byte in text.utf8 {
            if byte == 0x0D {
                bytes.append(0x0A)
            } else if byte != 0x0A || !isAfterReturn {
                bytes.append(byte)
            }
            isAfterReturn = byte == 0x0D
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        source = bytes
    }

    func failure(_ message: String) -> TemplateError { TemplateError(.syntax, message, line: line) }

    func byte(_ offset: Int) -> UInt8? { offset < source.count ? source[offset] : nil }

    func starts(with text: StaticString, at offset: Int) -> Bool {
        guard offset + text.utf8CodeUnitCount <= source.count else { return false }
        for index in 0..<text.utf8CodeUnitCount where source[offset + index] != text.utf8Start[index] { return false }
        return true
    }

    // MARK: Outside tags

    private mutating func run() throws(TemplateError) {
        while position < source.count {
            let start = position
            guard let tag = nextTag(from: position) else {
                emitData(start..<source.count)
                position = source.count
                return
            }
            position = tag + 2
            let strip = readStrip()
            if source[tag + 1] == UInt8(ascii: "%"), let afterRaw = endOfTag(named: "raw", at: position, trims: false) {
                emitData(start..<tag, strip: strip, isVariable: false)
                advance(to: afterRaw)
                try raw()
                continue
            }
            switch source[tag + 1] {
            case UInt8(ascii: "#"):
                emitData(start..<tag, strip: strip, isVariable: false)
                try comment()
            case UInt8(ascii: "%"):
                emitData(start..<tag, strip: strip, isVariable: false)
                tokens.append(Token(kind: .blockBegin, line: line))
                try inside(isBlock: true)
            default:
                emitData(start..<tag, strip: strip, isVariable: true)
                tokens.append(Token(kind: .variableBegin, line: line))
                try inside(isBlock: false)
            }
        }
    }

    /// Where the next `{{`, `{%` or `{#` is.
    private func nextTag(from offset: Int) -> Int? {
        var offset = offset
        while offset + 1 < source.count {
            if source[offset] == UInt8(ascii: "{") {
                let second = source[offset + 1]
                if second == UInt8(ascii: "{") || second == UInt8(ascii: "%") || second == UInt8(ascii: "#") { return offset }
            }
            offset += 1
        }
        return nil
    }

    private mutating func readStrip() -> Strip {
        switch byte(position) {
        case UInt8(ascii: "-"):
            position += 1
            return .all
        case UInt8(ascii: "+"):
            position += 1
            return .none
        default: return .asUsual
        }
    }

    /// Emits text before a tag, stripped as the tag wants it.
    private mutating func emitData(_ range: Range<Int>, strip: Strip = .none, isVariable: Bool = true) {
        var end = range.upperBound
        switch strip {
        case .all:
            while end > range.lowerBound, let space = spaceLength(before: end, from: range.lowerBound) { end -= space }
        case .asUsual where !isVariable:
            var lineStart = end
            while lineStart > range.lowerBound, source[lineStart - 1] != 0x0A { lineStart -= 1 }
            if lineStart > range.lowerBound || isAtLineStart, isAllSpace(lineStart..<end) { end = lineStart }
        default: break
        }
        let startLine = line
        for index in range where source[index] == 0x0A { line += 1 }
        if end > range.lowerBound {
            let text = String(decoding: source[range.lowerBound..<end], as: UTF8.self)
            tokens.append(Token(kind: .data(text), line: startLine))
        }
        isAtLineStart = false
    }

    private func isAllSpace(_ range: Range<Int>) -> Bool {
        var end = range.upperBound
        while end > range.lowerBound {
            guard let space = spaceLength(before: end, from: range.lowerBound) else { return false }
            end -= space
        }
        return true
    }

    /// The length of the white space character that ends at `end`, nil if something else ends there.
    private func spaceLength(before end: Int, from start: Int) -> Int? {
        let last = source[end - 1]
        if last < 0x80 { return TextOperations.isSpace(Unicode.Scalar(last)) ? 1 : nil }
        var first = end - 1
        while first > start, end - first < 3, source[first] & 0xC0 == 0x80 { first -= 1 }
        let scalars = String(decoding: source[first..<end], as: UTF8.self).unicodeScalars
        guard scalars.count == 1, let scalar = scalars.first, TextOperations.isSpace(scalar) else { return nil }
        return end - first
    }

    /// Moves on over text that makes no token, counting its lines.
    private mutating func advance(to end: Int) {
        for index in position..<end where source[index] == 0x0A { line += 1 }
        isAtLineStart = end > position && source[end - 1] == 0x0A
        position = end
    }

    /// Past the white space at `offset`.
    private func skipSpace(_ offset: Int) -> Int {
        var offset = offset
        while offset < source.count {
            let lead = source[offset]
            if lead < 0x80 {
                guard TextOperations.isSpace(Unicode.Scalar(lead)) else { break }
                offset += 1
                continue
            }
            let length = lead >= 0xE0 ? 3 : 2
            guard offset + length <= source.count, let space = spaceLength(before: offset + length, from: offset), space == length
            else { break }
            offset += length
        }
        return offset
    }

    /// Where the text goes on after `name %}` at `offset`; nil if that is not there.
    private func endOfTag(named name: StaticString, at offset: Int, trims: Bool) -> Int? {
        var offset = skipSpace(offset)
        guard starts(with: name, at: offset) else { return nil }
        offset = skipSpace(offset + name.utf8CodeUnitCount)
        return endOfBlock(at: offset, trims: trims)
    }

    /// Where the text goes on after a block's end at `offset`: `%}`, `-%}` or, where blocks trim, `+%}`.
    private func endOfBlock(at offset: Int, trims: Bool) -> Int? {
        if starts(with: "-%}", at: offset) { return skipSpace(offset + 3) }
        if trims, starts(with: "+%}", at: offset) { return offset + 3 }
        guard starts(with: "%}", at: offset) else { return nil }
        return trims && byte(offset + 2) == 0x0A ? offset + 3 : offset + 2
    }

    private mutating func comment() throws(TemplateError) {
        var offset = position
        while offset < source.count {
            if starts(with: "-#}", at: offset) { return advance(to: skipSpace(offset + 3)) }
            if starts(with: "+#}", at: offset) { return advance(to: offset + 3) }
            if starts(with: "#}", at: offset) { return advance(to: byte(offset + 2) == 0x0A ? offset + 3 : offset + 2) }
            offset += 1
        }
        throw failure("a comment without an end")
    }

    private mutating func raw() throws(TemplateError) {
        let start = position
        var offset = position
        while offset < source.count {
            if starts(with: "{%", at: offset) {
                position = offset + 2
                let strip = readStrip()
                if let end = endOfTag(named: "endraw", at: position, trims: true) {
                    emitData(start..<offset, strip: strip, isVariable: false)
                    return advance(to: end)
                }
            }
            offset += 1
        }
        throw failure("a raw block without an end")
    }

    // MARK: Inside tags

    private mutating func inside(isBlock: Bool) throws(TemplateError) {
        var brackets: [UInt8] = []
        while position < source.count {
            if brackets.isEmpty {
                if isBlock, let end = endOfBlock(at: position, trims: true) {
                    tokens.append(Token(kind: .blockEnd, line: line))
                    return advance(to: end)
                }
                if !isBlock, starts(with: "-}}", at: position) || starts(with: "}}", at: position) {
                    let strips = source[position] == UInt8(ascii: "-")
                    tokens.append(Token(kind: .variableEnd, line: line))
                    return advance(to: strips ? skipSpace(position + 3) : position + 2)
                }
            }
            let space = skipSpace(position)
            if space > position {
                advance(to: space)
                continue
            }
            try expressionToken(&brackets)
        }
        // The parser sees the end where a tag should have ended, and says so.
    }
}
