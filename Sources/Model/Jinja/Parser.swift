/// Builds statements from tokens. Recursive descent over Jinja 2's grammar; depth is limited.
struct Parser {
    var tokens: [Token]
    var position = 0
    var depth = 0
    /// How many operators the current statement's expressions have.
    var chained = 0
    let limits: TemplateLimits
    /// For each macro around the current place, which of `varargs` and `kwargs` its body has used so far.
    var macroUses: [(varargs: Bool, kwargs: Bool)] = []

    static func statements(of source: String, limits: TemplateLimits) throws(TemplateError) -> [Statement] {
        var parser = Parser(tokens: try Lexer.tokens(of: source, limits: limits), limits: limits)
        return try parser.body(until: []).statements
    }

    // MARK: Tokens

    var current: Token { tokens[position] }
    var line: Int { current.line }

    func failure(_ message: String) -> TemplateError { TemplateError(.syntax, message, line: line) }

    /// Moves on; stays at the end.
    mutating func advance() { if position + 1 < tokens.count { position += 1 } }

    func isSymbol(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }
    func isName(_ name: String) -> Bool { current.kind == .name(name) }

    func isNextSymbol(_ symbol: String) -> Bool {
        position + 1 < tokens.count && tokens[position + 1].kind == .symbol(symbol)
    }

    mutating func skip(symbol: String) -> Bool {
        guard isSymbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard isName(name) else { return false }
        advance()
        return true
    }

    mutating func expect(symbol: String) throws(TemplateError) {
        guard skip(symbol: symbol) else { throw failure("expected '\(symbol)', found \(current.text)") }
    }

    mutating func expectName() throws(TemplateError) -> String {
        guard case .name(let name) = current.kind else { throw failure("expected a name, found \(current.text)") }
        advance()
        return name
    }

    mutating func expect(_ kind: Token.Kind) throws(TemplateError) {
        guard current.kind == kind else {
            throw failure("expected \(Token(kind: kind, line: 0).text), found \(current.text)")
        }
        advance()
    }

    mutating func descend() throws(TemplateError) {
        depth += 1
        if depth > limits.depth { throw TemplateError(.limit, "nested too deep", line: line) }
    }

    // MARK: Statements

    /// Statements up to one of the given tags, whose name is then current; with no tags, up to the template's end.
    mutating func body(until ends: Set<String>) throws(TemplateError) -> (statements: [Statement], end: String) {
        try descend()
        defer { depth -= 1 }
        var statements: [Statement] = []
        while true {
            let line = self.line
            chained = 0
            switch current.kind {
            case .data(let text):
                advance()
                statements.append(Statement(kind: .text(text), line: line))
            case .variableBegin:
                advance()
                let value = try tupleOrExpression()
                try expect(.variableEnd)
                statements.append(Statement(kind: .output(value), line: line))
            case .blockBegin:
                advance()
                guard case .name(let tag) = current.kind else { throw failure("expected a tag's name, found \(current.text)") }
                if ends.contains(tag) { return (statements, tag) }
                advance()
                statements.append(Statement(kind: try statement(tag), line: line))
            case .end:
                guard ends.isEmpty else { throw failure("expected one of \(ends.sorted().joined(separator: ", ")), found the end") }
                return (statements, "")
            default:
                throw failure("unexpected \(current.text)")
            }
        }
    }

    /// A body with one possible end, past which it moves.
    private mutating func body(closedBy end: String) throws(TemplateError) -> [Statement] {
        let statements = try body(until: [end]).statements
        advance()
        try expect(.blockEnd)
        return statements
    }

    private mutating func statement(_ tag: String) throws(TemplateError) -> Statement.Kind {
        switch tag {
        case "if": return try conditional()
        case "for": return try loop()
        case "set": return try assignment()
        case "macro": return try macro()
        case "call": return try callBlock()
        case "filter": return try filterBlock()
        case "with": return try with()
        case "generation":
            // Marks what a model is trained on; for rendering it is only a bracket.
            try expect(.blockEnd)
            return .group(try body(closedBy: "endgeneration"))
        case "do":
            let value = try tupleOrExpression()
            try expect(.blockEnd)
            return .evaluation(value)
        case "break", "continue":
            try expect(.blockEnd)
            return tag == "break" ? .breakLoop : .continueLoop
        case "block", "extends", "include", "import", "from", "autoescape", "trans":
            throw TemplateError(.unsupported, "the tag '\(tag)' has no use in a chat template and is not supported", line: line)
        default:
            throw failure("unknown tag '\(tag)'")
        }
    }

    private mutating func conditional() throws(TemplateError) -> Statement.Kind {
        var branches: [(condition: Expression, body: [Statement])] = []
        var otherwise: [Statement] = []
        while true {
            let condition = try tupleOrExpression(allowsConditional: false)
            try expect(.blockEnd)
            let (statements, end) = try body(until: ["elif", "else", "endif"])
            branches.append((condition, statements))
            advance()
            if end == "elif" { continue }
            try expect(.blockEnd)
            if end == "else" { otherwise = try body(closedBy: "endif") }
            return .conditional(branches, otherwise: otherwise)
        }
    }

