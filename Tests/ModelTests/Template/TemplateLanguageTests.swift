import Foundation
import Model
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

    func render(limits: TemplateLimits = .init()) throws(TemplateError) -> String {
        let template = try ChatTemplate(source: template, limits: limits)
        return try render(template)
    }

    func render(_ template: ChatTemplate) throws(TemplateError) -> String {
        var extra: [String: TemplateValue] = [:]
        for name in variables.keys { extra[name] = variables[name] }
        return try template.render(messages: [], addGenerationPrompt: false, extra: extra, now: now)
    }

    /// Dates in the cases are of this zone.
    static let zone: Void = {
        setenv("TZ", "UTC", 1)
        tzset()
    }()
}

@Suite("Template language")
struct TemplateLanguageTests {
    init() { _ = OracleCase.zone }

    @Test("Every small template gives what Jinja 2 gives, and is refused where Jinja 2 refuses")
    func language() throws {
        let cases = try OracleCase.all(in: Data(contentsOf: ExternalData.fixture("template/language.jsonl")))
        #expect(cases.count > 60)
        for sample in cases {
            let output = try? sample.render()
            #expect(output.map { Array($0.utf8) } == sample.output.map { Array($0.utf8) }, "\(sample.template)")
        }
    }

    @Test("Lists and dicts can be changed through variables, attributes and items")
    func changes() throws {
        let source = """
            {% set ns = namespace(l=[1], d={'k': [1]}) %}{% for x in [2, 3] %}{% set _ = ns.l.append(x) %}{% endfor %}\
            {% set _ = ns.d.k.append('z') %}{% set l = [3, 1] %}{% set k = l %}{% set _ = l.insert(0, 9) %}\
            {{ ns.l }} {{ ns.d }} {{ l }} {{ k }} {{ l.pop() }} {{ l.pop(0) }} {{ l }} {{ ns.d.pop('k') }} {{ ns.d }}
            """
        let output = try ChatTemplate(source: source).render(messages: [], addGenerationPrompt: false)
        #expect(output == "[1, 2, 3] {'k': [1, 'z']} [9, 3, 1] [3, 1] 1 9 [3] [1, 'z'] {}")
    }

    @Test("Errors say what kind they are and where")
    func errors() throws {
        func failure(_ source: String) -> TemplateError? {
            do {
                _ = try ChatTemplate(source: source).render(messages: [], addGenerationPrompt: false)
                return nil
            } catch {
                return error
            }
        }
        #expect(failure("a\n{% if x %}")?.kind == .syntax)
        #expect(failure("a\n\n{{ x.y }}")?.kind == .undefined)
        #expect(failure("a\n\n{{ x.y }}")?.line == 3)
        #expect(failure("{{ 1 + 'a' }}")?.kind == .evaluation)
        #expect(failure("{% include 'x' %}")?.kind == .unsupported)
        #expect(failure("{{ 1 | nothing }}")?.kind == .unsupported)
        #expect(failure("\n{{ raise_exception('No such role') }}") == TemplateError(.raised, "No such role", line: 2))
    }
}

@Suite("JSON for templates")
struct TemplateJSONTests {
    @Test("Values keep the order of their keys and their exact texts")
    func reads() throws {
        let text = #" {"b": [1, -2.5, 1e3, true, null], "a": {"\u00e9\ud83d\ude00\n": ""}, "b2": 12345678901234567168} "#
        let value = try TemplateValue(json: text.utf8)
        guard case .object(let object) = value else { return #expect(Bool(false)) }
        #expect(object.keys == ["b", "a", "b2"])
        #expect(object["b"] == [1, -2.5, 1000.0, true, nil])
        #expect(object["a"] == ["é😀\n": ""])
        #expect(object["b2"] == .double(12345678901234567168))
    }

    @Test("What is not JSON is refused, whatever it is")
    func refuses() {
        let broken = [
            "", "{", "[1,]", "{\"a\" 1}", "01", "-", "1.", "1e", "tru", "\"\\x\"", "\"a", "[1] 2", "\"\u{1}\"", "{1: 2}", "nul", "\"\\u12",
            String(repeating: "[", count: 100_000),
        ]
        for text in broken { #expect(throws: TemplateValue.JSONError.self, "\(text.prefix(20))") { try TemplateValue(json: text.utf8) } }
    }
}
