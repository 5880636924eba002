// Python's two ways of formatting: `"%s" % x` and `"{}".format(x)`.

extension Interpreter {
    // MARK: printf

    /// `format % values`, with the conversions s, r, d, i, u, f, e, g, x, X, o, c and %.
    func formatted(printf format: String, _ values: Value) throws(TemplateError) -> String {
        var arguments: [Value] = [values]
        if case .tuple(let list) = values { arguments = list.elements }
        var next = 0
        var output = ""
        var scalars = Array(format.unicodeScalars)[...]
        try charge(bytes: format.utf8.count)
        while let scalar = scalars.popFirst() {
            guard scalar == "%" else {
                output.unicodeScalars.append(scalar)
                continue
            }
            var named: Value?
            if scalars.first == "(" {
                guard let end = scalars.firstIndex(of: ")"), case .dictionary(let dictionary) = values else {
                    throw failure(.evaluation, "'%(' needs a name and a dict")
                }
                named = dictionary[TextOperations.string(scalars[scalars.index(after: scalars.startIndex)..<end])]
                scalars = scalars[(end + 1)...]
            }
            var layout = FormatLayout()
            while let flag = scalars.first, "-+ 0#".unicodeScalars.contains(flag) {
                if flag == "-" { layout.alignment = "<" }
                if flag == "+" { layout.sign = "+" }
                if flag == "0" { layout.padsWithZeros = true }
                scalars.removeFirst()
            }
            layout.width = Self.number(&scalars) ?? 0
            if scalars.first == "." {
                scalars.removeFirst()
                layout.precision = Self.number(&scalars) ?? 0
            }
            guard let conversion = scalars.popFirst() else { throw failure(.evaluation, "a format ends too early") }
            if conversion == "%" {
                output += "%"
                continue
            }
            if named == nil {
                guard next < arguments.count else { throw failure(.evaluation, "too few values for the format") }
                named = arguments[next]
                next += 1
            }
            layout.kind = conversion == "i" || conversion == "u" ? "d" : conversion
            if layout.alignment == nil { layout.alignment = ">" }
            output += try laidOut(named ?? .none, layout)
            try charge(bytes: output.utf8.count)
        }
        return output
    }

    private static func number(_ scalars: inout ArraySlice<Unicode.Scalar>) -> Int? {
        var digits = ""
        while let digit = scalars.first, digit.value >= 0x30, digit.value <= 0x39, digits.utf8.count < 9 {
            digits.unicodeScalars.append(digit)
            scalars.removeFirst()
        }
        return Int(digits)
    }

    // MARK: Braces

    /// `format.format(…)`: `{}`, `{0}`, `{name}`, attributes and items of these, `!r` and the usual layouts.
    func formatted(braces format: String, _ arguments: CallArguments) throws(TemplateError) -> String {
        var output = ""
        var next = 0
        var scalars = Array(format.unicodeScalars)[...]
        try charge(bytes: format.utf8.count)
        while let scalar = scalars.popFirst() {
            guard scalar == "{" || scalar == "}" else {
                output.unicodeScalars.append(scalar)
                continue
            }
            if scalars.first == scalar {
                scalars.removeFirst()
                output.unicodeScalars.append(scalar)
                continue
            }
            guard scalar == "{", let end = scalars.firstIndex(of: "}") else { throw failure(.evaluation, "a single brace in a format") }
            let field = scalars[..<end]
            scalars = scalars[(end + 1)...]
            output += try self.field(field, &next, arguments)
            try charge(bytes: output.utf8.count)
        }
        return output
    }

    private func field(
        _ field: ArraySlice<Unicode.Scalar>, _ next: inout Int, _ arguments: CallArguments
    ) throws(TemplateError) -> String {
        let colon = field.firstIndex(of: ":") ?? field.endIndex
        var path = field[..<colon]
        var isRepresentation = false
        if let mark = path.lastIndex(of: "!") {
            isRepresentation = path[(mark + 1)...].first == "r"
            path = path[..<mark]
        }
        let root = path.prefix { $0 != "." && $0 != "[" }
        let name = TextOperations.string(root)
        var value: Value?
        if name.isEmpty {
            value = next < arguments.positional.count ? arguments.positional[next] : nil
            next += 1
        } else if let index = Int(name) {
            value = arguments.positional.indices.contains(index) ? arguments.positional[index] : nil
        } else {
            value = arguments.named.last { $0.name == name }?.value
        }
        guard var value else { throw failure(.evaluation, "nothing to format for '{\(name)}'") }
        var rest = path.dropFirst(root.count)
        while let mark = rest.popFirst() {
            let end = rest.firstIndex { mark == "[" ? $0 == "]" : $0 == "." || $0 == "[" } ?? rest.endIndex
            let key = TextOperations.string(rest[..<end])
            value =
                mark == "[" ? try item(Int(key).map(Value.int) ?? .string(key), of: value) : try attribute(key, of: value)
            rest = rest[(mark == "[" ? min(end + 1, rest.endIndex) : end)...]
        }
        if isRepresentation {
            var text = ""
            guard value.writeRepresentation(to: &text, limit: limits.output) else { throw failure(.limit, "a text is too long") }
            value = .string(text)
        }
        guard colon < field.endIndex else { return try text(value) }
        return try laidOut(value, try layout(field[(colon + 1)...]))
    }

