internal import OrderedCollections

/// Runs a parsed template once. Everything it does is counted: steps, bytes of output, depth.
///
/// What a template can compute is limited to values; there is no way from it to files, the network or this program.
final class Interpreter {
    let limits: TemplateLimits
    /// Seconds since 1970, for `strftime_now`.
    let now: Int
    /// The line of the statement being run, for messages.
    var line = 1
    /// The text written so far by the template, macro or block being run.
    private(set) var output = MarkedTextBuilder()
    private var steps = 0
    private var depth = 0
    /// What could form cycles, to be emptied at the end.
    private var namespaces: [Namespace] = []
    private var keptScopes: [Scope] = []

    init(limits: TemplateLimits, now: Int) {
        self.limits = limits
        self.now = now
    }

    static func render(
        _ statements: [Statement], variables: [Template.Variable], limits: TemplateLimits, now: Int
    ) throws(TemplateError) -> MarkedText {
        let interpreter = Interpreter(limits: limits, now: now)
        defer { interpreter.releaseCycles() }
        let scope = Scope(parent: nil)
        for function in Function.allCases { scope.variables[function.rawValue] = .function(function) }
        for variable in variables {
            guard TemplateValue.isShallow(variable.value, limits.depth) else {
                throw interpreter.failure(.limit, "'\(variable.name)' is nested too deep")
            }
            scope.variables[variable.name] = Value(variable.value, isUntrusted: variable.isUntrusted)
        }
        _ = try interpreter.run(statements, in: scope)
        return interpreter.output.text
    }

    private func releaseCycles() {
        for scope in keptScopes {
            scope.variables.removeAll()
            scope.parent = nil
        }
        for namespace in namespaces { namespace.attributes = OrderedDictionary() }
    }

    /// Keeps a scope until the end, because a macro that it may hold refers to it.
    func keep(_ scope: Scope) { keptScopes.append(scope) }

    func makeNamespace() -> Namespace {
        let namespace = Namespace()
        namespaces.append(namespace)
        return namespace
    }

    // MARK: Limits

    func failure(_ kind: TemplateError.Kind, _ message: String) -> TemplateError {
        TemplateError(kind, message, line: line)
    }

    /// Counts work.
    func charge(_ amount: Int) throws(TemplateError) {
        steps += amount
        if steps > limits.steps { throw failure(.limit, "the template takes too many steps") }
    }

    /// Counts work on text, and refuses texts that are too long to be made.
    func charge(bytes: Int) throws(TemplateError) {
        if bytes > limits.output { throw failure(.limit, "a text of \(bytes) bytes is too long") }
        try charge(1 + bytes / 8)
    }

    /// Counts work on a text just made, its marks included.
    func charge(making text: MarkedText) throws(TemplateError) {
        try charge(bytes: text.utf8.count)
        try charge(text.markCount)
    }

    /// Counts work on elements, and refuses lists that are too long to be made.
    func charge(elements: Int) throws(TemplateError) {
        if elements > limits.steps / 16 { throw failure(.limit, "a list of \(elements) elements is too long") }
        try charge(1 + elements)
    }

    /// A list, refused if it nests too deep.
    func list(_ elements: [Value]) throws(TemplateError) -> Value {
        try charge(elements: elements.count)
        return try checked(.list(elements))
    }

    func dictionary(_ map: OrderedDictionary<DictionaryKey, Value>) throws(TemplateError) -> Value {
        try charge(elements: map.count)
        return try checked(.dictionary(DictionaryValue(map)))
    }

    func checked(_ value: Value) throws(TemplateError) -> Value {
        if value.depth > limits.depth { throw failure(.limit, "values nested too deep") }
        return value
    }

    func descend() throws(TemplateError) {
        depth += 1
        if depth > limits.depth { throw failure(.limit, "nested too deep") }
        try charge(1)
    }

    func ascend() { depth -= 1 }

    // MARK: Output

    func emit(_ text: MarkedText) throws(TemplateError) {
        if output.count + text.utf8.count > limits.output { throw failure(.limit, "the output is too long") }
        try charge(1 + text.utf8.count / 8 + text.markCount)
        output.append(text)
    }

    /// Runs something with its output going into a text of its own.
    func capture(_ body: () throws(TemplateError) -> Void) throws(TemplateError) -> MarkedText {
        let outer = output
        output = MarkedTextBuilder()
        defer { output = outer }
        try body()
        return output.text
    }

    func capture(_ statements: [Statement], in scope: Scope) throws(TemplateError) -> MarkedText {
        try capture { () throws(TemplateError) in _ = try run(statements, in: scope) }
    }

    /// The value as printed.
    func text(_ value: Value) throws(TemplateError) -> MarkedText {
        if let text = value.text { return text }
        var text = MarkedTextBuilder()
        guard value.write(to: &text, limit: limits.output) else { throw failure(.limit, "a text is too long") }
        try charge(making: text.text)
        return text.text
    }

    /// The value as Python source would have it.
    func representation(_ value: Value) throws(TemplateError) -> MarkedText {
        var text = MarkedTextBuilder()
        guard value.writeRepresentation(to: &text, limit: limits.output) else { throw failure(.limit, "a text is too long") }
        return text.text
    }

    /// The elements that a loop or a filter goes through.
    func elements(of value: Value) throws(TemplateError) -> [Value] {
        switch value {
        case .undefined: return []
        case .list(let list), .tuple(let list): return list.elements
        case .dictionary(let dictionary):
            try charge(elements: dictionary.map.count)
            return dictionary.map.keys.map(\.value)
        case .string(let text), .markup(let text):
            try charge(elements: text.utf8.count)
            return text.scalars.map { .string(MarkedText($0)) }
        default: throw failure(.evaluation, "a \(value.typeName) cannot be iterated over")
        }
    }
}

extension TemplateValue {
    /// Whether no more than so many levels are nested. Stops there, so it takes any value.
    static func isShallow(_ value: TemplateValue, _ levels: Int) -> Bool {
        switch value {
        case .array(let elements): levels > 0 && elements.allSatisfy { isShallow($0, levels - 1) }
        case .object(let object): levels > 0 && object.members.values.allSatisfy { isShallow($0, levels - 1) }
        default: true
        }
    }
}
