internal import OrderedCollections

extension Interpreter {
    func evaluate(_ expression: Expression, _ scope: Scope) throws(TemplateError) -> Value {
        try descend()
        defer { ascend() }
        switch expression {
        case .literal(let literal): return Value(literal)
        case .name(let name): return scope.find(name) ?? .undefined("'\(name)' is undefined")
        case .list(let elements): return try list(try evaluate(elements, scope))
        case .tuple(let elements): return try checked(.tuple(try evaluate(elements, scope)))
        case .dictionary(let entries): return try dictionary(entries, scope)
        case .attribute(let object, let name): return try attribute(name, of: try evaluate(object, scope))
        case .item(let object, let key): return try item(try evaluate(key, scope), of: try evaluate(object, scope))
        case .slice(let object, let start, let stop, let step):
            return try slice(
                try evaluate(object, scope), try bound(start, scope), try bound(stop, scope), try bound(step, scope))
        case .call(let function, let arguments): return try call(function, arguments, scope)
        case .filter(let operand, let name, let arguments):
            let value = try operand.map { (operand) throws(TemplateError) in try evaluate(operand, scope) }
            let input = value ?? scope.find("|") ?? .undefined("no text to filter")
            return try apply(filter: name, to: input, try evaluate(arguments, scope))
        case .test(let operand, let name, let arguments):
            let value = try evaluate(operand, scope)
            return .bool(try test(name, value, try evaluate(arguments, scope)))
        case .not(let operand): return .bool(!(try evaluate(operand, scope).isTrue))
        case .negative(let operand): return try negated(try evaluate(operand, scope))
        case .positive(let operand): return try positive(try evaluate(operand, scope))
        case .binary: return try chain(expression, scope)
        case .concatenation(let parts): return try concatenation(parts, scope)
        case .comparison(let first, let rest): return try comparison(first, rest, scope)
        case .and, .or: return try logical(expression, scope)
        case .conditional(let condition, let then, let otherwise):
            if try evaluate(condition, scope).isTrue { return try evaluate(then, scope) }
            guard let otherwise else { return .undefined("the conditional has no 'else'") }
            return try evaluate(otherwise, scope)
        }
    }

