import Foundation
import Jinja
import TestSupport
import Testing

/// A template comes with the model file. Whatever is in it, rendering ends soon, in bounded memory and stack.
@Suite("Hostile templates")
struct TemplateLimitsTests {
    init() { _ = OracleCase.zone }

    private static var small: TemplateLimits {
        var limits = TemplateLimits()
        limits.steps = 200_000
        limits.output = 100_000
        return limits
    }

    private func failure(_ source: String) -> TemplateError? {
        do {
            _ = try Template(source: source, limits: Self.small).render([])
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "Templates that would not end, or would grow without end, run into a limit",
        arguments: [
            "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
            "{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "{% set ns = namespace(s=[1]) %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "{% set ns = namespace(s=[1]) %}{% for a in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}",
            "{% set ns = namespace(s=[1]) %}{% for a in range(99999) %}{% set ns.s = {'a': ns.s} %}{% endfor %}",
            "{% set ns = namespace(s='a') %}{% for a in range(99) %}{% set ns.s = ns.s | replace('a', 'aa') %}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
            "{% macro m() %}{% call m() %}{% endcall %}{% endmacro %}{{ m() }}",
            "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
            "{{ 'x' * 99999999999 }}", "{{ [1] * 99999999999 }}", "{{ 'x'.center(999999999) }}", "{{ 'a' | indent(999999999) }}",
            "{{ '%999999999d' % 1 }}", "{{ '{:999999999}'.format(1) }}", "{{ [1] | tojson(indent=999999999) }}",
            "{{ range(1000000) }}", "{{ range(0, 9223372036854775807, 4611686018427387904) | list * 99999999 }}",
        ])
    func limits(_ source: String) throws {
        #expect(try #require(failure(source), "\(source)").kind == .limit, "\(source)")
    }

    @Test("Arithmetic out of range is an error, not a trap")
    func arithmetic() {
        let sources = [
            "{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}", "{{ 9223372036854775807 * 2 }}", "{{ 10 ** 99 }}",
            "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ 1 / 0 }}", "{{ (-9223372036854775807 - 1) // -1 }}", "{{ 99999999999999999999 }}",
            "{{ -(-9223372036854775807 - 1) }}", "{{ (-9223372036854775807 - 1) | abs }}", "{{ 5 % 0.0 }}",
        ]
        for source in sources { #expect(failure(source) != nil, "\(source)") }
        let harmless = [
            "{{ [1, 2][9223372036854775807] }}", "{{ [1, 2][-9223372036854775807] }}", "{{ 'ab'[::9223372036854775807] }}",
            "{{ 'ab'[9223372036854775807:-9223372036854775807:-9223372036854775807] }}", "{{ 1e308 * 10 | int }}",
            "{{ (1e308 * 10) | int }}", "{{ (1e308 * 10 - 1e308 * 10) | round }}", "{{ '%d' % 1e10 }}", "{{ 1.5 | round(99999999) }}",
            "{{ '%.3f' % 1e300 }}", "{{ 'x'.center(-5) }}", "{{ 'a,b'.split(',', 9223372036854775807) }}", "{{ 2 ** -1 }}",
            "{{ [1].insert(-9223372036854775807, 1) }}", "{{ (-9223372036854775807 - 1) is divisibleby(-1) }}",
        ]
        for source in harmless { #expect(failure(source) == nil, "\(source): \(String(describing: failure(source)))") }
    }

    @Test("Things that refer to themselves do not hang, and are let go")
    func cycles() {
        let sources = [
            "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}{{ ns.me.me == ns }}{{ [ns] }}",
            "{% set ns = namespace(p=none) %}{% for i in range(9000) %}{% set ns.p = namespace(p=ns.p) %}{% endfor %}",
            "{% set ns = namespace(f=none) %}{% macro m() %}{% set ns.f = caller %}{% endmacro %}"
                + "{% for i in range(900) %}{% call m() %}{% endcall %}{% endfor %}",
        ]
        for source in sources { #expect(failure(source) == nil, "\(String(describing: failure(source)))") }
    }

    /// Runs something on a thread with little stack, as some servers' threads have.
    private func withSmallStack(_ body: @escaping @Sendable () -> Void) {
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            body()
            done.signal()
        }
        thread.stackSize = 512 << 10
        thread.start()
        done.wait()
    }

    @Test("The deepest nesting that the limits allow fits into 512 KiB of stack, in every shape")
    func depthFitsTheStack() {
        withSmallStack {
            for depth in [50, 90, 150, 199, 5000] {
                func nested(_ open: String, _ middle: String, _ close: String) -> String {
                    String(repeating: open, count: depth) + middle + String(repeating: close, count: depth)
                }
                let sources = [
                    "{{ " + nested("(", "1", ")") + " }}", "{{ " + nested("[", "1", "]") + " }}",
                    "{{ " + nested("{'a': ", "1", "}") + " | tojson }}", "{{ " + nested("not ", "1", "") + " }}",
                    "{{ " + nested("-", "1", "") + " }}", "{{ " + nested("a[", "1", "]") + " }}",
                    "{{ " + nested("1 if ", "1", " else 2") + " }}", "{{ " + nested("x(", "1", ")") + " }}",
                    "{{ 1" + nested(" + 1", "", "") + " }}", "{{ 1" + nested(" and 1", "", "") + " }}",
                    "{{ 1" + nested(" | string", "", "") + " }}", "{{ 'a'" + nested(".upper()", "", "") + " }}",
                    "{{ x" + nested(" is defined", "", "") + " }}", "{{ 1" + nested(" if 1", "", "") + " }}",
                    "{{ 1 < 2" + nested(" < 3", "", "") + " }}", "{% set " + nested("(", "a, b", ")") + " = 1 %}",
                    nested("{% if 1 %}", "x", "{% endif %}"), nested("{% for a in [1] %}", "x", "{% endfor %}"),
                    nested("{% filter trim %}", "x", "{% endfilter %}"), nested("{% with a=1 %}", "x", "{% endwith %}"),
                    nested("{% set a %}", "x", "{% endset %}"), nested("{% macro m() %}", "x", "{% endmacro %}"),
                    "{% macro m(n) %}{% if n > 0 %}{% for x in [1] %}{{ [m(n - 1)] | map('upper') | list }}{% endfor %}{% endif %}"
                        + "{% endmacro %}{{ m(\(depth)) }}",
                    "{% macro m(n) %}{% if n > 0 %}{% call m(n - 1) %}{% endcall %}{% endif %}{% endmacro %}{{ m(\(depth)) }}",
                ]
                for source in sources {
                    let template = try? Template(source: source)
                    _ = try? template?.render([])
                }
            }
        }
    }

    @Test("Mangled templates end in a text or an error")
    func fuzz() throws {
        var generator = SeededRandom(seed: 11)
        let cases = try OracleCase.all(in: Data(contentsOf: ExternalData.fixture("template/language.jsonl")))
        let pieces = [
            "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "|", "(", ")", "[", "]", "{", "}", "'", "\"", "\\", "for", "in", "if", "endif",
            "endfor", "set", "macro", "endmacro", "loop", "ns", "~", "*", "**", "//", "%", ".", ",", ":", "0", "1e400",
            "9223372036854775807",
            "\u{301}", "é", "\r\n", "\0", "is", "not", "else", "x", "range(", "namespace(", " ", "\n",
        ]
        for round in 0..<6000 {
            let sample = cases[round % cases.count]
            var bytes = Array(sample.template.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0...bytes.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: bytes.insert(contentsOf: pieces.randomElement(using: &generator)!.utf8, at: place)
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 0...5, using: &generator)))
                case 2: if place < bytes.count { bytes[place] = UInt8.random(in: 0...255, using: &generator) }
                case 3:
                    let other = Array(cases.randomElement(using: &generator)!.template.utf8)
                    let cut = Int.random(in: 0...other.count, using: &generator)
                    bytes.insert(contentsOf: other[cut..<min(other.count, cut + 30)], at: place)
                default: bytes.removeSubrange(place...)
                }
            }
            let mangled = OracleCase(sample, template: String(decoding: bytes, as: UTF8.self))
            _ = try? mangled.render(limits: Self.small)
        }
    }
}
