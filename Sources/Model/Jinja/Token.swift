/// A piece of a template as the parser sees it.
struct Token: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        /// Text to be copied.
        case data(String)
        /// `{%`, `%}`, `{{`, `}}`; what they strip is already done.
        case blockBegin, blockEnd, variableBegin, variableEnd
        case name(String)
        case string(String)
        case integer(Int)
        case float(Double)
        /// Any of the operators and brackets.
        case symbol(String)
        case end
    }

    var kind: Kind
    /// Counted from 1.
    var line: Int

    var text: String {
        switch kind {
        case .data: "text"
        case .blockBegin: "'{%'"
        case .blockEnd: "'%}'"
        case .variableBegin: "'{{'"
        case .variableEnd: "'}}'"
        case .name(let name): "'\(name)'"
        case .string(let text): "\"\(text.prefix(40))\""
        case .integer(let number): "\(number)"
        case .float(let number): "\(number)"
        case .symbol(let symbol): "'\(symbol)'"
        case .end: "the end"
        }
    }
}