    private mutating func loop() throws(TemplateError) -> Statement.Kind {
        let target = try assignmentTarget()
        guard skip(name: "in") else { throw failure("expected 'in', found \(current.text)") }
        let sequence = try tupleOrExpression(allowsConditional: false, endsAtName: "recursive")
        let filter: Expression? = skip(name: "if") ? try expression() : nil
        let isRecursive = skip(name: "recursive")
        try expect(.blockEnd)
        let (statements, end) = try body(until: ["else", "endfor"])
        advance()
        try expect(.blockEnd)
        let otherwise = end == "else" ? try body(closedBy: "endfor") : []
        return .loop(
            Loop(target: target, sequence: sequence, filter: filter, isRecursive: isRecursive, body: statements, otherwise: otherwise))
    }

    private mutating func assignment() throws(TemplateError) -> Statement.Kind {
        let target = try assignmentTarget()
        if skip(symbol: "=") {
            let value = try tupleOrExpression()
            try expect(.blockEnd)
            return .assignment(target, value)
        }
        let filter: Expression? = isSymbol("|") ? try filters(on: nil) : nil
        try expect(.blockEnd)
        return .blockAssignment(target, filter: filter, body: try body(closedBy: "endset"))
    }

    /// `a`, `namespace.a`, `a, b` or `(a, b)`.
    mutating func assignmentTarget() throws(TemplateError) -> AssignmentTarget {
        try descend()
        defer { depth -= 1 }
        var targets: [AssignmentTarget] = []
        var isTuple = false
        while true {
            if skip(symbol: "(") {
                targets.append(try assignmentTarget())
                try expect(symbol: ")")
            } else {
                let name = try expectName()
                targets.append(skip(symbol: ".") ? .attribute(name, try expectName()) : .name(name))
            }
            guard skip(symbol: ",") else { break }
            isTuple = true
            if isName("in") || isSymbol("=") || isSymbol(")") || current.kind == .blockEnd { break }
        }
        return isTuple ? .tuple(targets) : targets[0]
    }

    private mutating func parameters() throws(TemplateError) -> [(name: String, initial: Expression?)] {
        var parameters: [(name: String, initial: Expression?)] = []
        try expect(symbol: "(")
        while !isSymbol(")") {
            if !parameters.isEmpty {
                try expect(symbol: ",")
                if isSymbol(")") { break }
            }
            let name = try expectName()
            let initial: Expression? = skip(symbol: "=") ? try expression() : nil
            if initial == nil, parameters.last?.initial != nil {
                throw failure("a parameter without a default follows one with a default")
            }
            parameters.append((name, initial))
        }
        try expect(symbol: ")")
        return parameters
    }

    private mutating func macroBody(
        name: String, parameters: [(name: String, initial: Expression?)], end: String, line: Int
    ) throws(TemplateError) -> MacroDefinition {
        macroUses.append((false, false))
        let statements = try body(closedBy: end)
        let uses = macroUses.popLast() ?? (false, false)
        return MacroDefinition(
            name: name, parameters: parameters, body: statements, takesMorePositional: uses.varargs, takesMoreNamed: uses.kwargs,
            line: line)
    }

    private mutating func macro() throws(TemplateError) -> Statement.Kind {
        let line = self.line
        let name = try expectName()
        let parameters = try self.parameters()
        try expect(.blockEnd)
        return .macro(try macroBody(name: name, parameters: parameters, end: "endmacro", line: line))
    }

    private mutating func callBlock() throws(TemplateError) -> Statement.Kind {
        let line = self.line
        let parameters = isSymbol("(") ? try self.parameters() : []
        let call = try expression()
        guard case .call = call else { throw failure("expected a call") }
        try expect(.blockEnd)
        return .callBlock(call, body: try macroBody(name: "caller", parameters: parameters, end: "endcall", line: line))
    }

    private mutating func filterBlock() throws(TemplateError) -> Statement.Kind {
        let name = try dottedName()
        let arguments = isSymbol("(") ? try self.arguments() : .none
        var filter = Expression.filter(nil, name, arguments)
        if isSymbol("|") { filter = try filters(on: filter) }
        try expect(.blockEnd)
        return .filterBlock(filter, body: try body(closedBy: "endfilter"))
    }

    private mutating func with() throws(TemplateError) -> Statement.Kind {
        var bindings: [(target: AssignmentTarget, value: Expression)] = []
        while current.kind != .blockEnd {
            if !bindings.isEmpty { try expect(symbol: ",") }
            let target = AssignmentTarget.name(try expectName())
            try expect(symbol: "=")
            bindings.append((target, try expression()))
        }
        try expect(.blockEnd)
        return .with(bindings, body: try body(closedBy: "endwith"))
    }
}
