extension Interpreter {
    static let sequenceFilters: Set<String> = [
        "list", "first", "last", "join", "items", "dictsort", "sort", "reverse", "unique", "sum", "min", "max", "map",
        "select", "reject", "selectattr", "rejectattr", "batch", "slice", "groupby", "keys", "values", "random",
    ]

    func apply(sequenceFilter name: String, to value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch name {
        case "items", "keys", "values": return try members(name, value)
        case "dictsort": return try sortedMembers(value, arguments)
        case "join": return try join(value, arguments)
        case "reverse":
            if let text = value.text {
                try charge(bytes: text.utf8.count)
                return .string(MarkedText(text.scalars.reversed()))
            }
        default: break
        }
        // Choosing from none is choosing from nothing.
        let isChoice = name == "map" || name.hasPrefix("select") || name.hasPrefix("reject")
        let elements = isChoice && !value.isTrue ? [] : try elements(of: value)
        try charge(elements: elements.count)
        switch name {
        case "list": return .list(elements)
        case "first": return elements.first ?? .undefined("no first item, the sequence was empty")
        case "last": return elements.last ?? .undefined("no last item, the sequence was empty")
        case "reverse": return .list(elements.reversed())
        case "sort":
            let isReversed = arguments.value(0, "reverse")?.isTrue ?? false
            return .list(
                try sorted(
                    elements, reversed: isReversed, isCaseSensitive: arguments.value(1, "case_sensitive")?.isTrue ?? false,
                    by: arguments.value(2, "attribute")))
        case "unique":
            return .list(
                try unique(
                    elements, isCaseSensitive: arguments.value(0, "case_sensitive")?.isTrue ?? false,
                    by: arguments.value(1, "attribute")))
        case "sum": return try sum(elements, arguments)
        case "min", "max": return try extreme(name, elements, arguments)
        case "map": return try mapped(elements, arguments)
        case "select", "reject", "selectattr", "rejectattr": return try selected(name, elements, arguments)
        case "batch", "slice": return try pieces(name, elements, arguments)
        case "groupby": return try grouped(elements, arguments)
        default: throw failure(.unsupported, "there is no filter '\(name)'")
        }
    }

    private func members(_ name: String, _ value: Value) throws(TemplateError) -> Value {
        if value.isUndefined { return .list([]) }
        guard case .dictionary(let dictionary) = value else {
            throw failure(.evaluation, "'\(name)' needs a mapping, not a \(value.typeName)")
        }
        try charge(elements: dictionary.map.count)
        switch name {
        case "keys": return try list(dictionary.map.keys.map(\.value))
        case "values": return try list(Array(dictionary.map.values))
        default: return try list(dictionary.items)
        }
    }

    private func sortedMembers(_ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard case .dictionary(let dictionary) = value else {
            throw failure(.evaluation, "'dictsort' needs a mapping, not a \(value.typeName)")
        }
        let byValue = arguments.value(1, "by")?.text == "value"
        let sorted = try sorted(
            dictionary.items, reversed: arguments.value(2, "reverse")?.isTrue ?? false,
            isCaseSensitive: arguments.value(0, "case_sensitive")?.isTrue ?? false, by: .int(byValue ? 1 : 0))
        return try list(sorted)
    }

    private func join(_ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let separator: MarkedText = try text(arguments.value(0, "d") ?? .string(""))
        guard let path = arguments.value(1, "attribute") else {
            return try joined(value, separator: separator, strictly: false)
        }
        var parts: [Value] = []
        for element in try elements(of: value) { parts.append(try follow(path, from: element)) }
        return try joined(.list(parts), separator: separator, strictly: false)
    }

    /// An attribute given as a name, an index, or several with dots between them.
    func follow(_ path: Value, from value: Value) throws(TemplateError) -> Value {
        guard let text = path.text else { return try item(path, of: value) }
        try charge(bytes: text.utf8.count)
        var value = value
        for part in TextOperations.split(text, by: ".", limit: .max) {
            value = try item(Int(part.string).map(Value.int) ?? .string(part), of: value)
        }
        return value
    }

    // MARK: Order

    /// Sorted, equals in their old order. Texts are compared without regard to case unless that is asked for.
    func sorted(
        _ elements: [Value], reversed: Bool, isCaseSensitive: Bool = true, by path: Value? = nil
    ) throws(TemplateError) -> [Value] {
        var keyed: [(key: Value, element: Value)] = []
        for element in elements { keyed.append((try sortingKey(element, isCaseSensitive, path), element)) }
        // Merging, since the standard sort cannot throw our type and may trap on an order that is none.
        var width = 1
        while width < keyed.count {
            var merged: [(key: Value, element: Value)] = []
            merged.reserveCapacity(keyed.count)
            var start = 0
            while start < keyed.count {
                let middle = min(start + width, keyed.count)
                let end = min(middle + width, keyed.count)
                var left = start
                var right = middle
                while left < middle || right < end {
                    var takesRight = left == middle
                    if !takesRight, right < end {
                        let (first, second) = (keyed[left].key, keyed[right].key)
                        takesRight = try reversed ? precedes(first, second) : precedes(second, first)
                    }
                    merged.append(keyed[takesRight ? right : left])
                    if takesRight { right += 1 } else { left += 1 }
                }
                start = end
            }
            keyed = merged
            width *= 2
        }
        return keyed.map(\.element)
    }

