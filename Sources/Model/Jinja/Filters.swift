internal import OrderedCollections

// Jinja's filters: `value | NAME(arguments)`. Here those for single values; the ones for sequences are beside this file.

extension Interpreter {
    static let filterNames: Set<String> = textFilters.union(valueFilters).union(sequenceFilters)

    private static let textFilters: Set<String> = [
        "upper", "lower", "title", "capitalize", "trim", "replace", "indent", "center", "truncate", "wordcount", "wordwrap",
        "escape", "e", "forceescape", "safe", "string", "format", "striptags", "urlencode", "format_map",
    ]
    private static let valueFilters: Set<String> = [
        "default", "d", "tojson", "from_json", "fromjson", "int", "float", "abs", "round", "attr", "length", "count", "pprint",
    ]

    func apply(filter name: String, to value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        if Self.sequenceFilters.contains(name) { return try apply(sequenceFilter: name, to: value, arguments) }
        if Self.textFilters.contains(name) { return try apply(textFilter: name, to: value, arguments) }
        switch name {
        case "default", "d": return defaulted(value, arguments)
        case "tojson": return .string(try json(value, arguments))
        case "from_json", "fromjson": return try parsed(value)
        case "int": return try integer(value, arguments)
        case "float": return try float(value, arguments)
        case "abs": return try absolute(value)
        case "round": return try rounded(value, arguments)
        case "attr": return try attribute(try text(arguments.value(0, "name") ?? .none).string, of: value)
        case "length", "count": return .int(try length(value))
        case "pprint":
            return .string(try representation(value))
        default: throw failure(.unsupported, "there is no filter '\(name)'")
        }
    }

    private func defaulted(_ value: Value, _ arguments: CallArguments) -> Value {
        let otherwise = arguments.value(0, "default_value") ?? .string("")
        let replacesFalse = arguments.value(1, "boolean")?.isTrue ?? false
        return value.isUndefined || (replacesFalse && !value.isTrue) ? otherwise : value
    }

    private func length(_ value: Value) throws(TemplateError) -> Int {
        switch value {
        case .undefined: return 0
        case .string(let text), .markup(let text):
            try charge(bytes: text.utf8.count)
            return TextOperations.length(text.string)
        case .list(let list), .tuple(let list): return list.elements.count
        case .dictionary(let dictionary): return dictionary.map.count
        case .loop(let loop): return loop.elements.count
        default: throw failure(.evaluation, "a \(value.typeName) has no length")
        }
    }

    // MARK: JSON

    private func json(_ value: Value, _ arguments: CallArguments) throws(TemplateError) -> MarkedText {
        var writer = JSONWriter(limit: limits.output)
        switch arguments["indent"] ?? (arguments.positional.last ?? .none) {
        case .int(let width):
            try charge(bytes: width > 1000 ? .max : max(width, 0))
            writer.indent = MarkedText(String(repeating: " ", count: max(width, 0)))
        case .string(let indent): writer.indent = indent
        default: break
        }
        if let separators = arguments["separators"], !separators.isNone {
            let parts = try elements(of: separators)
            guard parts.count == 2 else { throw failure(.evaluation, "two separators are needed") }
            writer.itemSeparator = try text(parts[0])
            writer.keySeparator = try text(parts[1])
        }
        writer.sortsKeys = arguments["sort_keys"]?.isTrue ?? false
        writer.escapesNonASCII = arguments["ensure_ascii"]?.isTrue ?? false
        do {
            try writer.write(value)
        } catch {
            switch error {
            case .notJSON(let type): throw failure(.evaluation, "a \(type) cannot be written as JSON")
            case .tooLong: throw failure(.limit, "a text is too long")
            }
        }
        try charge(making: writer.output.text)
        return writer.output.text
    }

