import Foundation
import Jinja
import Testing

/// Renders a case of `Fixtures/template/jinja2-oracle.py`.
struct OracleCase {
    let name: String
    let template: String
    let variables: TemplateObject
    let now: Int
    /// Nil where Jinja 2 refuses.
    let output: String?
    let error: String

    init?(line: some Sequence<UInt8>) throws {
        guard case .object(let fields) = try TemplateValue(json: line), case .string(let name)? = fields["name"],
            case .string(let template)? = fields["template"], case .object(let variables)? = fields["variables"],
            case .int(let now)? = fields["now"]
        else { return nil }
        self.name = name
        self.template = template
        self.variables = variables
        self.now = now
        if case .string(let output)? = fields["output"] { self.output = output } else { output = nil }
        if case .string(let error)? = fields["error"] { self.error = error } else { error = "" }
    }

    static func all(in data: Data) throws -> [OracleCase] {
        try data.split(separator: 0x0A).map { try #require(try OracleCase(line: $0)) }
    }

    func render(limits: TemplateLimits = .init(), isUntrusted: Bool = true) throws(TemplateError) -> RenderedText {
        try render(Template(source: template, limits: limits), isUntrusted: isUntrusted)
    }

    func render(_ template: Template, isUntrusted: Bool = true) throws(TemplateError) -> RenderedText {
        let values = variables.keys.map { Template.Variable($0, variables[$0] ?? .null, isUntrusted: isUntrusted) }
        return try template.render(values, now: now)
    }

    /// Dates in the cases are of this zone.
    static let zone: Void = {
        setenv("TZ", "UTC", 1)
        tzset()
    }()
}

extension OracleCase {
    init(_ other: OracleCase, template: String) {
        name = other.name
        self.template = template
        variables = other.variables
        now = other.now
        output = other.output
        error = other.error
    }
}