    /// `[[fill]align][sign][0][width][,][.precision][kind]`.
    private func layout(_ specification: ArraySlice<Unicode.Scalar>) throws(TemplateError) -> FormatLayout {
        var layout = FormatLayout()
        var rest = specification
        let alignments = "<>^=".unicodeScalars
        if rest.count >= 2, alignments.contains(rest[rest.startIndex + 1]) {
            layout.fill = rest.removeFirst()
            layout.alignment = rest.removeFirst()
        } else if let first = rest.first, alignments.contains(first) {
            layout.alignment = rest.removeFirst()
        }
        if let sign = rest.first, "+- ".unicodeScalars.contains(sign) { layout.sign = rest.removeFirst() }
        if rest.first == "0" {
            layout.padsWithZeros = true
            rest.removeFirst()
        }
        layout.width = Self.number(&rest) ?? 0
        if rest.first == "," {
            layout.groups = true
            rest.removeFirst()
        }
        if rest.first == "." {
            rest.removeFirst()
            layout.precision = Self.number(&rest)
        }
        if let kind = rest.popFirst() { layout.kind = kind }
        guard rest.isEmpty else { throw failure(.evaluation, "a format that is not known") }
        return layout
    }

    private func laidOut(_ value: Value, _ layout: FormatLayout) throws(TemplateError) -> String {
        if layout.width > limits.output || (layout.precision ?? 0) > 1000 { throw failure(.limit, "a text is too long") }
        var body: String
        var isNumber = true
        switch layout.kind {
        case "d", "x", "X", "o", "b", "c":
            guard let number = value.integer ?? value.number.flatMap({ Int(exactly: $0.rounded(.towardZero)) }) else {
                throw failure(.evaluation, "a number is needed to format, not a \(value.typeName)")
            }
            if layout.kind == "c" {
                body = UInt32(exactly: number).flatMap(Unicode.Scalar.init).map { String(Character($0)) } ?? "\u{FFFD}"
                isNumber = false
                break
            }
            let radixes: [Unicode.Scalar: Int] = ["x": 16, "X": 16, "o": 8, "b": 2]
            body = String(number.magnitude, radix: radixes[layout.kind] ?? 10, uppercase: layout.kind == "X")
            if layout.groups { body = Self.grouped(body) }
            body = layout.signed(body, isNegative: number < 0)
        case "f", "F", "e", "E", "g", "G", "%":
            guard let number = value.number else {
                throw failure(.evaluation, "a number is needed to format, not a \(value.typeName)")
            }
            body = layout.signed(layout.decimal(number.magnitude), isNegative: number < 0)
        case "r":
            body = ""
            guard value.writeRepresentation(to: &body, limit: limits.output) else { throw failure(.limit, "a text is too long") }
            isNumber = false
        default:
            isNumber = value.number != nil && layout.kind != "s"
            body = try text(value)
            if isNumber, layout.groups, let number = value.integer {
                body = layout.signed(Self.grouped(String(number.magnitude)), isNegative: number < 0)
            }
            if !isNumber, let precision = layout.precision { body = TextOperations.string(body.unicodeScalars.prefix(precision)) }
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
    var fill: Unicode.Scalar = " "
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

    func padded(_ body: String, isNumber: Bool) -> String {
        let missing = width - TextOperations.length(body)
        guard missing > 0 else { return body }
        if padsWithZeros, alignment == nil || alignment == ">", isNumber {
            let hasSign = body.hasPrefix("-") || body.hasPrefix("+")
            let zeros = String(repeating: "0", count: missing)
            return hasSign ? String(body.prefix(1)) + zeros + String(body.dropFirst()) : zeros + body
        }
        let filling = { (count: Int) in String(repeating: String(Character(fill)), count: count) }
        switch alignment ?? (isNumber ? ">" : "<") {
        case "<": return body + filling(missing)
        case "^": return filling(missing / 2) + body + filling(missing - missing / 2)
        default: return filling(missing) + body
        }
    }
}
