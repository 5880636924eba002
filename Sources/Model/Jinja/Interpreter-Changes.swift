internal import OrderedCollections

// Methods that change their receiver. Values are not shared here, so the changed value is stored back into the
// variable, attribute or item that the method was called on. (`a.b.append(x)` changes what `a.b` is.)

extension Interpreter {
    static let changingMethods: Set<String> = [
        "append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear", "update", "setdefault",
    ]

    /// The changed receiver and what the call returns.
    func change(_ receiver: Value, _ name: String, _ arguments: CallArguments) throws(TemplateError) -> (Value, Value) {
        switch receiver {
        case .list(let list): return try change(list, name, arguments)
        case .dictionary(let dictionary): return try change(dictionary, name, arguments)
        default: throw failure(.evaluation, "a \(receiver.typeName) cannot be changed")
        }
    }

    private func change(_ list: ListValue, _ name: String, _ arguments: CallArguments) throws(TemplateError) -> (Value, Value) {
        var elements = list.elements
        var result = Value.none
        switch (name, arguments.positional.first) {
        case ("append", let value?): elements.append(value)
        case ("extend", let value?): elements += try self.elements(of: value)
        case ("insert", let index?):
            guard let index = index.integer, let value = arguments.value(1, "object") else { throw unfit(name) }
            let count = elements.count
            elements.insert(value, at: min(max(index < 0 ? max(index, -count) + count : index, 0), count))
        case ("pop", let index):
            guard let index = (index ?? .int(-1)).integer else { throw unfit(name) }
            let count = elements.count
            let position = index < 0 && index >= -count ? index + count : index
            guard elements.indices.contains(position) else { throw failure(.evaluation, "pop from a place that is not in the list") }
            result = elements.remove(at: position)
        case ("remove", let value?):
            for (position, element) in elements.enumerated() where try equal(element, value) {
                elements.remove(at: position)
                return (try self.list(elements), .none)
            }
            throw failure(.evaluation, "the element to remove is not in the list")
        case ("reverse", _): elements.reverse()
        case ("sort", _): elements = try sorted(elements, reversed: arguments.value(1, "reverse")?.isTrue ?? false)
        case ("clear", _): elements.removeAll()
        default: throw unfit(name)
        }
        return (try self.list(elements), result)
    }

    private func change(
        _ dictionary: DictionaryValue, _ name: String, _ arguments: CallArguments
    ) throws(TemplateError) -> (Value, Value) {
        var map = dictionary.map
        var result = Value.none
        switch (name, arguments.positional.first) {
        case ("update", let other):
            if let other {
                guard case .dictionary(let other) = other else { throw unfit(name) }
                for (key, value) in zip(other.map.keys, other.map.values) { map[key] = value }
            }
            for (key, value) in arguments.named { map[.text(key)] = value }
        case ("pop", let key?):
            guard let key = DictionaryKey(key) else { throw unfit(name) }
            if let found = map.removeValue(forKey: key) {
                result = found
            } else if let otherwise = arguments.value(1, "default") {
                result = otherwise
            } else {
                throw failure(.evaluation, "the key to pop is not in the dict")
            }
        case ("setdefault", let key?):
            guard let key = DictionaryKey(key) else { throw unfit(name) }
            result = map[key] ?? arguments.value(1, "default") ?? .none
            map[key] = result
        case ("clear", _): map = OrderedDictionary()
        default: throw unfit(name)
        }
        return (try self.dictionary(map), result)
    }

    private func unfit(_ name: String) -> TemplateError { failure(.evaluation, "'\(name)' does not take these arguments") }

    /// Puts a value where an expression reads one: a variable, an attribute of a namespace, an item. A value that comes
    /// from elsewhere (a call's result) has no place to be put, and the change is lost with it, as it should be.
    func store(_ value: Value, into place: Expression, _ scope: Scope) throws(TemplateError) {
        try descend()
        defer { ascend() }
        switch place {
        case .name(let name): scope.holder(of: name)?.variables[name] = value
        case .attribute(let object, let name): try store(value, at: .string(MarkedText(name)), in: object, scope)
        case .item(let object, let key): try store(value, at: try evaluate(key, scope), in: object, scope)
        default: break
        }
    }

    private func store(_ value: Value, at key: Value, in object: Expression, _ scope: Scope) throws(TemplateError) {
        switch try evaluate(object, scope) {
        case .namespace(let namespace):
            if let name = key.text { namespace.attributes[ExactText(name.string)] = value }
        case .dictionary(let dictionary):
            guard let key = DictionaryKey(key) else { return }
            var map = dictionary.map
            map[key] = value
            try store(try self.dictionary(map), into: object, scope)
        case .list(let list):
            guard let index = key.integer else { return }
            var elements = list.elements
            let position = index < 0 ? index + elements.count : index
            guard elements.indices.contains(position) else { return }
            elements[position] = value
            try store(try self.list(elements), into: object, scope)
        default: break
        }
    }
}
