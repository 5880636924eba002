// From the loosest binding to the tightest: conditional, or, and, not, comparison, sum, concatenation, product, power,
// sign, postfix (attribute, item, call), filter and test.

extension Parser {
    /// An expression, or several with commas, which make a tuple.
    mutating func tupleOrExpression(
        allowsConditional: Bool = true, endsAtName: String? = nil, allowsEmpty: Bool = false
    ) throws(TemplateError) -> Expression {
        var elements: [Expression] = []
        var isTuple = false
        while !isTupleEnd(endsAtName) {
            elements.append(try allowsConditional ? expression() : or())
            guard skip(symbol: ",") else { break }
            isTuple = true
        }
        if !isTuple, let only = elements.first { return only }
        guard isTuple || allowsEmpty else { throw failure("expected an expression, found \(current.text)") }
        return .tuple(elements)
    }

    private func isTupleEnd(_ name: String?) -> Bool {
        if current.kind == .variableEnd || current.kind == .blockEnd || isSymbol(")") { return true }
        return name.map { isName($0) } ?? false
    }

    mutating func expression() throws(TemplateError) -> Expression {
        try descend()
        defer { depth -= 1 }
        var value = try or()
        while skip(name: "if") {
            let condition = try or()
            let otherwise: Expression? = skip(name: "else") ? try expression() : nil
            value = .conditional(condition: condition, then: value, otherwise: otherwise)
            try descendFlat()
        }
        return value
    }

    private mutating func or() throws(TemplateError) -> Expression {
        var left = try and()
        while skip(name: "or") {
            left = .or(left, try and())
            try descendFlat()
        }
        return left
    }

    private mutating func and() throws(TemplateError) -> Expression {
        var left = try not()
        while skip(name: "and") {
            left = .and(left, try not())
            try descendFlat()
        }
        return left
    }

    private mutating func not() throws(TemplateError) -> Expression {
        guard skip(name: "not") else { return try comparison() }
        try descend()
        defer { depth -= 1 }
        return .not(try not())
    }

    private mutating func comparison() throws(TemplateError) -> Expression {
        let first = try sum()
        var rest: [(symbol: ComparisonOperator, operand: Expression)] = []
        while let next = comparisonOperator() {
            rest.append((next, try sum()))
        }
        return rest.isEmpty ? first : .comparison(first, rest)
    }

    private mutating func comparisonOperator() -> ComparisonOperator? {
        switch current.kind {
        case .symbol(let symbol):
            guard let found = ComparisonOperator(rawValue: symbol) else { return nil }
            advance()
            return found
        case .name("in"):
            advance()
            return .isIn
        case .name("not"):
            guard position + 1 < tokens.count, tokens[position + 1].kind == .name("in") else { return nil }
            advance()
            advance()
            return .isNotIn
        default: return nil
        }
    }

    private mutating func binaryOperator(_ symbols: Set<String>) -> BinaryOperator? {
        guard case .symbol(let symbol) = current.kind, symbols.contains(symbol) else { return nil }
        advance()
        return BinaryOperator(rawValue: symbol)
    }

    private mutating func sum() throws(TemplateError) -> Expression {
        var left = try concatenation()
        while let next = binaryOperator(["+", "-"]) {
            left = .binary(next, left, try concatenation())
            try descendFlat()
        }
        return left
    }

    private mutating func concatenation() throws(TemplateError) -> Expression {
        var parts = [try product()]
        while skip(symbol: "~") { parts.append(try product()) }
        return parts.count == 1 ? parts[0] : .concatenation(parts)
    }

    private mutating func product() throws(TemplateError) -> Expression {
        var left = try power()
        while let next = binaryOperator(["*", "/", "//", "%"]) {
            left = .binary(next, left, try power())
            try descendFlat()
        }
        return left
    }

    private mutating func power() throws(TemplateError) -> Expression {
        var left = try unary()
        while let next = binaryOperator(["**"]) {
            left = .binary(next, left, try unary())
            try descendFlat()
        }
        return left
    }

    private mutating func unary(withFilters: Bool = true) throws(TemplateError) -> Expression {
        try descend()
        defer { depth -= 1 }
        var value: Expression
        if skip(symbol: "-") {
            value = .negative(try unary(withFilters: false))
        } else if skip(symbol: "+") {
            value = .positive(try unary(withFilters: false))
        } else {
            value = try primary()
        }
        value = try postfix(on: value)
        return withFilters ? try filters(on: value) : value
    }

    private mutating func primary() throws(TemplateError) -> Expression {
        let token = current
        advance()
        switch token.kind {
        case .name(let name):
            return named(name)
        case .string(var text):
            while case .string(let more) = current.kind {
                text += more
                advance()
            }
            return .literal(.string(text))
        case .integer(let number): return .literal(.int(number))
        case .float(let number): return .literal(.double(number))
        case .symbol("("):
            let value = try tupleOrExpression(allowsEmpty: true)
            try expect(symbol: ")")
            return value
        case .symbol("["):
            var elements: [Expression] = []
            while !isSymbol("]") {
                if !elements.isEmpty { try expect(symbol: ",") }
                if isSymbol("]") { break }
                elements.append(try expression())
            }
            try expect(symbol: "]")
            return .list(elements)
        case .symbol("{"):
            var entries: [(key: Expression, value: Expression)] = []
            while !isSymbol("}") {
                if !entries.isEmpty { try expect(symbol: ",") }
                if isSymbol("}") { break }
                let key = try expression()
                try expect(symbol: ":")
                entries.append((key, try expression()))
            }
            try expect(symbol: "}")
            return .dictionary(entries)
        default:
            throw TemplateError(.syntax, "unexpected \(token.text)", line: token.line)
        }
    }

