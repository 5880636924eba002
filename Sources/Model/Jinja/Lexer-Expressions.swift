extension Lexer {
    private static let closing: [UInt8: UInt8] = [
        UInt8(ascii: "("): UInt8(ascii: ")"), UInt8(ascii: "["): UInt8(ascii: "]"), UInt8(ascii: "{"): UInt8(ascii: "}"),
    ]
    private static let doubleSymbols: Set<String> = ["==", "!=", ">=", "<=", "//", "**"]
    private static let symbols = Set("+-/*%~[](){}><=.:|,;".utf8)

    /// Reads one token inside a tag. `brackets` holds the closing brackets still owed.
    mutating func expressionToken(_ brackets: inout [UInt8]) throws(TemplateError) {
        let first = source[position]
        if isDigit(first) { return try number() }
        if isNameByte(first) { return name() }
        if first == UInt8(ascii: "'") || first == UInt8(ascii: "\"") { return try string(quote: first) }
        if position + 1 < source.count {
            let pair = String(decoding: source[position...(position + 1)], as: UTF8.self)
            if Self.doubleSymbols.contains(pair) {
                tokens.append(Token(kind: .symbol(pair), line: line))
                position += 2
                return
            }
        }
        let symbol = String(Character(Unicode.Scalar(first)))
        guard Self.symbols.contains(first) else { throw failure("unexpected character '\(symbol)'") }
        if let closing = Self.closing[first] {
            brackets.append(closing)
        } else if Self.closing.values.contains(first) {
            guard brackets.popLast() == first else { throw failure("unexpected '\(symbol)'") }
        }
        tokens.append(Token(kind: .symbol(symbol), line: line))
        position += 1
    }

    private func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0 >= 0x30 && $0 <= 0x39 } ?? false }

    private func isNameByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "_") || byte >= 0x80
            || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
    }

    private mutating func name() {
        let start = position
        while let next = byte(position), isNameByte(next) { position += 1 }
        tokens.append(Token(kind: .name(String(decoding: source[start..<position], as: UTF8.self)), line: line))
    }

    /// Digits with single underscores between them.
    private func digits(at offset: Int, radix: Int) -> Int {
        func isOne(_ offset: Int) -> Bool {
            guard let byte = byte(offset) else { return false }
            return Character(Unicode.Scalar(byte)).hexDigitValue.map { $0 < radix } ?? false
        }
        var offset = offset
        while isOne(offset) || (byte(offset) == UInt8(ascii: "_") && isOne(offset + 1)) { offset += 1 }
        return offset
    }

    private mutating func number() throws(TemplateError) {
        let start = position
        let radixes: [UInt8: Int] = [UInt8(ascii: "x"): 16, UInt8(ascii: "o"): 8, UInt8(ascii: "b"): 2]
        if source[position] == 0x30, let mark = byte(position + 1), let radix = radixes[mark | 0x20] {
            let end = digits(at: position + 2, radix: radix)
            let text = String(decoding: source[(position + 2)..<end].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
            guard let value = Int(text, radix: radix) else { throw failure("a number out of range") }
            tokens.append(Token(kind: .integer(value), line: line))
            position = end
            return
        }
        var end = digits(at: position, radix: 10)
        var isWhole = true
        if byte(end) == UInt8(ascii: "."), isDigit(byte(end + 1)) {
            isWhole = false
            end = digits(at: end + 1, radix: 10)
        }
        if let mark = byte(end), mark | 0x20 == UInt8(ascii: "e") {
            let sign = byte(end + 1) == UInt8(ascii: "+") || byte(end + 1) == UInt8(ascii: "-") ? 1 : 0
            if isDigit(byte(end + 1 + sign)) {
                isWhole = false
                end = digits(at: end + 1 + sign, radix: 10)
            }
        }
        let text = String(decoding: source[start..<end].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        position = end
        if isWhole {
            guard let value = Int(text) else { throw failure("a number out of range") }
            tokens.append(Token(kind: .integer(value), line: line))
        } else {
            tokens.append(Token(kind: .float(Double(text) ?? 0), line: line))
        }
    }

    private mutating func string(quote: UInt8) throws(TemplateError) {
        let startLine = line
        var offset = position + 1
        var text: [UInt8] = []
        while let next = byte(offset) {
            if next == quote {
                position = offset + 1
                tokens.append(Token(kind: .string(String(decoding: text, as: UTF8.self)), line: startLine))
                return
            }
            if next == UInt8(ascii: "\\") {
                offset = try escape(at: offset + 1, into: &text)
                continue
            }
            if next == 0x0A { line += 1 }
            text.append(next)
            offset += 1
        }
        throw TemplateError(.syntax, "a string without an end", line: startLine)
    }

    /// Reads what follows a backslash, by Python's rules; an escape that does not exist stands for itself.
    private mutating func escape(at offset: Int, into text: inout [UInt8]) throws(TemplateError) -> Int {
        guard let next = byte(offset) else { throw failure("a string without an end") }
        let simple: [UInt8: UInt8] = [
            UInt8(ascii: "n"): 10, UInt8(ascii: "t"): 9, UInt8(ascii: "r"): 13, UInt8(ascii: "a"): 7, UInt8(ascii: "b"): 8,
            UInt8(ascii: "f"): 12, UInt8(ascii: "v"): 11, UInt8(ascii: "\\"): 92, UInt8(ascii: "'"): 39, UInt8(ascii: "\""): 34,
        ]
        if let byte = simple[next] {
            text.append(byte)
            return offset + 1
        }
        if next == 0x0A {
            line += 1
            return offset + 1
        }
        let lengths: [UInt8: Int] = [UInt8(ascii: "x"): 2, UInt8(ascii: "u"): 4, UInt8(ascii: "U"): 8]
        var end = offset
        var code: UInt32?
        if let length = lengths[next] {
            end = offset + 1 + length
            guard end <= source.count, digits(at: offset + 1, radix: 16) >= end else { throw failure("a broken escape in a string") }
            code = UInt32(String(decoding: source[(offset + 1)..<end], as: UTF8.self), radix: 16)
        } else if next >= 0x30, next <= 0x37 {
            while end < offset + 3, let digit = byte(end), digit >= 0x30, digit <= 0x37 { end += 1 }
            code = UInt32(String(decoding: source[offset..<end], as: UTF8.self), radix: 8)
        } else {
            text.append(UInt8(ascii: "\\"))
            return offset
        }
        guard let code, let scalar = Unicode.Scalar(code) else { throw failure("a broken escape in a string") }
        text.append(contentsOf: String(Character(scalar)).utf8)
        return end
    }
}
