// Python's two ways of formatting: `"%s" % x` and `"{}".format(x)`.

extension Interpreter {
    // MARK: printf

    /// `format % values`, with the conversions s, r, d, i, u, f, e, g, x, X, o, c and %.
    func formatted(printf format: MarkedText, _ values: Value) throws(TemplateError) -> MarkedText {
        var arguments: [Value] = [values]
        if case .tuple(let list) = values { arguments = list.elements }
        var next = 0
        var output = MarkedTextBuilder()
        var scalars = format.scalars[...]
        try charge(bytes: format.utf8.count)
        while let piece = scalars.popFirst() {
            guard piece.scalar == "%" else {
                output.append(piece)
                continue
            }
            var named: Value?
            if scalars.first?.scalar == "(" {
                guard let end = scalars.firstIndex(where: { $0.scalar == ")" }), case .dictionary(let dictionary) = values else {
                    throw failure(.evaluation, "'%(' needs a name and a dict")
                }
                named = dictionary[MarkedText(scalars[scalars.index(after: scalars.startIndex)..<end]).string]
                scalars = scalars[(end + 1)...]
            }
            var layout = FormatLayout()
            while let flag = scalars.first?.scalar, "-+ 0#".unicodeScalars.contains(flag) {
                if flag == "-" { layout.alignment = "<" }
                if flag == "+" { layout.sign = "+" }
                if flag == "0" { layout.padsWithZeros = true }
                scalars.removeFirst()
            }
            layout.width = Self.number(&scalars) ?? 0
            if scalars.first?.scalar == "." {
                scalars.removeFirst()
                layout.precision = Self.number(&scalars) ?? 0
            }
            guard let conversion = scalars.popFirst()?.scalar else { throw failure(.evaluation, "a format ends too early") }
            if conversion == "%" {
                output.append(piece)
                continue
            }
            if named == nil {
                guard next < arguments.count else { throw failure(.evaluation, "too few values for the format") }
                named = arguments[next]
                next += 1
            }
            layout.kind = conversion == "i" || conversion == "u" ? "d" : conversion
            if layout.alignment == nil { layout.alignment = ">" }
            output.append(try laidOut(named ?? .none, layout))
            try charge(bytes: output.count)
        }
        try charge(making: output.text)
        return output.text
    }

    private static func number(_ scalars: inout ArraySlice<MarkedScalar>) -> Int? {
        var digits = ""
        while let digit = scalars.first?.scalar, digit.value >= 0x30, digit.value <= 0x39, digits.utf8.count < 9 {
            digits.unicodeScalars.append(digit)
            scalars.removeFirst()
        }
        return Int(digits)
    }

    // MARK: Braces

