internal import OrderedCollections

/// The values passed in a call.
struct CallArguments {
    var positional: [Value] = []
    /// The names are texts too: spread from a dict they can be read again, from `kwargs`.
    var named: [(name: MarkedText, value: Value)] = []
    /// The body of a call block.
    var caller: MacroValue?

    /// The argument at a position or with a name; nil if it is not given.
    func value(_ position: Int, _ name: String) -> Value? {
        if position < positional.count { return positional[position] }
        return self[name]
    }

    /// The argument with a name, the last of several.
    subscript(_ name: String) -> Value? { named.last { $0.name.string == name }?.value }

    /// All but the first.
    var rest: CallArguments {
        CallArguments(positional: Array(positional.dropFirst()), named: named)
    }
}

extension Interpreter {
    func evaluate(_ arguments: Arguments, _ scope: Scope) throws(TemplateError) -> CallArguments {
        var values = CallArguments()
        values.positional = try evaluate(arguments.positional, scope)
        for (name, expression) in arguments.named {
            values.named.append((MarkedText(name), try evaluate(expression, scope)))
        }
        if let spread = arguments.spread {
            values.positional += try elements(of: try evaluate(spread, scope))
        }
        if let spread = arguments.spreadNamed {
            guard case .dictionary(let dictionary) = try evaluate(spread, scope) else {
                throw failure(.evaluation, "'**' needs a dict")
            }
            for (key, value) in zip(dictionary.map.keys, dictionary.map.values) {
                guard let name = key.value.text else { throw failure(.evaluation, "'**' needs names for keys") }
                values.named.append((name, value))
            }
        }
        try charge(elements: values.positional.count + values.named.count)
        return values
    }

    /// Evaluates a call. Methods that change their receiver write it back to where it came from.
    func call(_ function: Expression, _ arguments: Arguments, _ scope: Scope) throws(TemplateError) -> Value {
        if case .attribute(let object, let name) = function, Self.changingMethods.contains(name) {
            let receiver = try evaluate(object, scope)
            if Self.methodNames(of: receiver).contains(name) {
                let values = try evaluate(arguments, scope)
                let (changed, result) = try change(receiver, name, values)
                try store(changed, into: object, scope)
                return result
            }
        }
        let callee = try evaluate(function, scope)
        return try call(callee, try evaluate(arguments, scope), scope)
    }

    func call(_ callee: Value, _ arguments: CallArguments, _ scope: Scope) throws(TemplateError) -> Value {
        switch callee {
        case .macro(let macro): return .string(try call(macro, arguments))
        case .function(let function): return try call(function, arguments)
        case .method(let method): return try call(method, arguments)
        case .loop(let loop):
            guard loop.definition.isRecursive else { throw failure(.evaluation, "the loop is not recursive") }
            guard let value = arguments.positional.first else { throw failure(.evaluation, "loop() needs something to go through") }
            return .string(try recurse(loop, value))
        case .undefined(let reason): throw failure(.undefined, reason)
        default: throw failure(.evaluation, "a \(callee.typeName) cannot be called")
        }
    }

    private func recurse(_ loop: LoopState, _ value: Value) throws(TemplateError) -> MarkedText {
        try descend()
        defer { ascend() }
        return try capture { () throws(TemplateError) in
            try runLoop(loop.definition, over: value, loop.scope, level: loop.level + 1)
        }
    }

