internal import OrderedCollections

/// A value while a template runs. Lists and dictionaries are values here: a change is written back to the variable it
/// was made through, so there are no cycles, and how deep values nest is known.
enum Value {
    /// A name, attribute or item that is not there, and what it was called.
    case undefined(String)
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(MarkedText)
    /// Text marked as safe for HTML: adding other text to it escapes that text. (Nothing else is ever escaped.)
    case markup(MarkedText)
    case list(ListValue)
    case tuple(ListValue)
    case dictionary(DictionaryValue)
    case namespace(Namespace)
    case macro(MacroValue)
    case function(Function)
    case method(BoundMethod)
    case loop(LoopState)

    /// A list of these elements.
    static func list(_ elements: [Value]) -> Value { .list(ListValue(elements)) }

    /// A tuple of these elements.
    static func tuple(_ elements: [Value]) -> Value { .tuple(ListValue(elements)) }

    /// How deep values nest in this one; 0 for what holds no others.
    var depth: Int {
        switch self {
        case .list(let list), .tuple(let list): list.depth
        case .dictionary(let dictionary): dictionary.depth
        case .method(let method): method.receiver.depth + 1
        default: 0
        }
    }

    /// The text of a string, whether marked as safe or not.
    var text: MarkedText? {
        switch self {
        case .string(let text), .markup(let text): text
        default: nil
        }
    }

    /// The number that an integer or a truth value is.
    var integer: Int? {
        switch self {
        case .int(let number): number
        case .bool(let truth): truth ? 1 : 0
        default: nil
        }
    }

    /// The number that any number or truth value is.
    var number: Double? {
        if case .double(let number) = self { return number }
        return integer.map(Double.init)
    }

    var isUndefined: Bool {
        if case .undefined = self { return true }
        return false
    }

    var isNone: Bool {
        if case .none = self { return true }
        return false
    }

    /// What `if` makes of it.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let truth): truth
        case .int(let number): number != 0
        case .double(let number): number != 0
        case .string(let text), .markup(let text): !text.isEmpty
        case .list(let list), .tuple(let list): !list.elements.isEmpty
        case .dictionary(let dictionary): !dictionary.map.isEmpty
        case .namespace, .macro, .function, .method, .loop: true
        }
    }

    /// What a message calls a value of this type.
    var typeName: String {
        switch self {
        case .undefined: "undefined"
        case .none: "none"
        case .bool: "bool"
        case .int: "int"
        case .double: "float"
        case .string, .markup: "string"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .namespace: "namespace"
        case .macro: "macro"
        case .function, .method: "function"
        case .loop: "loop"
        }
    }

    init(_ literal: Literal) {
        self =
            switch literal {
            case .none: .none
            case .bool(let truth): .bool(truth)
            case .int(let number): .int(number)
            case .double(let number): .double(number)
            case .string(let text): .string(MarkedText(text))
            }
    }

    /// A value from outside. Its depth is what it is; the interpreter checks it against its limit. Its strings, keys
    /// included, are trusted or not; numbers always are, since what they are written with spells nothing.
    init(_ value: TemplateValue, isUntrusted: Bool) {
        switch value {
        case .null: self = .none
        case .bool(let truth): self = .bool(truth)
        case .int(let number): self = .int(number)
        case .double(let number): self = .double(number)
        case .string(let text): self = .string(MarkedText(text, isUntrusted: isUntrusted))
        case .array(let elements): self = .list(elements.map { Value($0, isUntrusted: isUntrusted) })
        case .object(let object):
            var map = OrderedDictionary<DictionaryKey, Value>()
            for (key, member) in zip(object.members.keys, object.members.values) {
                map[.text(MarkedText(key.text, isUntrusted: isUntrusted))] = Value(
                    member, isUntrusted: isUntrusted && !object.isTrusted(key))
            }
            self = .dictionary(DictionaryValue(map))
        }
    }
}

/// The elements of a list or tuple.
struct ListValue {
    let elements: [Value]
    let depth: Int

    init(_ elements: [Value]) {
        self.elements = elements
        var deepest = 0
        for element in elements { deepest = max(deepest, element.depth) }
        depth = deepest + 1
    }
}

/// What can be a key. Numbers and texts that look alike are different keys.
enum DictionaryKey: Hashable {
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case text(MarkedText)

    var value: Value {
        switch self {
        case .none: .none
        case .bool(let truth): .bool(truth)
        case .int(let number): .int(number)
        case .double(let number): .double(number)
        case .text(let text): .string(text)
        }
    }

    /// Nil for values that cannot be keys.
    init?(_ value: Value) {
        switch value {
        case .none: self = .none
        case .bool(let truth): self = .bool(truth)
        case .int(let number): self = .int(number)
        case .double(let number): self = .double(number)
        case .string(let text), .markup(let text): self = .text(text)
        default: return nil
        }
    }
}

struct DictionaryValue {
    let map: OrderedDictionary<DictionaryKey, Value>
    let depth: Int

    init(_ map: OrderedDictionary<DictionaryKey, Value>) {
        self.map = map
        var deepest = 0
        for value in map.values { deepest = max(deepest, value.depth) }
        depth = deepest + 1
    }

    subscript(_ key: String) -> Value? { map[.text(MarkedText(key))] }

    /// Its pairs, as `items()` gives them.
    var items: [Value] { zip(map.keys, map.values).map { .tuple([$0.value, $1]) } }
}

/// What `namespace(…)` makes: attributes that can be set from inner scopes. The interpreter keeps every one alive
/// until it ends, and empties them then; so chains and cycles of them cost no stack and do not leak.
final class Namespace {
    var attributes = OrderedDictionary<ExactText, Value>()
}

/// A macro with the scope it was defined in.
final class MacroValue {
    let definition: MacroDefinition
    let scope: Scope

    init(_ definition: MacroDefinition, scope: Scope) {
        self.definition = definition
        self.scope = scope
    }
}

/// A method taken off a value but not yet called.
final class BoundMethod {
    let receiver: Value
    let name: String

    init(_ receiver: Value, _ name: String) {
        self.receiver = receiver
        self.name = name
    }
}

/// The `loop` variable.
final class LoopState {
    let elements: [Value]
    /// For `loop(…)` in recursive loops.
    let definition: Loop
    let scope: Scope
    let level: Int
    var index = 0
    /// What `loop.changed` saw last.
    var lastSeen: [Value]?

    init(_ elements: [Value], definition: Loop, scope: Scope, level: Int) {
        self.elements = elements
        self.definition = definition
        self.scope = scope
        self.level = level
    }
}

/// Variables of a block, within those around it.
final class Scope {
    var variables: [String: Value] = [:]
    var parent: Scope?

    init(parent: Scope?) { self.parent = parent }

    func find(_ name: String) -> Value? {
        var scope: Scope? = self
        while let here = scope {
            if let value = here.variables[name] { return value }
            scope = here.parent
        }
        return nil
    }

    /// The scope that holds a name.
    func holder(of name: String) -> Scope? {
        var scope: Scope? = self
        while let here = scope {
            if here.variables[name] != nil { return here }
            scope = here.parent
        }
        return nil
    }
}

/// Functions that are always there.
enum Function: String, CaseIterable {
    case range
    case dict
    case namespace
    case raiseException = "raise_exception"
    case currentTime = "strftime_now"
}
