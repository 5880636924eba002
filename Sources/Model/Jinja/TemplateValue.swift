internal import OrderedCollections

/// A value given to a template: JSON's values, with the order of an object's keys kept.
public enum TemplateValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case array([TemplateValue])
    case object(TemplateObject)
}

/// An object whose keys keep their order.
public struct TemplateObject: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    var members = OrderedDictionary<ExactText, TemplateValue>()
    private var trusted: Set<ExactText> = []

    public init() {}

    /// Says that a member is no word of a stranger's, whoever gave the object.
    package mutating func trust(_ key: String) { trusted.insert(ExactText(key)) }

    func isTrusted(_ key: ExactText) -> Bool { trusted.contains(key) }

    public static func == (left: TemplateObject, right: TemplateObject) -> Bool { left.members == right.members }

    /// Of equal keys the last counts.
    public init(dictionaryLiteral elements: (String, TemplateValue)...) {
        for (key, value) in elements { self[key] = value }
    }

    public var count: Int { members.count }
    public var keys: [String] { members.keys.map(\.text) }

    /// Setting a key that exists keeps its place; setting nil removes it.
    public subscript(key: String) -> TemplateValue? {
        get { members[ExactText(key)] }
        set { members[ExactText(key)] = newValue }
    }
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(arrayLiteral elements: TemplateValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, TemplateValue)...) {
        var object = TemplateObject()
        for (key, value) in elements { object[key] = value }
        self = .object(object)
    }
    public init(nilLiteral: ()) { self = .null }
}
