/// An expression of a template.
indirect enum Expression: Sendable {
    case literal(Literal)
    case name(String)
    case list([Expression])
    case tuple([Expression])
    case dictionary([(key: Expression, value: Expression)])
    case attribute(Expression, String)
    case item(Expression, Expression)
    case slice(Expression, start: Expression?, stop: Expression?, step: Expression?)
    case call(Expression, Arguments)
    /// Without an operand where the text of a filter block is meant.
    case filter(Expression?, String, Arguments)
    case test(Expression, String, Arguments)
    case not(Expression)
    case negative(Expression)
    case positive(Expression)
    case binary(BinaryOperator, Expression, Expression)
    case concatenation([Expression])
    case comparison(Expression, [(symbol: ComparisonOperator, operand: Expression)])
    case and(Expression, Expression)
    case or(Expression, Expression)
    case conditional(condition: Expression, then: Expression, otherwise: Expression?)
}

enum Literal: Sendable {
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
}

enum BinaryOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
}

enum ComparisonOperator: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case isIn = "in"
    case isNotIn = "not in"
}

/// What is passed in a call: `f(a, b, key=c, *rest, **named)`.
struct Arguments: Sendable {
    var positional: [Expression] = []
    var named: [(name: String, value: Expression)] = []
    var spread: Expression?
    var spreadNamed: Expression?

    static let none = Arguments()
}

/// A statement of a template, with the line it starts at.
struct Statement: Sendable {
    indirect enum Kind: Sendable {
        case text(String)
        case output(Expression)
        case conditional([(condition: Expression, body: [Statement])], otherwise: [Statement])
        case loop(Loop)
        case assignment(AssignmentTarget, Expression)
        case blockAssignment(AssignmentTarget, filter: Expression?, body: [Statement])
        case macro(MacroDefinition)
        /// A call of a macro that is given a body to call back.
        case callBlock(Expression, body: MacroDefinition)
        case filterBlock(Expression, body: [Statement])
        case with([(target: AssignmentTarget, value: Expression)], body: [Statement])
        /// Statements without a scope of their own.
        case group([Statement])
        /// An expression whose value is dropped.
        case evaluation(Expression)
        case breakLoop
        case continueLoop
    }

    let kind: Kind
    let line: Int
}

indirect enum AssignmentTarget: Sendable {
    case name(String)
    /// `namespace.attribute`.
    case attribute(String, String)
    case tuple([AssignmentTarget])
}

struct Loop: Sendable {
    let target: AssignmentTarget
    let sequence: Expression
    let filter: Expression?
    let isRecursive: Bool
    let body: [Statement]
    let otherwise: [Statement]
}

/// A macro. A class, so that a value that refers to one is small.
final class MacroDefinition: Sendable {
    let name: String
    let parameters: [(name: String, initial: Expression?)]
    let body: [Statement]
    /// Whether the body uses `varargs` or `kwargs`, and so takes more arguments than it names.
    let takesMorePositional: Bool
    let takesMoreNamed: Bool
    let line: Int

    init(
        name: String, parameters: [(name: String, initial: Expression?)], body: [Statement], takesMorePositional: Bool,
        takesMoreNamed: Bool, line: Int
    ) {
        self.name = name
        self.parameters = parameters
        self.body = body
        self.takesMorePositional = takesMorePositional
        self.takesMoreNamed = takesMoreNamed
        self.line = line
    }
}
