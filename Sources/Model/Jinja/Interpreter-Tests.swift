// Jinja's tests: `x is NAME`.

extension Interpreter {
    func test(_ name: String, _ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Bool {
        switch name {
        case "defined": return !value.isUndefined
        case "undefined": return value.isUndefined
        case "none", "null": return value.isNone
        case "boolean":
            if case .bool = value { return true }
            return false
        case "true":
            if case .bool(true) = value { return true }
            return false
        case "false":
            if case .bool(false) = value { return true }
            return false
        case "integer":
            if case .int = value { return true }
            return false
        case "float":
            if case .double = value { return true }
            return false
        case "number": return value.number != nil
        case "string": return value.text != nil
        case "mapping":
            if case .dictionary = value { return true }
            return false
        case "sequence": return Self.isSequence(value)
        case "iterable": return value.isUndefined || Self.isSequence(value)
        case "callable":
            switch value {
            case .macro, .function, .method, .loop: return true
            default: return false
            }
        case "escaped":
            if case .markup = value { return true }
            return false
        case "odd", "even", "divisibleby": return try divides(name, value, arguments)
        case "lower": return TextOperations.equal(try text(value).string, try text(value).string.lowercased())
        case "upper": return TextOperations.equal(try text(value).string, try text(value).string.uppercased())
        case "filter": return Self.filterNames.contains(try text(value).string)
        case "sameas": return try same(value, try other(name, arguments))
        case "in": return try contains(try other(name, arguments), value)
        case "eq", "equalto", "==": return try equal(value, try other(name, arguments))
        case "ne", "!=": return !(try equal(value, try other(name, arguments)))
        case "lt", "lessthan", "<": return try precedes(value, try other(name, arguments))
        case "le", "<=": return !(try precedes(try other(name, arguments), value))
        case "gt", "greaterthan", ">": return try precedes(try other(name, arguments), value)
        case "ge", ">=": return !(try precedes(value, try other(name, arguments)))
        default: throw failure(.unsupported, "there is no test '\(name)'")
        }
    }

    private static func isSequence(_ value: Value) -> Bool {
        switch value {
        case .string, .markup, .list, .tuple, .dictionary: true
        default: false
        }
    }

    private func other(_ name: String, _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard let other = arguments.positional.first ?? arguments.named.first?.value else {
            throw failure(.evaluation, "the test '\(name)' needs something to compare with")
        }
        return other
    }

    private func divides(_ name: String, _ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Bool {
        guard let number = value.integer else { throw failure(.evaluation, "the test '\(name)' needs an integer") }
        if name != "divisibleby" { return (number & 1 == 1) == (name == "odd") }
        guard let divisor = try other(name, arguments).integer, divisor != 0 else {
            throw failure(.evaluation, "the test '\(name)' needs a number other than 0")
        }
        return number.remainderReportingOverflow(dividingBy: divisor).partialValue == 0
    }

    /// Python's `is`, as far as it can be told: the same type and value.
    private func same(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        guard left.typeName == right.typeName else { return false }
        return try equal(left, right)
    }
}
