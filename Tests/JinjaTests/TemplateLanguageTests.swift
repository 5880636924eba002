import Foundation
import Jinja
import TestSupport
import Testing

@Suite("Template language")
struct TemplateLanguageTests {
    init() { _ = OracleCase.zone }

    @Test("Every small template gives what Jinja 2 gives, and is refused where Jinja 2 refuses")
    func language() throws {
        let cases = try OracleCase.all(in: Data(contentsOf: ExternalData.fixture("template/language.jsonl")))
        #expect(cases.count > 60)
        for sample in cases {
            for isUntrusted in [false, true] {
                let output = try? sample.render(isUntrusted: isUntrusted)
                #expect(output.map { Array($0.text.utf8) } == sample.output.map { Array($0.utf8) }, "\(sample.template)")
            }
        }
    }

    @Test("Lists and dicts can be changed through variables, attributes and items")
    func changes() throws {
        let source = """
            {% set ns = namespace(l=[1], d={'k': [1]}) %}{% for x in [2, 3] %}{% set _ = ns.l.append(x) %}{% endfor %}\
            {% set _ = ns.d.k.append('z') %}{% set l = [3, 1] %}{% set k = l %}{% set _ = l.insert(0, 9) %}\
            {{ ns.l }} {{ ns.d }} {{ l }} {{ k }} {{ l.pop() }} {{ l.pop(0) }} {{ l }} {{ ns.d.pop('k') }} {{ ns.d }}
            """
        let output = try Template(source: source).render([]).text
        #expect(output == "[1, 2, 3] {'k': [1, 'z']} [9, 3, 1] [3, 1] 1 9 [3] [1, 'z'] {}")
    }

    @Test("Errors say what kind they are and where")
    func errors() throws {
        func failure(_ source: String) -> TemplateError? {
            do {
                _ = try Template(source: source).render([])
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
        #expect(object["b2"] == .double(12_345_678_901_234_567_168))
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