    private func call(_ macro: MacroValue, _ arguments: CallArguments) throws(TemplateError) -> MarkedText {
        let definition = macro.definition
        let scope = Scope(parent: macro.scope)
        let callLine = line
        defer { line = callLine }
        var named = arguments.named
        for (index, parameter) in definition.parameters.enumerated() {
            if index < arguments.positional.count {
                scope.variables[parameter.name] = arguments.positional[index]
            } else if let position = named.firstIndex(where: { $0.name.string == parameter.name }) {
                scope.variables[parameter.name] = named.remove(at: position).value
            } else if let initial = parameter.initial {
                scope.variables[parameter.name] = try evaluate(initial, scope)
            } else {
                scope.variables[parameter.name] = .undefined("parameter '\(parameter.name)' was not provided")
            }
        }
        if let position = named.firstIndex(where: { $0.name == "caller" }) {
            scope.variables["caller"] = named.remove(at: position).value
        }
        let more = Array(arguments.positional.dropFirst(definition.parameters.count))
        if definition.takesMorePositional {
            scope.variables["varargs"] = try checked(.tuple(more))
        } else if !more.isEmpty {
            throw failure(.evaluation, "macro '\(definition.name)' takes no more than \(definition.parameters.count) arguments")
        }
        if definition.takesMoreNamed {
            var map = OrderedDictionary<DictionaryKey, Value>()
            for (name, value) in named { map[.text(name)] = value }
            scope.variables["kwargs"] = try dictionary(map)
        } else if let unknown = named.first {
            throw failure(.evaluation, "macro '\(definition.name)' has no parameter '\(unknown.name.string)'")
        }
        if let caller = arguments.caller {
            keep(scope)
            scope.variables["caller"] = .macro(caller)
        }
        return try capture(definition.body, in: scope)
    }

    // MARK: Functions

    private func call(_ function: Function, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch function {
        case .range: return try range(arguments)
        case .dict: return try dictionary(try map(arguments))
        case .namespace:
            let namespace = makeNamespace()
            for (key, value) in zip(try map(arguments).keys, try map(arguments).values) {
                if let name = key.value.text { namespace.attributes[ExactText(name.string)] = value }
            }
            return .namespace(namespace)
        case .raiseException:
            let message = try arguments.value(0, "message").map { (value) throws(TemplateError) in try text(value) }
            throw failure(.raised, message?.string ?? "the template refused the conversation")
        case .currentTime:
            guard let format = arguments.value(0, "format")?.text else {
                throw failure(.evaluation, "strftime_now needs a format")
            }
            try charge(bytes: 16 * format.utf8.count)
            return .string(MarkedText(CalendarTime(secondsSince1970: now).text(format.string), isUntrusted: format.isMarked))
        }
    }

    /// The members that `dict(…)` and `namespace(…)` are given: those of a dict, then the named ones.
    private func map(_ arguments: CallArguments) throws(TemplateError) -> OrderedDictionary<DictionaryKey, Value> {
        var map = OrderedDictionary<DictionaryKey, Value>()
        if let first = arguments.positional.first {
            if case .dictionary(let dictionary) = first {
                map = dictionary.map
            } else {
                for pair in try elements(of: first) {
                    let parts = try elements(of: pair)
                    guard parts.count == 2, let key = DictionaryKey(parts[0]) else {
                        throw failure(.evaluation, "a dict is made from pairs of key and value")
                    }
                    map[key] = parts[1]
                }
            }
        }
        for (name, value) in arguments.named { map[.text(name)] = value }
        try charge(elements: map.count)
        return map
    }

    private func range(_ arguments: CallArguments) throws(TemplateError) -> Value {
        var bounds: [Int] = []
        for value in arguments.positional {
            guard let number = value.integer else { throw failure(.evaluation, "range() needs integers, not a \(value.typeName)") }
            bounds.append(number)
        }
        guard (1...3).contains(bounds.count) else { throw failure(.evaluation, "range() takes one to three arguments") }
        let start = bounds.count == 1 ? 0 : bounds[0]
        let stop = bounds.count == 1 ? bounds[0] : bounds[1]
        let step = bounds.count == 3 ? bounds[2] : 1
        guard step != 0 else { throw failure(.evaluation, "range() cannot have a step of 0") }
        var numbers: [Value] = []
        var next = start
        while step > 0 ? next < stop : next > stop {
            guard numbers.count < 100_000 else { throw failure(.limit, "a range of more than 100000 numbers") }
            numbers.append(.int(next))
            let (sum, overflow) = next.addingReportingOverflow(step)
            if overflow { break }
            next = sum
        }
        return try list(numbers)
    }
}