    /// `format.format(…)`: `{}`, `{0}`, `{name}`, attributes and items of these, `!r` and the usual layouts.
    func formatted(braces format: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> MarkedText {
        var output = MarkedTextBuilder()
        var next = 0
        var scalars = format.scalars[...]
        try charge(bytes: format.utf8.count)
        while let piece = scalars.popFirst() {
            guard piece.scalar == "{" || piece.scalar == "}" else {
                output.append(piece)
                continue
            }
            if scalars.first?.scalar == piece.scalar {
                scalars.removeFirst()
                output.append(piece)
                continue
            }
            guard piece.scalar == "{", let end = scalars.firstIndex(where: { $0.scalar == "}" }) else {
                throw failure(.evaluation, "a single brace in a format")
            }
            let field = scalars[..<end]
            scalars = scalars[(end + 1)...]
            output.append(try self.field(field, &next, arguments))
            try charge(bytes: output.count)
        }
        try charge(making: output.text)
        return output.text
    }

    private func field(
        _ field: ArraySlice<MarkedScalar>, _ next: inout Int, _ arguments: CallArguments
    ) throws(TemplateError) -> MarkedText {
        let colon = field.firstIndex { $0.scalar == ":" } ?? field.endIndex
        var path = field[..<colon]
        var isRepresentation = false
        if let mark = path.lastIndex(where: { $0.scalar == "!" }) {
            isRepresentation = path[(mark + 1)...].first?.scalar == "r"
            path = path[..<mark]
        }
        let root = path.prefix { $0.scalar != "." && $0.scalar != "[" }
        let name = MarkedText(root).string
        var value: Value?
        if name.isEmpty {
            value = next < arguments.positional.count ? arguments.positional[next] : nil
            next += 1
        } else if let index = Int(name) {
            value = arguments.positional.indices.contains(index) ? arguments.positional[index] : nil
        } else {
            value = arguments[name]
        }
        guard var value else { throw failure(.evaluation, "nothing to format for '{\(name)}'") }
        var rest = path.dropFirst(root.count)
        while let mark = rest.popFirst()?.scalar {
            let end = rest.firstIndex { mark == "[" ? $0.scalar == "]" : $0.scalar == "." || $0.scalar == "[" } ?? rest.endIndex
            let key = MarkedText(rest[..<end])
            value =
                mark == "["
                ? try item(Int(key.string).map(Value.int) ?? .string(key), of: value) : try attribute(key.string, of: value)
            rest = rest[(mark == "[" ? min(end + 1, rest.endIndex) : end)...]
        }
        if isRepresentation { value = .string(try representation(value)) }
        guard colon < field.endIndex else { return try text(value) }
        return try laidOut(value, try layout(field[(colon + 1)...]))
    }

    /// `[[fill]align][sign][0][width][,][.precision][kind]`.
    private func layout(_ specification: ArraySlice<MarkedScalar>) throws(TemplateError) -> FormatLayout {
        var layout = FormatLayout()
        var rest = specification
        let alignments = "<>^=".unicodeScalars
        if rest.count >= 2, alignments.contains(rest[rest.startIndex + 1].scalar) {
            layout.fill = rest.removeFirst()
            layout.alignment = rest.removeFirst().scalar
        } else if let first = rest.first, alignments.contains(first.scalar) {
            layout.alignment = rest.removeFirst().scalar
        }
        if let sign = rest.first, "+- ".unicodeScalars.contains(sign.scalar) { layout.sign = rest.removeFirst().scalar }
        if rest.first?.scalar == "0" {
            layout.padsWithZeros = true
            rest.removeFirst()
        }
        layout.width = Self.number(&rest) ?? 0
        if rest.first?.scalar == "," {
            layout.groups = true
            rest.removeFirst()
        }
        if rest.first?.scalar == "." {
            rest.removeFirst()
            layout.precision = Self.number(&rest)
        }
        if let kind = rest.popFirst() { layout.kind = kind.scalar }
        guard rest.isEmpty else { throw failure(.evaluation, "a format that is not known") }
        return layout
    }

    private func laidOut(_ value: Value, _ layout: FormatLayout) throws(TemplateError) -> MarkedText {
        if layout.width > limits.output || (layout.precision ?? 0) > 1000 { throw failure(.limit, "a text is too long") }
        var body: MarkedText
        var isNumber = true
        switch layout.kind {
        case "d", "x", "X", "o", "b", "c":
            guard let number = value.integer ?? value.number.flatMap({ Int(exactly: $0.rounded(.towardZero)) }) else {
                throw failure(.evaluation, "a number is needed to format, not a \(value.typeName)")
            }
            if layout.kind == "c" {
                // Numbers are trusted because they spell nothing, which as characters they might.
                let scalar = UInt32(exactly: number).flatMap(Unicode.Scalar.init) ?? "\u{FFFD}"
                body = MarkedText(MarkedScalar(scalar, isUntrusted: true))
                isNumber = false
                break
            }
            let radixes: [Unicode.Scalar: Int] = ["x": 16, "X": 16, "o": 8, "b": 2]
            var digits = String(number.magnitude, radix: radixes[layout.kind] ?? 10, uppercase: layout.kind == "X")
            if layout.groups { digits = Self.grouped(digits) }
            body = MarkedText(layout.signed(digits, isNegative: number < 0))
        case "f", "F", "e", "E", "g", "G", "%":
            guard let number = value.number else {
                throw failure(.evaluation, "a number is needed to format, not a \(value.typeName)")
            }
            body = MarkedText(layout.signed(layout.decimal(number.magnitude), isNegative: number < 0))
        case "r":
            body = try representation(value)
            isNumber = false
        default:
            isNumber = value.number != nil && layout.kind != "s"
            body = try text(value)
            if isNumber, layout.groups, let number = value.integer {
                body = MarkedText(layout.signed(Self.grouped(String(number.magnitude)), isNegative: number < 0))
            }
            if !isNumber, let precision = layout.precision { body = MarkedText(body.scalars.prefix(precision)) }
        }
        return layout.padded(body, isNumber: isNumber)
    }

    private static func grouped(_ digits: String) -> String {
        var output = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { output += "," }
            output.append(digit)
        }
        return output
    }
}

