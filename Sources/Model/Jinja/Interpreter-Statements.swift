extension Interpreter {
    /// What happens after a statement.
    enum Flow { case next, breakLoop, continueLoop }

    func run(_ statements: [Statement], in scope: Scope) throws(TemplateError) -> Flow {
        try descend()
        defer { ascend() }
        for statement in statements {
            line = statement.line
            let flow = try run(statement, in: scope)
            if flow != .next { return flow }
        }
        return .next
    }

    private func run(_ statement: Statement, in scope: Scope) throws(TemplateError) -> Flow {
        switch statement.kind {
        case .text(let text): try emit(MarkedText(text))
        case .output(let expression): try emit(try text(try evaluate(expression, scope)))
        case .conditional(let branches, let otherwise): return try conditional(branches, otherwise, scope)
        case .loop(let loop): try runLoop(loop, scope)
        case .assignment(let target, let expression): try assign(target, try evaluate(expression, scope), scope)
        case .blockAssignment(let target, let filter, let body): try blockAssignment(target, filter, body, scope)
        case .macro(let definition):
            keep(scope)
            scope.variables[definition.name] = .macro(MacroValue(definition, scope: scope))
        case .callBlock(let call, let body): try callBlock(call, body, scope)
        case .filterBlock(let filter, let body): try emit(try text(try filtered(body, filter, scope)))
        case .with(let bindings, let body): return try with(bindings, body, scope)
        case .group(let body): return try run(body, in: scope)
        case .evaluation(let expression): _ = try evaluate(expression, scope)
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .next
    }

    private func conditional(
        _ branches: [(condition: Expression, body: [Statement])], _ otherwise: [Statement], _ scope: Scope
    ) throws(TemplateError) -> Flow {
        for (condition, body) in branches where try evaluate(condition, scope).isTrue {
            return try run(body, in: scope)
        }
        return try run(otherwise, in: scope)
    }

    private func blockAssignment(
        _ target: AssignmentTarget, _ filter: Expression?, _ body: [Statement], _ scope: Scope
    ) throws(TemplateError) {
        if let filter {
            try assign(target, try filtered(body, filter, scope), scope)
        } else {
            try assign(target, .string(try capture(body, in: Scope(parent: scope))), scope)
        }
    }

    /// The value of a chain of filters on a body's text.
    private func filtered(_ body: [Statement], _ filter: Expression, _ scope: Scope) throws(TemplateError) -> Value {
        let inner = Scope(parent: scope)
        // A name that no template can spell.
        inner.variables["|"] = .string(try capture(body, in: inner))
        return try evaluate(filter, inner)
    }

    private func callBlock(_ call: Expression, _ body: MacroDefinition, _ scope: Scope) throws(TemplateError) {
        guard case .call(let function, let arguments) = call else { return }
        keep(scope)
        let callee = try evaluate(function, scope)
        var values = try evaluate(arguments, scope)
        values.caller = MacroValue(body, scope: scope)
        try emit(try text(try self.call(callee, values, scope)))
    }

    private func with(
        _ bindings: [(target: AssignmentTarget, value: Expression)], _ body: [Statement], _ scope: Scope
    ) throws(TemplateError) -> Flow {
        let inner = Scope(parent: scope)
        for (target, value) in bindings { try assign(target, try evaluate(value, scope), inner) }
        return try run(body, in: inner)
    }

    // MARK: Loops

    private func runLoop(_ loop: Loop, _ scope: Scope) throws(TemplateError) {
        let value = try evaluate(loop.sequence, scope)
        try runLoop(loop, over: value, scope, level: 0)
    }

    /// Runs a loop's body for each element. Used again for `loop(…)` in recursive loops.
    func runLoop(_ loop: Loop, over value: Value, _ scope: Scope, level: Int) throws(TemplateError) {
        var elements = try self.elements(of: value)
        if let filter = loop.filter { elements = try filtered(elements, loop, filter, scope) }
        if elements.isEmpty {
            _ = try run(loop.otherwise, in: Scope(parent: scope))
            return
        }
        let state = LoopState(elements, definition: loop, scope: scope, level: level)
        for index in elements.indices {
            try charge(1)
            state.index = index
            let inner = Scope(parent: scope)
            inner.variables["loop"] = .loop(state)
            try assign(loop.target, elements[index], inner)
            if try run(loop.body, in: inner) == .breakLoop { break }
        }
    }

    private func filtered(
        _ elements: [Value], _ loop: Loop, _ filter: Expression, _ scope: Scope
    ) throws(TemplateError) -> [Value] {
        var kept: [Value] = []
        for element in elements {
            let inner = Scope(parent: scope)
            try assign(loop.target, element, inner)
            if try evaluate(filter, inner).isTrue { kept.append(element) }
        }
        return kept
    }

    // MARK: Assignment

    func assign(_ target: AssignmentTarget, _ value: Value, _ scope: Scope) throws(TemplateError) {
        switch target {
        case .name(let name): scope.variables[name] = value
        case .attribute(let name, let attribute):
            guard case .namespace(let namespace)? = scope.find(name) else {
                throw failure(.evaluation, "attributes can only be set on a namespace, and '\(name)' is none")
            }
            namespace.attributes[ExactText(attribute)] = value
        case .tuple(let targets):
            let elements = try self.elements(of: value)
            guard elements.count == targets.count else {
                throw failure(.evaluation, "cannot unpack \(elements.count) values into \(targets.count) names")
            }
            for (target, element) in zip(targets, elements) { try assign(target, element, scope) }
        }
    }
}