    private func sortingKey(_ element: Value, _ isCaseSensitive: Bool, _ path: Value?) throws(TemplateError) -> Value {
        var key = element
        if let path, !path.isNone { key = try follow(path, from: element) }
        guard !isCaseSensitive, let text = key.text else { return key }
        try charge(bytes: text.utf8.count)
        return .string(MarkedText(text.string.lowercased()))
    }

    private func unique(_ elements: [Value], isCaseSensitive: Bool, by path: Value?) throws(TemplateError) -> [Value] {
        var seen: [Value] = []
        var hashed: Set<DictionaryKey> = []
        var kept: [Value] = []
        for element in elements {
            let key = try sortingKey(element, isCaseSensitive, path)
            if let hashable = DictionaryKey(key) {
                if hashed.insert(hashable).inserted { kept.append(element) }
            } else if !(try contains(.list(seen), key)) {
                seen.append(key)
                kept.append(element)
            }
        }
        return kept
    }

    private func extreme(_ name: String, _ elements: [Value], _ arguments: CallArguments) throws(TemplateError) -> Value {
        let isCaseSensitive = arguments.value(0, "case_sensitive")?.isTrue ?? false
        let path = arguments.value(1, "attribute")
        guard var best = elements.first else { return .undefined("no \(name) of an empty sequence") }
        var bestKey = try sortingKey(best, isCaseSensitive, path)
        for element in elements.dropFirst() {
            let key = try sortingKey(element, isCaseSensitive, path)
            if try name == "min" ? precedes(key, bestKey) : precedes(bestKey, key) {
                best = element
                bestKey = key
            }
        }
        return best
    }

    private func sum(_ elements: [Value], _ arguments: CallArguments) throws(TemplateError) -> Value {
        var total = arguments.value(1, "start") ?? .int(0)
        for element in elements {
            var summand = element
            if let path = arguments.value(0, "attribute"), !path.isNone { summand = try follow(path, from: element) }
            total = try compute(.add, total, summand)
        }
        return total
    }

    // MARK: Choosing and changing

    private func mapped(_ elements: [Value], _ arguments: CallArguments) throws(TemplateError) -> Value {
        var results: [Value] = []
        if let path = arguments["attribute"] {
            let otherwise = arguments["default"]
            for element in elements {
                let found = try follow(path, from: element)
                results.append(found.isUndefined ? otherwise ?? found : found)
            }
            return try list(results)
        }
        guard let name = arguments.positional.first?.text else { throw failure(.evaluation, "map() needs a filter or an attribute") }
        for element in elements {
            try charge(1)
            results.append(try apply(filter: name.string, to: element, arguments.rest))
        }
        return try list(results)
    }

    private func selected(_ name: String, _ elements: [Value], _ arguments: CallArguments) throws(TemplateError) -> Value {
        let wanted = name.hasPrefix("select")
        var rest = arguments
        var path: Value?
        if name.hasSuffix("attr") {
            guard let first = rest.positional.first else { throw failure(.evaluation, "\(name)() needs an attribute") }
            path = first
            rest = rest.rest
        }
        let testName = rest.positional.first?.text
        let operands = rest.rest
        var kept: [Value] = []
        for element in elements {
            try charge(1)
            let subject = try path.map { (path) throws(TemplateError) in try follow(path, from: element) } ?? element
            let holds = try testName.map { (name) throws(TemplateError) in try test(name.string, subject, operands) } ?? subject.isTrue
            if holds == wanted { kept.append(element) }
        }
        return .list(kept)
    }

    private func pieces(_ name: String, _ elements: [Value], _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard let count = arguments.positional.first?.integer, count > 0, count <= max(elements.count, 1) + 10_000 else {
            throw failure(.evaluation, "\(name)() needs a positive number")
        }
        let filling = arguments.value(1, "fill_with")
        var pieces: [Value] = []
        var start = 0
        if name == "batch" {
            while start < elements.count {
                var piece = Array(elements[start..<min(start + count, elements.count)])
                if let filling, !filling.isNone { while piece.count < count { piece.append(filling) } }
                pieces.append(try list(piece))
                start += count
            }
            return try list(pieces)
        }
        for index in 0..<count {
            let isLonger = index < elements.count % count
            let size = elements.count / count + (isLonger ? 1 : 0)
            var piece = Array(elements[start..<(start + size)])
            if let filling, !filling.isNone, !isLonger, elements.count % count > 0 { piece.append(filling) }
            pieces.append(try list(piece))
            start += size
        }
        return try list(pieces)
    }

    /// Pairs of a value and the elements that have it, ascending.
    private func grouped(_ elements: [Value], _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard let path = arguments.value(0, "attribute") else { throw failure(.evaluation, "groupby() needs an attribute") }
        var groups: [(key: Value, members: [Value])] = []
        for element in try sorted(elements, reversed: false, isCaseSensitive: false, by: path) {
            let key = try follow(path, from: element)
            if let last = groups.last, try equal(last.key, key) {
                groups[groups.count - 1].members.append(element)
            } else {
                groups.append((key, [element]))
            }
        }
        var pairs: [Value] = []
        for (key, members) in groups { pairs.append(.tuple([key, try list(members)])) }
        return try list(pairs)
    }
}