    private func parsed(_ value: Value) throws(TemplateError) -> Value {
        guard let text = value.text else { throw failure(.evaluation, "a string is needed, not a \(value.typeName)") }
        try charge(bytes: 8 * text.utf8.count)
        do {
            // Which of the text's bytes a string is made of is not followed: one mark marks all.
            return try checked(Value(try TemplateValue(json: text.utf8), isUntrusted: text.isMarked))
        } catch let error as TemplateValue.JSONError {
            throw failure(.evaluation, error.description)
        } catch let error as TemplateError {
            throw error
        } catch {
            throw failure(.evaluation, "not JSON")
        }
    }

    // MARK: Numbers

    private func integer(_ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let otherwise = arguments.value(0, "default") ?? .int(0)
        if let number = value.integer { return .int(number) }
        if let number = value.number { return Int(exactly: number.rounded(.towardZero)).map(Value.int) ?? otherwise }
        guard let text = value.text else { return otherwise }
        try charge(bytes: text.utf8.count)
        let stripped = TextOperations.strip(text).string.replacing("_", with: "")
        let radix = arguments.value(1, "base")?.integer ?? 10
        guard (2...36).contains(radix) else { throw failure(.evaluation, "a base from 2 to 36 is needed") }
        if let number = Int(stripped, radix: radix) { return .int(number) }
        return Double(stripped).flatMap { Int(exactly: $0.rounded(.towardZero)) }.map(Value.int) ?? otherwise
    }

    private func float(_ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        if let number = value.number { return .double(number) }
        if let text = value.text {
            try charge(bytes: text.utf8.count)
            if let number = Double(TextOperations.strip(text).string) { return .double(number) }
        }
        return arguments.value(0, "default") ?? .double(0)
    }

    private func absolute(_ value: Value) throws(TemplateError) -> Value {
        if let number = value.integer { return number < 0 ? try negated(.int(number)) : .int(number) }
        guard let number = value.number else { throw failure(.evaluation, "a \(value.typeName) has no magnitude") }
        return .double(number.magnitude)
    }

    private func rounded(_ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard let number = value.number else { throw failure(.evaluation, "a \(value.typeName) cannot be rounded") }
        let places = min(max(arguments.value(0, "precision")?.integer ?? 0, -300), 300)
        let scale = FloatingPointMath.power(10, Double(places))
        let rule: FloatingPointRoundingRule =
            switch arguments.value(1, "method")?.text {
            case "ceil": .up
            case "floor": .down
            default: .toNearestOrEven
            }
        let scaled = number * scale
        return .double(scaled.isFinite ? scaled.rounded(rule) / scale : number)
    }

    // MARK: Text

    private func apply(textFilter name: String, to value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let text = try text(value)
        try charge(bytes: text.utf8.count)
        switch name {
        case "upper": return remarked(text.mapped { $0.uppercased() }, as: value)
        case "lower": return remarked(text.mapped { $0.lowercased() }, as: value)
        case "capitalize": return remarked(TextOperations.capitalized(text), as: value)
        case "title": return .string(TextOperations.titled(text) { Self.startsWord(after: $0) })
        case "trim":
            let characters = try arguments.value(0, "chars").map { (value) throws(TemplateError) in try self.text(value) }
            return remarked(TextOperations.strip(text, characters: characters?.string), as: value)
        case "replace":
            guard let old = arguments.value(0, "old"), let new = arguments.value(1, "new") else {
                throw failure(.evaluation, "replace needs what to replace and by what")
            }
            let limit = arguments.value(2, "count")?.integer ?? -1
            return .string(try replace(text, try self.text(old).string, try self.text(new), limit: limit))
        case "indent": return .string(try indented(text, arguments))
        case "center":
            let centring = CallArguments(positional: [arguments.value(0, "width") ?? .int(80)])
            return try call(BoundMethod(.string(text), "center"), centring)
        case "truncate": return .string(try truncated(text, arguments))
        case "wordcount":
            return .int(text.unicodeScalars.split { !($0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == "_") }.count)
        case "wordwrap": throw failure(.unsupported, "the filter 'wordwrap' is not supported")
        case "escape", "e": return value.isMarkup ? value : .markup(TextOperations.escapedForHTML(text))
        case "forceescape": return .markup(TextOperations.escapedForHTML(text))
        case "safe": return .markup(text)
        case "string": return value.isMarkup ? value : .string(text)
        case "format":
            let values: Value = .tuple(arguments.positional)
            guard !arguments.named.isEmpty else { return .string(try formatted(printf: text, values)) }
            var map = OrderedDictionary<DictionaryKey, Value>()
            for (name, value) in arguments.named { map[.text(name)] = value }
            return .string(try formatted(printf: text, try dictionary(map)))
        case "striptags": return .string(Self.withoutTags(text))
        case "urlencode": return .string(text.mapped(Self.encodedForURL))
        default: throw failure(.unsupported, "there is no filter '\(name)'")
        }
    }