    private mutating func named(_ name: String) -> Expression {
        switch name {
        case "true", "True": return .literal(.bool(true))
        case "false", "False": return .literal(.bool(false))
        case "none", "None": return .literal(.none)
        default: break
        }
        if !macroUses.isEmpty {
            if name == "varargs" { macroUses[macroUses.count - 1].varargs = true }
            if name == "kwargs" { macroUses[macroUses.count - 1].kwargs = true }
        }
        return .name(name)
    }

    private mutating func postfix(on value: Expression) throws(TemplateError) -> Expression {
        var value = value
        while true {
            if skip(symbol: ".") {
                if case .integer(let index) = current.kind {
                    advance()
                    value = .item(value, .literal(.int(index)))
                } else {
                    value = .attribute(value, try expectName())
                }
            } else if skip(symbol: "[") {
                value = try subscripted(value)
            } else if isSymbol("(") {
                value = .call(value, try arguments())
            } else {
                return value
            }
            try descendFlat()
        }
    }

    private mutating func subscripted(_ value: Expression) throws(TemplateError) -> Expression {
        let start: Expression? = isSymbol(":") ? nil : try tupleOfSubscript()
        guard skip(symbol: ":") else {
            try expect(symbol: "]")
            guard let start else { throw failure("expected an index") }
            return .item(value, start)
        }
        let stop: Expression? = isSymbol(":") || isSymbol("]") ? nil : try expression()
        let step: Expression? = skip(symbol: ":") && !isSymbol("]") ? try expression() : nil
        try expect(symbol: "]")
        return .slice(value, start: start, stop: stop, step: step)
    }

    private mutating func tupleOfSubscript() throws(TemplateError) -> Expression {
        var elements = [try expression()]
        while skip(symbol: ",") { elements.append(try expression()) }
        return elements.count == 1 ? elements[0] : .tuple(elements)
    }

    mutating func arguments() throws(TemplateError) -> Arguments {
        var arguments = Arguments()
        try expect(symbol: "(")
        var isFirst = true
        while !isSymbol(")") {
            if !isFirst {
                try expect(symbol: ",")
                if isSymbol(")") { break }
            }
            isFirst = false
            if skip(symbol: "**") {
                arguments.spreadNamed = try expression()
            } else if skip(symbol: "*") {
                arguments.spread = try expression()
            } else if case .name(let name) = current.kind, isNextSymbol("=") {
                advance()
                advance()
                arguments.named.append((name, try expression()))
            } else {
                guard arguments.named.isEmpty, arguments.spread == nil, arguments.spreadNamed == nil else {
                    throw failure("a positional argument after a named one")
                }
                arguments.positional.append(try expression())
            }
        }
        try expect(symbol: ")")
        return arguments
    }

    mutating func dottedName() throws(TemplateError) -> String {
        var name = try expectName()
        while skip(symbol: ".") { name += "." + (try expectName()) }
        return name
    }

    /// Filters, tests and calls that follow a value; without a value, the filters on a block's text.
    mutating func filters(on value: Expression?) throws(TemplateError) -> Expression {
        var value = value
        while true {
            if skip(symbol: "|") {
                let name = try dottedName()
                value = .filter(value, name, isSymbol("(") ? try arguments() : .none)
            } else if let tested = value, skip(name: "is") {
                value = try test(tested)
            } else if let called = value, isSymbol("(") {
                value = .call(called, try arguments())
            } else if let value {
                return value
            } else {
                throw failure("expected a filter, found \(current.text)")
            }
            try descendFlat()
        }
    }

    private mutating func test(_ value: Expression) throws(TemplateError) -> Expression {
        let isNegated = skip(name: "not")
        let name = try dottedName()
        var arguments = Arguments.none
        if isSymbol("(") {
            arguments = try self.arguments()
        } else if startsTestArgument {
            if isName("is") { throw failure("tests cannot be chained with 'is'") }
            arguments.positional = [try postfix(on: try primary())]
        }
        let test = Expression.test(value, name, arguments)
        return isNegated ? .not(test) : test
    }

    private var startsTestArgument: Bool {
        switch current.kind {
        case .name(let name): !["else", "or", "and"].contains(name)
        case .string, .integer, .float: true
        case .symbol(let symbol): ["(", "[", "{"].contains(symbol)
        default: false
        }
    }

    /// Chains such as `a + b + c` are parsed in a loop, but make a tree as deep as they are long, which is freed by
    /// recursion. Real templates have chains of dozens.
    private mutating func descendFlat() throws(TemplateError) {
        chained += 1
        if chained > limits.depth * 5 { throw TemplateError(.limit, "an expression is too long", line: line) }
    }
}