    func evaluate(_ expressions: [Expression], _ scope: Scope) throws(TemplateError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try evaluate(expression, scope)) }
        return values
    }

    private func dictionary(
        _ entries: [(key: Expression, value: Expression)], _ scope: Scope
    ) throws(TemplateError) -> Value {
        var map = OrderedDictionary<DictionaryKey, Value>()
        for (key, value) in entries {
            let key = try evaluate(key, scope)
            guard let found = DictionaryKey(key) else { throw failure(.evaluation, "a \(key.typeName) cannot be a key") }
            map[found] = try evaluate(value, scope)
        }
        return try dictionary(map)
    }

    private func concatenation(_ parts: [Expression], _ scope: Scope) throws(TemplateError) -> Value {
        var joined = MarkedTextBuilder()
        for part in parts {
            let text = try text(try evaluate(part, scope))
            try charge(bytes: joined.count + text.utf8.count)
            try charge(text.markCount)
            joined.append(text)
        }
        return .string(joined.text)
    }

    // MARK: Operators

    /// A sum or product, whose left side may be another, and so on: from the left, without recursion.
    private func chain(_ expression: Expression, _ scope: Scope) throws(TemplateError) -> Value {
        var pending: [(BinaryOperator, Expression)] = []
        var first = expression
        while case .binary(let symbol, let left, let right) = first {
            pending.append((symbol, right))
            first = left
        }
        var value = try evaluate(first, scope)
        while let (symbol, right) = pending.popLast() {
            try charge(1)
            value = try compute(symbol, value, try evaluate(right, scope))
        }
        return value
    }

    /// `and` and `or` give the operand that decides, from the left, without recursion.
    private func logical(_ expression: Expression, _ scope: Scope) throws(TemplateError) -> Value {
        var pending: [(isAnd: Bool, right: Expression)] = []
        var first = expression
        descent: while true {
            switch first {
            case .and(let left, let right):
                pending.append((true, right))
                first = left
            case .or(let left, let right):
                pending.append((false, right))
                first = left
            default: break descent
            }
        }
        var value = try evaluate(first, scope)
        while let (isAnd, right) = pending.popLast() {
            try charge(1)
            if value.isTrue == isAnd { value = try evaluate(right, scope) }
        }
        return value
    }

    private func comparison(
        _ first: Expression, _ rest: [(symbol: ComparisonOperator, operand: Expression)], _ scope: Scope
    ) throws(TemplateError) -> Value {
        var left = try evaluate(first, scope)
        for (symbol, operand) in rest {
            let right = try evaluate(operand, scope)
            guard try holds(symbol, left, right) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    private func holds(_ symbol: ComparisonOperator, _ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        switch symbol {
        case .equal: try equal(left, right)
        case .notEqual: !(try equal(left, right))
        case .less: try precedes(left, right)
        case .lessOrEqual: !(try precedes(right, left))
        case .greater: try precedes(right, left)
        case .greaterOrEqual: !(try precedes(left, right))
        case .isIn: try contains(right, left)
        case .isNotIn: !(try contains(right, left))
        }
    }

    // MARK: Attributes and items

    func attribute(_ name: String, of value: Value) throws(TemplateError) -> Value {
        switch value {
        case .undefined(let reason): throw failure(.undefined, reason)
        case .namespace(let namespace):
            return namespace.attributes[ExactText(name)] ?? .undefined("the namespace has no attribute '\(name)'")
        case .loop(let loop): return loopAttribute(name, loop)
        case .macro(let macro) where name == "name": return .string(MarkedText(macro.definition.name))
        default: break
        }
        if Self.methodNames(of: value).contains(name) { return .method(BoundMethod(value, name)) }
        if case .dictionary(let dictionary) = value, let found = dictionary[name] { return found }
        return .undefined("a \(value.typeName) has no attribute '\(name)'")
    }

    private func loopAttribute(_ name: String, _ loop: LoopState) -> Value {
        let count = loop.elements.count
        switch name {
        case "index": return .int(loop.index + 1)
        case "index0": return .int(loop.index)
        case "revindex": return .int(count - loop.index)
        case "revindex0": return .int(count - loop.index - 1)
        case "first": return .bool(loop.index == 0)
        case "last": return .bool(loop.index == count - 1)
        case "length": return .int(count)
        case "depth": return .int(loop.level + 1)
        case "depth0": return .int(loop.level)
        case "previtem" where loop.index > 0: return loop.elements[loop.index - 1]
        case "nextitem" where loop.index + 1 < count: return loop.elements[loop.index + 1]
        case "cycle", "changed": return .method(BoundMethod(.loop(loop), name))
        default: return .undefined("the loop has no attribute '\(name)'")
        }
    }

    func item(_ key: Value, of value: Value) throws(TemplateError) -> Value {
        if case .undefined(let reason) = value { throw failure(.undefined, reason) }
        if let text = key.text { try charge(1 + text.utf8.count / 8) }
        switch value {
        case .dictionary(let dictionary):
            if let key = DictionaryKey(key), let found = dictionary.map[key] { return found }
        case .list(let list), .tuple(let list):
            if let index = key.integer {
                return Self.position(index, list.elements.count).map { list.elements[$0] }
                    ?? .undefined("the \(value.typeName) has no element \(index)")
            }
        case .string(let text), .markup(let text):
            if let index = key.integer {
                try charge(bytes: text.utf8.count)
                let scalars = text.scalars
                return Self.position(index, scalars.count).map { .string(MarkedText(scalars[$0])) }
                    ?? .undefined("the string has no character \(index)")
            }
        default: break
        }
        guard let name = key.text else { return .undefined("the \(value.typeName) has no such item") }
        return try attribute(name.string, of: value)
    }

    /// An index that may count from the end, as one from the start; nil outside.
    private static func position(_ index: Int, _ count: Int) -> Int? {
        if index >= 0 { return index < count ? index : nil }
        return index >= -count ? count + index : nil
    }

    // MARK: Slices

    private func bound(_ expression: Expression?, _ scope: Scope) throws(TemplateError) -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression, scope)
        if value.isNone { return nil }
        guard let number = value.integer else { throw failure(.evaluation, "a slice needs integers, not a \(value.typeName)") }
        return number
    }

    private func slice(_ value: Value, _ start: Int?, _ stop: Int?, _ step: Int?) throws(TemplateError) -> Value {
        let step = step ?? 1
        guard step != 0 else { throw failure(.evaluation, "a slice's step cannot be 0") }
        switch value {
        case .undefined(let reason): throw failure(.undefined, reason)
        case .string(let text), .markup(let text):
            try charge(bytes: text.utf8.count)
            let scalars = text.scalars
            return .string(MarkedText(Self.indices(scalars.count, start, stop, step).map { scalars[$0] }))
        case .list(let list):
            return try self.list(Self.indices(list.elements.count, start, stop, step).map { list.elements[$0] })
        case .tuple(let list):
            try charge(elements: list.elements.count)
            return .tuple(Self.indices(list.elements.count, start, stop, step).map { list.elements[$0] })
        default: throw failure(.evaluation, "a \(value.typeName) cannot be sliced")
        }
    }

    /// The indices of a slice by Python's rules.
    private static func indices(_ count: Int, _ start: Int?, _ stop: Int?, _ step: Int) -> [Int] {
        func clamped(_ bound: Int, _ low: Int, _ high: Int) -> Int {
            min(max(bound < 0 ? max(bound, -count - 1) + count : bound, low), high)
        }
        var indices: [Int] = []
        // Steps longer than the sequence are all alike, and cannot overflow.
        let step = min(max(step, -count - 1), count + 1)
        if step > 0 {
            var index = start.map { clamped($0, 0, count) } ?? 0
            let end = stop.map { clamped($0, 0, count) } ?? count
            while index < end {
                indices.append(index)
                index += step
            }
        } else {
            var index = start.map { clamped($0, -1, count - 1) } ?? count - 1
            let end = stop.map { clamped($0, -1, count - 1) } ?? -1
            while index > end {
                indices.append(index)
                index += step
            }
        }
        return indices
    }
}
