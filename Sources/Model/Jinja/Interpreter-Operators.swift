extension Interpreter {
    func compute(_ symbol: BinaryOperator, _ left: Value, _ right: Value) throws(TemplateError) -> Value {
        if case .undefined(let reason) = left { throw failure(.undefined, reason) }
        if case .undefined(let reason) = right { throw failure(.undefined, reason) }
        switch symbol {
        case .add: return try sum(left, right)
        case .multiply: if let repeated = try repeated(left, right) { return repeated }
        case .modulo:
            if let format = left.text { return .string(try formatted(printf: format, right)) }
        default: break
        }
        if symbol != .divide, let a = left.integer, let b = right.integer {
            return try whole(symbol, a, b)
        }
        guard let a = left.number, let b = right.number else { throw unfit(symbol, left, right) }
        return try fractional(symbol, a, b)
    }

    private func unfit(_ symbol: BinaryOperator, _ left: Value, _ right: Value) -> TemplateError {
        failure(.evaluation, "'\(symbol.rawValue)' does not take a \(left.typeName) and a \(right.typeName)")
    }

    private func sum(_ left: Value, _ right: Value) throws(TemplateError) -> Value {
        switch (left, right) {
        case (.string(let a), .string(let b)):
            try charge(bytes: a.utf8.count + b.utf8.count)
            try charge(a.markCount + b.markCount)
            return .string(a + b)
        case (.list(let a), .list(let b)):
            try charge(elements: a.elements.count + b.elements.count)
            return try list(a.elements + b.elements)
        case (.tuple(let a), .tuple(let b)):
            try charge(elements: a.elements.count + b.elements.count)
            return .tuple(a.elements + b.elements)
        default: break
        }
        if let a = left.text, let b = right.text {
            // One side is marked as safe; the other is made so.
            try charge(bytes: 6 * (a.utf8.count + b.utf8.count))
            try charge(a.markCount + b.markCount)
            return .markup(escaped(left, a) + escaped(right, b))
        }
        if let a = left.integer, let b = right.integer { return try whole(.add, a, b) }
        guard let a = left.number, let b = right.number else { throw unfit(.add, left, right) }
        return .double(a + b)
    }

    private func escaped(_ value: Value, _ text: MarkedText) -> MarkedText {
        if case .markup = value { return text }
        return TextOperations.escapedForHTML(text)
    }

    /// A string or list times a number.
    private func repeated(_ left: Value, _ right: Value) throws(TemplateError) -> Value? {
        for (value, other) in [(left, right), (right, left)] {
            guard let count = other.integer else { continue }
            let times = max(count, 0)
            if let text = value.text {
                let (bytes, overflow) = text.utf8.count.multipliedReportingOverflow(by: times)
                try charge(bytes: overflow ? .max : bytes)
                guard text.markCount > 0 else {
                    let repeated = String(repeating: text.string, count: text.isEmpty ? 0 : times)
                    return .string(MarkedText(repeated, isUntrusted: text.isMarked))
                }
                // No overflow: there are fewer marks than bytes.
                try charge(text.markCount * times)
                var repeated = MarkedTextBuilder()
                for _ in 0..<times { repeated.append(text) }
                return .string(repeated.text)
            }
            if case .list(let list) = value {
                let (total, overflow) = list.elements.count.multipliedReportingOverflow(by: times)
                try charge(elements: overflow ? .max : total)
                return try self.list(list.elements.isEmpty ? [] : Array([[Value]](repeating: list.elements, count: times).joined()))
            }
        }
        return nil
    }

    private func whole(_ symbol: BinaryOperator, _ a: Int, _ b: Int) throws(TemplateError) -> Value {
        let result: (partialValue: Int, overflow: Bool)
        switch symbol {
        case .add: result = a.addingReportingOverflow(b)
        case .subtract: result = a.subtractingReportingOverflow(b)
        case .multiply: result = a.multipliedReportingOverflow(by: b)
        case .floorDivide, .modulo:
            guard b != 0 else { throw failure(.evaluation, "division by zero") }
            let (quotient, overflow) = a.dividedReportingOverflow(by: b)
            if overflow { throw failure(.evaluation, "an integer is out of range") }
            let remainder = a &- quotient &* b
            // Rounded down rather than towards zero.
            let isBelow = remainder != 0 && (remainder < 0) != (b < 0)
            return .int(symbol == .modulo ? (isBelow ? remainder &+ b : remainder) : (isBelow ? quotient &- 1 : quotient))
        case .power:
            guard b >= 0 else { return try fractional(.power, Double(a), Double(b)) }
            return .int(try power(a, b))
        case .divide: return try fractional(.divide, Double(a), Double(b))
        }
        if result.overflow { throw failure(.evaluation, "an integer is out of range") }
        return .int(result.partialValue)
    }

    private func power(_ base: Int, _ exponent: Int) throws(TemplateError) -> Int {
        if base == 0 || base == 1 || exponent == 0 { return exponent == 0 ? 1 : base }
        if base == -1 { return exponent % 2 == 0 ? 1 : -1 }
        var value = 1
        for _ in 0..<min(exponent, 64) {
            let (product, overflow) = value.multipliedReportingOverflow(by: base)
            if overflow { throw failure(.evaluation, "an integer is out of range") }
            value = product
        }
        return value
    }

    private func fractional(_ symbol: BinaryOperator, _ a: Double, _ b: Double) throws(TemplateError) -> Value {
        switch symbol {
        case .add: return .double(a + b)
        case .subtract: return .double(a - b)
        case .multiply: return .double(a * b)
        case .power: return .double(FloatingPointMath.power(a, b))
        case .divide, .floorDivide, .modulo:
            guard b != 0 else { throw failure(.evaluation, "division by zero") }
            if symbol == .divide { return .double(a / b) }
            if symbol == .floorDivide { return .double((a / b).rounded(.down)) }
            let remainder = a.truncatingRemainder(dividingBy: b)
            return .double(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder)
        }
    }

    func negated(_ value: Value) throws(TemplateError) -> Value {
        if let number = value.integer { return try whole(.subtract, 0, number) }
        if case .double(let number) = value { return .double(-number) }
        throw unary("-", value)
    }

    func positive(_ value: Value) throws(TemplateError) -> Value {
        if let number = value.integer { return .int(number) }
        if case .double = value { return value }
        throw unary("+", value)
    }

    private func unary(_ sign: String, _ value: Value) -> TemplateError {
        if case .undefined(let reason) = value { return failure(.undefined, reason) }
        return failure(.evaluation, "'\(sign)' does not take a \(value.typeName)")
    }

    // MARK: Comparison

    func equal(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        try charge(1)
        if let a = left.text, let b = right.text {
            guard a.utf8.count == b.utf8.count else { return false }
            try charge(1 + a.utf8.count / 16)
            return a == b
        }
        if let a = left.integer, let b = right.integer { return a == b }
        if let a = left.number, let b = right.number { return a == b }
        switch (left, right) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            guard a.elements.count == b.elements.count else { return false }
            for (x, y) in zip(a.elements, b.elements) where !(try equal(x, y)) { return false }
            return true
        case (.dictionary(let a), .dictionary(let b)):
            guard a.map.count == b.map.count else { return false }
            for (key, value) in zip(a.map.keys, a.map.values) {
                guard let other = b.map[key], try equal(value, other) else { return false }
            }
            return true
        case (.namespace(let a), .namespace(let b)): return a === b
        case (.macro(let a), .macro(let b)): return a === b
        case (.loop(let a), .loop(let b)): return a === b
        case (.function(let a), .function(let b)): return a == b
        default: return false
        }
    }

    /// Whether `left < right`.
    func precedes(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        if let a = left.text, let b = right.text {
            try charge(1 + min(a.utf8.count, b.utf8.count) / 16)
            return TextOperations.precedes(a.string, b.string)
        }
        if let a = left.integer, let b = right.integer { return a < b }
        if let a = left.number, let b = right.number { return a < b }
        switch (left, right) {
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (x, y) in zip(a.elements, b.elements) where !(try equal(x, y)) { return try precedes(x, y) }
            return a.elements.count < b.elements.count
        case (.undefined(let reason), _), (_, .undefined(let reason)): throw failure(.undefined, reason)
        default: throw failure(.evaluation, "a \(left.typeName) and a \(right.typeName) have no order")
        }
    }

    /// Whether `element in container`.
    func contains(_ container: Value, _ element: Value) throws(TemplateError) -> Bool {
        switch container {
        case .string(let text), .markup(let text):
            guard let part = element.text else {
                throw failure(.evaluation, "a \(element.typeName) cannot be in a string")
            }
            try charge(search: part.string, in: text.string)
            return TextOperations.contains(text.string, part.string)
        case .dictionary(let dictionary):
            if let text = element.text { try charge(1 + text.utf8.count / 8) }
            return DictionaryKey(element).map { dictionary.map[$0] != nil } ?? false
        case .list(let list), .tuple(let list):
            for candidate in list.elements where try equal(candidate, element) { return true }
            return false
        case .undefined: return false
        default: throw failure(.evaluation, "nothing can be in a \(container.typeName)")
        }
    }

    /// Counts a search, which at worst compares the whole pattern at every place. Short patterns are the usual ones.
    func charge(search pattern: String, in text: String) throws(TemplateError) {
        let (product, overflow) = text.utf8.count.multipliedReportingOverflow(by: 1 + pattern.utf8.count / 64)
        try charge(overflow ? .max / 2 : 1 + product / 8)
    }
}