/// How a value is laid out in a formatted string.
struct FormatLayout {
    var fill = MarkedScalar(" ")
    var alignment: Unicode.Scalar?
    var sign: Unicode.Scalar = "-"
    var padsWithZeros = false
    var groups = false
    var width = 0
    var precision: Int?
    /// The conversion's letter, a blank for none.
    var kind: Unicode.Scalar = " "

    func signed(_ body: String, isNegative: Bool) -> String {
        if isNegative { return "-" + body }
        return sign == "+" ? "+" + body : sign == " " ? " " + body : body
    }

    /// A number that is not negative, in the layout's notation.
    func decimal(_ number: Double) -> String {
        guard number.isFinite else { return Value.python(number) }
        let digits = precision ?? 6
        switch kind {
        case "%": return Self.fixed(number * 100, digits) + "%"
        case "e", "E": return Self.scientific(number, digits)
        case "g", "G": return Value.python(number)
        default: return Self.fixed(number, digits)
        }
    }

    /// Exactly rounded: a double is a whole number times a power of two, and all its decimals can be written down.
    private static func fixed(_ number: Double, _ digits: Int) -> String {
        // Beyond 2⁵³ there are no fractions, and no shorter way than Swift's own exact one.
        var whole = number.rounded(.down)
        var fraction = number - whole
        var decimals: [UInt8] = []
        for _ in 0..<digits {
            // Ten times a fraction below 1 with 53 bits is exact in two parts: its whole and the rest.
            let (digit, rest) = tenfold(fraction)
            decimals.append(digit)
            fraction = rest
        }
        let isUp = fraction > 0.5 || (fraction == 0.5 && (decimals.last ?? UInt8(whole.truncatingRemainder(dividingBy: 10))) % 2 == 1)
        if isUp {
            var index = decimals.count - 1
            while index >= 0, decimals[index] == 9 {
                decimals[index] = 0
                index -= 1
            }
            if index >= 0 { decimals[index] += 1 } else { whole += 1 }
        }
        let start = whole < 9e18 ? String(UInt64(whole)) : Value.python(whole)
        return digits == 0 ? start : start + "." + decimals.map(String.init).joined()
    }

    /// The whole part of ten times a number below 1, and what is left.
    private static func tenfold(_ fraction: Double) -> (UInt8, Double) {
        let product = fraction * 10
        let error = (-product).addingProduct(fraction, 10)
        var digit = product.rounded(.down)
        var rest = (product - digit) + error
        if rest < 0 {
            digit -= 1
            rest += 1
        }
        return (UInt8(min(max(digit, 0), 9)), min(max(rest, 0), 1))
    }

    private static func scientific(_ number: Double, _ digits: Int) -> String {
        var mantissa = number
        var exponent = 0
        while mantissa >= 10 {
            mantissa /= 10
            exponent += 1
        }
        while mantissa > 0, mantissa < 1 {
            mantissa *= 10
            exponent -= 1
        }
        let power = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
        return fixed(mantissa, digits) + (exponent < 0 ? "e-" : "e+") + power
    }

    func padded(_ body: MarkedText, isNumber: Bool) -> MarkedText {
        let missing = width - TextOperations.length(body.string)
        guard missing > 0 else { return body }
        if padsWithZeros, alignment == nil || alignment == ">", isNumber {
            let sign = body.string.hasPrefix("-") || body.string.hasPrefix("+") ? 1 : 0
            return body.prefix(sign) + MarkedText(String(repeating: "0", count: missing)) + body.dropFirst(sign)
        }
        let filling = { (count: Int) in
            MarkedText(String(repeating: String(Character(fill.scalar)), count: count), isUntrusted: fill.isUntrusted)
        }
        switch alignment ?? (isNumber ? ">" : "<") {
        case "<": return body + filling(missing)
        case "^": return filling(missing / 2) + body + filling(missing - missing / 2)
        default: return filling(missing) + body
        }
    }
}