    private func remarked(_ text: MarkedText, as value: Value) -> Value { value.isMarkup ? .markup(text) : .string(text) }

    private static func startsWord(after scalar: Unicode.Scalar) -> Bool {
        TextOperations.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)
    }

    private func indented(_ text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> MarkedText {
        var indentation: MarkedText = "    "
        switch arguments.value(0, "width") {
        case .int(let width)?:
            try charge(bytes: width > limits.output ? .max : max(width, 0))
            indentation = MarkedText(String(repeating: " ", count: max(width, 0)))
        case .string(let given)?: indentation = given
        default: break
        }
        let indentsFirst = arguments.value(1, "first")?.isTrue ?? false
        let indentsBlank = arguments.value(2, "blank")?.isTrue ?? false
        // Python's filter adds a line break and takes it off again, so that a last one stays.
        let lines = TextOperations.lines(text + "\n", keepsEnds: false)
        let (added, overflow) = indentation.utf8.count.multipliedReportingOverflow(by: lines.count)
        try charge(bytes: overflow ? .max : added)
        var output = MarkedTextBuilder()
        for (index, line) in lines.enumerated() {
            // Which of the text's line breaks this was is not followed.
            if index > 0 { output.append("\n", isUntrusted: text.isMarked) }
            if index == 0 ? indentsFirst : indentsBlank || !line.isEmpty { output.append(indentation) }
            output.append(line)
        }
        return output.text
    }

    private func truncated(_ text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> MarkedText {
        let length = max(arguments.value(0, "length")?.integer ?? 255, 0)
        let cutsWords = arguments.value(1, "killwords")?.isTrue ?? false
        let end = try self.text(arguments.value(2, "end") ?? .string("..."))
        let leeway = max(arguments.value(3, "leeway")?.integer ?? 5, 0)
        let scalars = text.scalars
        let (most, overflow) = length.addingReportingOverflow(leeway)
        if overflow || scalars.count <= most { return text }
        let kept = MarkedText(scalars.prefix(max(length - TextOperations.length(end.string), 0)))
        if cutsWords { return kept + end }
        let words = TextOperations.split(kept, by: " ", limit: 1, fromEnd: true)
        return (words.first ?? "") + end
    }

    private static func withoutTags(_ text: MarkedText) -> MarkedText {
        var output = MarkedTextBuilder()
        var isInTag = false
        text.forEachScalar { marked in
            if marked.scalar == "<" { isInTag = true }
            if !isInTag { output.append(marked) }
            if marked.scalar == ">" { isInTag = false }
        }
        var spaced = MarkedTextBuilder()
        for (index, word) in TextOperations.splitAtSpace(output.text, limit: .max).enumerated() {
            if index > 0 { spaced.append(" ", isUntrusted: text.isMarked) }
            spaced.append(word)
        }
        return spaced.text
    }

    private static func encodedForURL(_ text: String) -> String {
        var output = ""
        for byte in text.utf8 {
            let scalar = Unicode.Scalar(byte)
            let isPlain = byte < 0x80 && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
            if isPlain || "-_.~/".unicodeScalars.contains(scalar) {
                output.unicodeScalars.append(scalar)
            } else {
                output += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return output
    }
}

extension Value {
    var isMarkup: Bool {
        if case .markup = self { return true }
        return false
    }
}
