// The methods of strings, lists and dictionaries that templates call, by Python's names.

extension Interpreter {
    private static let stringMethods: Set<String> = [
        "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "upper", "lower", "title",
        "capitalize", "swapcase", "casefold", "replace", "find", "rfind", "index", "rindex", "count", "join", "isdigit",
        "isdecimal", "isnumeric", "isalpha", "isalnum", "isspace", "isupper", "islower", "zfill", "ljust", "rjust", "center",
        "removeprefix", "removesuffix", "partition", "rpartition", "format",
    ]
    private static let listMethods: Set<String> = [
        "append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear", "index", "count", "copy",
    ]
    private static let dictionaryMethods: Set<String> = [
        "keys", "values", "items", "get", "copy", "update", "pop", "setdefault", "clear",
    ]

    static func methodNames(of value: Value) -> Set<String> {
        switch value {
        case .string, .markup: stringMethods
        case .list: listMethods
        case .tuple: ["index", "count"]
        case .dictionary: dictionaryMethods
        default: []
        }
    }

    func call(_ method: BoundMethod, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch method.receiver {
        case .string(let text), .markup(let text):
            try charge(bytes: text.utf8.count)
            return try call(method.name, on: text, arguments)
        case .list(let list), .tuple(let list): return try call(method.name, on: list, method.receiver, arguments)
        case .dictionary(let dictionary): return try call(method.name, on: dictionary, arguments)
        case .loop(let loop): return try call(method.name, on: loop, arguments)
        default: throw failure(.evaluation, "'\(method.name)' cannot be called")
        }
    }

    // MARK: Loops

    private func call(_ name: String, on loop: LoopState, _ arguments: CallArguments) throws(TemplateError) -> Value {
        if name == "cycle" {
            guard !arguments.positional.isEmpty else { throw failure(.evaluation, "cycle() needs something to go through") }
            return arguments.positional[loop.index % arguments.positional.count]
        }
        defer { loop.lastSeen = arguments.positional }
        guard let last = loop.lastSeen else { return .bool(true) }
        return .bool(!(try equal(.tuple(last), .tuple(arguments.positional))))
    }

    // MARK: Dictionaries and lists

    private func call(
        _ name: String, on dictionary: DictionaryValue, _ arguments: CallArguments
    ) throws(TemplateError) -> Value {
        switch name {
        case "get":
            guard let key = arguments.value(0, "key") else { throw failure(.evaluation, "get() needs a key") }
            if let text = key.text { try charge(1 + text.utf8.count / 8) }
            let found = DictionaryKey(key).flatMap { dictionary.map[$0] }
            return found ?? arguments.value(1, "default") ?? .none
        case "keys": return try list(dictionary.map.keys.map(\.value))
        case "values": return try list(Array(dictionary.map.values))
        case "items": return try list(dictionary.items)
        case "copy": return .dictionary(dictionary)
        default: return try change(.dictionary(dictionary), name, arguments).1
        }
    }

    private func call(
        _ name: String, on list: ListValue, _ receiver: Value, _ arguments: CallArguments
    ) throws(TemplateError) -> Value {
        switch name {
        case "copy": return receiver
        case "count", "index":
            guard let wanted = arguments.value(0, "value") else { throw failure(.evaluation, "\(name)() needs a value") }
            var count = 0
            for (position, element) in list.elements.enumerated() where try equal(element, wanted) {
                if name == "index" { return .int(position) }
                count += 1
            }
            guard name == "count" else { throw failure(.evaluation, "the value is not in the list") }
            return .int(count)
        default: return try change(receiver, name, arguments).1
        }
    }

    // MARK: Strings

    private func string(_ arguments: CallArguments, _ position: Int, _ name: String) throws(TemplateError) -> MarkedText? {
        guard let value = arguments.value(position, name), !value.isNone else { return nil }
        guard let text = value.text else { throw failure(.evaluation, "a string is needed, not a \(value.typeName)") }
        try charge(bytes: text.utf8.count)
        return text
    }

    private func required(_ arguments: CallArguments, _ position: Int, _ name: String) throws(TemplateError) -> MarkedText {
        guard let text = try string(arguments, position, name) else { throw failure(.evaluation, "a string is needed") }
        return text
    }

    private func integer(_ arguments: CallArguments, _ position: Int, _ name: String) throws(TemplateError) -> Int? {
        guard let value = arguments.value(position, name), !value.isNone else { return nil }
        guard let number = value.integer else { throw failure(.evaluation, "an integer is needed, not a \(value.typeName)") }
        return number
    }

    private func call(_ name: String, on text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch name {
        case "strip", "lstrip", "rstrip":
            let characters = try string(arguments, 0, "chars")
            return .string(
                TextOperations.strip(text, left: name != "rstrip", right: name != "lstrip", characters: characters?.string))
        case "startswith", "endswith": return .bool(try hasAffix(name, text, arguments))
        case "split", "rsplit", "splitlines", "partition", "rpartition": return try split(name, text, arguments)
        case "find", "rfind", "index", "rindex", "count": return try search(name, text, arguments)
        case "replace":
            let pattern = try required(arguments, 0, "old")
            let replacement = try required(arguments, 1, "new")
            return .string(try replace(text, pattern.string, replacement, limit: try integer(arguments, 2, "count") ?? -1))
        case "removeprefix":
            let prefix = try required(arguments, 0, "prefix")
            guard TextOperations.starts(text.string, with: prefix.string) else { return .string(text) }
            return .string(text.dropFirst(prefix.utf8.count))
        case "removesuffix":
            let suffix = try required(arguments, 0, "suffix")
            guard TextOperations.ends(text.string, with: suffix.string) else { return .string(text) }
            return .string(text.prefix(text.utf8.count - suffix.utf8.count))
        case "join": return try joined(arguments.value(0, "iterable") ?? .undefined(""), separator: text, strictly: true)
        case "format": return .string(try formatted(braces: text, arguments))
        case "zfill", "ljust", "rjust", "center": return try padded(name, text, arguments)
        case _ where name.hasPrefix("is"): return .bool(Self.classify(name, text.string))
        default: return .string(Self.recased(name, text))
        }
    }

    private static func recased(_ name: String, _ text: MarkedText) -> MarkedText {
        switch name {
        case "upper": return text.mapped { $0.uppercased() }
        case "lower", "casefold": return text.mapped { $0.lowercased() }
        case "capitalize": return TextOperations.capitalized(text)
        case "title": return TextOperations.titled(text) { !($0.properties.isCased) }
        case "swapcase":
            return text.mapped { part in
                var output = ""
                for scalar in part.unicodeScalars {
                    let properties = scalar.properties
                    output += properties.isUppercase ? properties.lowercaseMapping : properties.uppercaseMapping
                }
                return output
            }
        default: return text
        }
    }

    private static func classify(_ name: String, _ text: String) -> Bool {
        let scalars = text.unicodeScalars
        func all(_ condition: (Unicode.Scalar) -> Bool) -> Bool { !scalars.isEmpty && scalars.allSatisfy(condition) }
        func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.numericType != nil }
        switch name {
        case "isdigit": return all { [.decimal, .digit].contains($0.properties.numericType) }
        case "isdecimal": return all { $0.properties.numericType == .decimal }
        case "isnumeric": return all(isDigit)
        case "isalpha": return all(Self.isLetter)
        case "isalnum": return all { Self.isLetter($0) || isDigit($0) }
        case "isspace": return all(TextOperations.isSpace)
        case "isupper": return scalars.contains { $0.properties.isUppercase } && !scalars.contains { $0.properties.isLowercase }
        case "islower": return scalars.contains { $0.properties.isLowercase } && !scalars.contains { $0.properties.isUppercase }
        default: return false
        }
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    private func hasAffix(_ name: String, _ text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> Bool {
        guard let value = arguments.value(0, "prefix") else { throw failure(.evaluation, "\(name)() needs a string") }
        var candidates = [value]
        if case .tuple(let list) = value { candidates = list.elements }
        for candidate in candidates {
            guard let affix = candidate.text?.string else {
                throw failure(.evaluation, "\(name)() needs a string, not a \(candidate.typeName)")
            }
            let holds =
                name == "startswith" ? TextOperations.starts(text.string, with: affix) : TextOperations.ends(text.string, with: affix)
            if holds { return true }
        }
        return false
    }

    private func split(_ name: String, _ text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> Value {
        if name == "splitlines" {
            let keepsEnds = arguments.value(0, "keepends")?.isTrue ?? false
            return try list(TextOperations.lines(text, keepsEnds: keepsEnds).map(Value.string))
        }
        let fromEnd = name.hasPrefix("r")
        let separator = try string(arguments, 0, "sep")?.string
        if let separator {
            guard !separator.isEmpty else { throw failure(.evaluation, "an empty separator") }
            try charge(search: separator, in: text.string)
        }
        if name.hasSuffix("partition") {
            guard let separator else { throw failure(.evaluation, "\(name)() needs a separator") }
            if let cut = TextOperations.cuts(of: text.string, by: separator, limit: 1, fromEnd: fromEnd).first {
                // The separator as it stands in the text, which is not the template's word for it.
                let end = cut + separator.utf8.count
                return .tuple([.string(text.prefix(cut)), .string(text.slice(cut..<end)), .string(text.dropFirst(end))])
            }
            return .tuple(fromEnd ? [.string(""), .string(""), .string(text)] : [.string(text), .string(""), .string("")])
        }
        let given = try integer(arguments, 1, "maxsplit") ?? -1
        let limit = given < 0 ? Int.max : given
        let parts =
            if let separator {
                TextOperations.split(text, by: separator, limit: limit, fromEnd: fromEnd)
            } else {
                TextOperations.splitAtSpace(text, limit: limit, fromEnd: fromEnd)
            }
        return try list(parts.map(Value.string))
    }

    private func search(_ name: String, _ text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let (text, pattern) = (text.string, try required(arguments, 0, "sub").string)
        try charge(search: pattern, in: text)
        if name == "count" {
            if pattern.isEmpty { return .int(TextOperations.length(text) + 1) }
            return .int(TextOperations.occurrences(of: Array(pattern.utf8), in: Array(text.utf8)).count)
        }
        let found = TextOperations.find(pattern, in: text, fromEnd: name.hasPrefix("r"))
        if found == nil, name.hasSuffix("index") { throw failure(.evaluation, "the substring is not there") }
        return .int(found ?? -1)
    }

    /// With occurrences of a pattern replaced, at most `limit`, a negative one meaning all.
    func replace(
        _ text: MarkedText, _ pattern: String, _ replacement: MarkedText, limit: Int
    ) throws(TemplateError) -> MarkedText {
        try charge(search: pattern, in: text.string)
        let places = text.utf8.count / max(pattern.utf8.count, 1) + 1
        let (growth, overflow) = replacement.utf8.count.multipliedReportingOverflow(by: places)
        // Only what is really made counts as too long; the estimate above is for most texts far too high.
        if overflow || growth > limits.output {
            let found = pattern.isEmpty ? places : TextOperations.occurrences(of: Array(pattern.utf8), in: Array(text.utf8)).count
            let (real, overflow) = replacement.utf8.count.multipliedReportingOverflow(by: found)
            try charge(bytes: overflow ? .max : real)
        }
        let result = TextOperations.replace(text, pattern, by: replacement, limit: limit < 0 ? .max : limit)
        try charge(making: result)
        return result
    }

    private func padded(_ name: String, _ text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard let width = try integer(arguments, 0, "width") else { throw failure(.evaluation, "\(name)() needs a width") }
        let fill: MarkedText = name == "zfill" ? "0" : try string(arguments, 1, "fillchar") ?? " "
        let missing = width - min(max(width, 0), TextOperations.length(text.string))
        guard missing > 0, width > 0 else { return .string(text) }
        try charge(bytes: missing > limits.output ? .max : missing * max(fill.utf8.count, 1))
        // Of a fill of several origins all is taken for untrusted.
        func filling(_ count: Int) -> MarkedText {
            MarkedText(String(repeating: fill.string, count: count), isUntrusted: fill.isMarked)
        }
        switch name {
        case "ljust": return .string(text + filling(missing))
        case "center":
            let left = missing / 2 + (missing & width & 1)
            return .string(filling(left) + text + filling(missing - left))
        case "zfill" where text.string.hasPrefix("-") || text.string.hasPrefix("+"):
            return .string(text.prefix(1) + filling(missing) + text.dropFirst(1))
        default: return .string(filling(missing) + text)
        }
    }

    /// The elements' texts with a separator between them. Strictly: only strings.
    func joined(_ value: Value, separator: MarkedText, strictly: Bool) throws(TemplateError) -> Value {
        var output = MarkedTextBuilder()
        for (index, element) in try elements(of: value).enumerated() {
            if strictly, element.text == nil { throw failure(.evaluation, "join() needs strings, not a \(element.typeName)") }
            if index > 0 { output.append(separator) }
            output.append(try text(element))
            if output.count > limits.output { throw failure(.limit, "a text is too long") }
        }
        try charge(making: output.text)
        return .string(output.text)
    }
}
