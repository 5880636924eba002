import Jinja
import TestSupport
import Testing

/// What came from outside stays marked, whatever a template does with it; and marks change nothing else.
@Suite("Provenance")
struct ProvenanceTests {
    /// Given as untrusted.
    private static let variables: [(String, TemplateValue)] = [
        ("u", "aB c"), ("v", "x"), ("q", "\"\n"), ("lines", "k\r\nl\nm"), ("json", "[\"z\"]"), ("html", "<b>"), ("d", ["k": "x"]), ("n", 5),
    ]

    private func render(_ source: String, isUntrusted: Bool = true) throws(TemplateError) -> RenderedText {
        let given = Self.variables.map { Template.Variable($0.0, $0.1, isUntrusted: isUntrusted) }
        return try Template(source: source).render(given + [.init("t", "T", isUntrusted: false)], now: 0)
    }

    /// With brackets around what is marked.
    private func bracketed(_ rendered: RenderedText) -> String {
        var bytes: [UInt8] = []
        for (index, byte) in rendered.text.utf8.enumerated() {
            if rendered.untrusted.contains(where: { $0.lowerBound == index }) { bytes += "⟦".utf8 }
            bytes.append(byte)
            if rendered.untrusted.contains(where: { $0.upperBound == index + 1 }) { bytes += "⟧".utf8 }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(
        "Every operation on strings keeps what is marked apart from what is not",
        arguments: [
            ("{{ u }}", "⟦aB c⟧"), ("{{ '[' ~ u ~ t ~ ']' }}", "[⟦aB c⟧T]"), ("{{ '[' + u + ']' }}", "[⟦aB c⟧]"),
            ("<{{ u }}{{ v }}>", "<⟦aB cx⟧>"), ("{{ '' ~ u[0:0] }}.", "."), ("{{ n }}{{ '%d' % n }}", "55"), ("{{ '%c' % 60 }}", "⟦<⟧"),
            // Parts.
            ("{{ u[1:3] }}", "⟦B ⟧"), ("{{ ('<' ~ u ~ '>')[::-1] }}", ">⟦c Ba⟧<"), ("{{ ('<' ~ u)[0] ~ ('<' ~ u)[-1] }}", "<⟦c⟧"),
            ("{{ ('<' ~ u) | reverse }}", "⟦c Ba⟧<"), ("{{ ('<' ~ u) | list | join(',') }}", "<,⟦a⟧,⟦B⟧,⟦ ⟧,⟦c⟧"),
            ("{% for ch in '<' ~ v %}{{ ch }},{% endfor %}", "<,⟦x⟧,"), ("{{ ('<' ~ v) | first }}{{ ('<' ~ v) | last }}", "<⟦x⟧"),
            ("{{ (' ' ~ u ~ ' ').strip() ~ '.' }}", "⟦aB c⟧."), ("{{ ('-' ~ u ~ '-.') | trim('-') }}", "⟦aB c⟧-."),
            ("{{ ('.' ~ v).lstrip('.') ~ (v ~ '.').rstrip('.') }}", "⟦xx⟧"),
            ("{{ ('.' ~ u).removeprefix('.a') ~ (u ~ '.').removesuffix('c.') }}", "⟦B caB ⟧"),
            ("{{ ('123456 ' ~ u) | truncate(9, true, '!', 0) }}", "123456 ⟦a⟧!"),
            ("{{ (u ~ ' 12') | truncate(6, false, '!', 0) }}", "⟦aB c⟧!"),
            // Splitting and joining.
            ("{{ (u ~ '-' ~ u).split('-') | join('+') }}", "⟦aB c⟧+⟦aB c⟧"), ("{{ ('- ' ~ u).split() }}", "['-', '⟦aB⟧', '⟦c⟧']"),
            ("{{ ('- ' ~ u).split(none, 1) }}", "['-', '⟦aB c⟧']"), ("{{ ('- ' ~ u).rsplit(none, 1) }}", "['- ⟦aB⟧', '⟦c⟧']"),
            ("{{ (u ~ '.' ~ v).rsplit('.', 1)[1] }}", "⟦x⟧"), ("{{ ('k\n' ~ lines).splitlines() }}", "['k', '⟦k⟧', '⟦l⟧', '⟦m⟧']"),
            ("{{ u.partition(' ') }}", "('⟦aB⟧', '⟦ ⟧', '⟦c⟧')"), ("{{ u.rpartition(' ') | join('/') }}", "⟦aB⟧/⟦ ⟧/⟦c⟧"),
            ("{{ v.partition('/') }}", "('⟦x⟧', '', '')"), ("{{ '-'.join([u, 't', v]) }}", "⟦aB c⟧-t-⟦x⟧"),
            ("{{ ['a', 'b'] | join(v) }}", "a⟦x⟧b"), ("{{ [{'k': v}, {'k': 'w'}] | join('.', attribute='k') }}", "⟦x⟧.w"),
            // Replacing.
            ("{{ u.replace('B', '<s>') }}", "⟦a⟧<s>⟦ c⟧"), ("{{ '<s>'.replace('s', u) }}", "<⟦aB c⟧>"),
            ("{{ 'ab' | replace('', v) }}", "⟦x⟧a⟦x⟧b⟦x⟧"), ("{{ ('aa' ~ v) | replace('a', 'b', 1) }}", "ba⟦x⟧"),
            // Case.
            ("{{ ('q' ~ u).upper() }}", "Q⟦AB C⟧"), ("{{ ('Q' ~ u) | lower }}", "q⟦ab c⟧"), ("{{ ('q' ~ u).swapcase() }}", "Q⟦Ab C⟧"),
            ("{{ ('q' ~ u) | capitalize }}", "Q⟦ab c⟧"), ("{{ ('q' ~ u).title() }}", "Q⟦ab C⟧"), ("{{ (u ~ ' q') | title }}", "⟦Ab C⟧ Q"),
            ("{{ u | capitalize ~ u.casefold() }}", "⟦Ab cab c⟧"),
            // Filling.
            ("{{ 'z'.ljust(3, v) ~ v.rjust(2) ~ v.center(3) ~ v.zfill(2) }}", "z⟦xx⟧ ⟦x⟧ ⟦x⟧ 0⟦x⟧"), ("{{ v | center(3) }}.", " ⟦x⟧ ."),
            ("{{ u * 2 }}", "⟦aB caB c⟧"), ("{{ 2 * ('<' ~ v) }}", "<⟦x⟧<⟦x⟧"), ("{{ ('<' ~ v) | indent(2, true) }}", "  <⟦x⟧"),
            ("{{ 'a\nb' | indent(v) }}", "a\n⟦x⟧b"),
            // Formatting.
            ("{{ '(%s) %d' % (u, 5) }}", "(⟦aB c⟧) 5"), ("{{ '%(k)5s!' % {'k': v} }}", "    ⟦x⟧!"), ("{{ '%.2s%%' % u }}", "⟦aB⟧%"),
            ("{{ '%r' % v }}", "'⟦x⟧'"), ("{{ '<%s>' | format(v) }}", "<⟦x⟧>"), ("{{ (v ~ '%s') % t }}", "⟦x⟧T"),
            ("{{ '{}|{:>6}|{:.2}|{!r}|{k}'.format(u, u, u, u, k=v) }}", "⟦aB c⟧|  ⟦aB c⟧|⟦aB⟧|'⟦aB c⟧'|⟦x⟧"),
            ("{{ ('{:' ~ v ~ '<3}').format('a') }}", "a⟦xx⟧"), ("{{ (v ~ '{{').format() }}", "⟦x⟧{"), ("{{ strftime_now(v) }}", "⟦x⟧"),
            // Values as text.
            ("{{ {u: v} }}", "{'⟦aB c⟧': '⟦x⟧'}"), ("{{ [u, 1] | tojson }}", "[\"⟦aB c⟧\", 1]"), ("{{ d | tojson }}", "{\"⟦k⟧\": \"⟦x⟧\"}"),
            ("{{ ('a' ~ q) | tojson }}", "\"a⟦\\\"\\n⟧\""), ("{{ [v] | tojson(indent=2) }}", "[\n  \"⟦x⟧\"\n]"),
            ("{{ [q] }}", "['⟦\"\\n⟧']"),
            ("{{ [v] | pprint }}{{ u | string }}", "['⟦x⟧']⟦aB c⟧"), ("{{ json | from_json | first }}", "⟦z⟧"),
            ("{{ ('[\"' ~ v ~ '\", \"w\"]') | from_json | join('.') }}", "⟦x⟧.⟦w⟧"), ("{{ '[\"w\"]' | from_json | first }}", "w"),
            ("{{ html | e }}{{ ('<' ~ v) | escape }}", "⟦&lt;b&gt;⟧&lt;⟦x⟧"), ("{{ ('<' | safe) + html }}", "<⟦&lt;b&gt;⟧"),
            ("{{ ('<i>' ~ v ~ '</i>') | striptags }}", "⟦x⟧"), ("{{ ('é' ~ u) | urlencode }}", "%C3%A9⟦aB%20c⟧"),
            // Ways through the language.
            ("{% set x %}<{{ u }}>{% endset %}{{ x }}", "<⟦aB c⟧>"),
            ("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(u) ~ m(t) }}", "<⟦aB c⟧><T>"),
            ("{% macro m() %}{{ kwargs }}{{ varargs }}{% endmacro %}{{ m(v, **d) }}", "{'⟦k⟧': '⟦x⟧'}('⟦x⟧',)"),
            ("{% macro m() %}<{{ caller(v) }}>{% endmacro %}{% call(a) m() %}{{ a }}-{% endcall %}", "<⟦x⟧->"),
            ("{% filter upper %}q{{ v }}{% endfilter %}", "Q⟦X⟧"),
            ("{{ dict(**d) }}{{ dict(d, z='w') }}", "{'⟦k⟧': '⟦x⟧'}{'⟦k⟧': '⟦x⟧', 'z': 'w'}"),
            ("{% set ns = namespace(s='<') %}{% for i in [1, 2] %}{% set ns.s = ns.s ~ v %}{% endfor %}{{ ns.s }}", "<⟦xx⟧"),
            ("{{ nothing | default(u) }}{{ t | default(u) }}", "⟦aB c⟧T"), ("{{ [v, 'a'] | sort | join }}", "a⟦x⟧"),
            ("{{ ['b', v] | map('upper') | join('/') }}", "B/⟦X⟧"), ("{{ [d] | map(attribute='k') | join }}", "⟦x⟧"),
            ("{{ d | items | first | first }}{{ d | dictsort }}{{ d.keys() }}", "⟦k⟧[('⟦k⟧', '⟦x⟧')]['⟦k⟧']"),
            ("{% for k, w in d.items() %}{{ k }}={{ w }}{% endfor %}", "⟦k⟧=⟦x⟧"), ("{{ ['a', v] | max }}{{ ['a', v] | min }}", "⟦x⟧a"),
            ("{{ [v, 'x', t] | unique | join }}", "⟦x⟧T"), ("{{ {'x': '<s>'}[v] }}", "<s>"), ("{{ ['a', 'b'] | sum(start=v) }}", "⟦x⟧ab"),
        ] as [(String, String)])
    func operations(_ source: String, _ expected: String) throws {
        #expect(bracketed(try render(source)) == expected, "\(source)")
    }

    @Test(
        "Comparing, hashing, testing and choosing see texts, not marks",
        arguments: [
            "v == 'x'", "'x' in v", "v in ['x']", "v in {'x': 1}", "{v: 1, 'x': 2} | length == 1", "[v, 'x'] | unique | list | length == 1",
            "v is eq('x')", "v is sameas('x')", "v is string", "v[0:0] == ''", "not v[0:0]", "v < 'y'", "{'x': 1}[v] == 1",
            "d == {'k': 'x'}",
            "[v] == ['x']", "u.startswith('a')", "u.find('c') == 3", "'x'.index(v) == 0", "d.get('k') == v", "d.k == 'x'", "d['k'] == 'x'",
            "v | length == 1", "'12' | int == 12", "'attr' is filter", "v.count('x') == 1", "'x' | replace(v, 'y') == 'y'",
            "'upper' is filter",
        ])
    func blindness(_ condition: String) throws {
        for isUntrusted in [false, true] {
            #expect(try render("{{ \(condition) }}", isUntrusted: isUntrusted).text == "True", "\(condition)")
        }
    }

    @Test("A refusal's words and kinds do not depend on marks")
    func refusals() throws {
        for source in ["{{ raise_exception('no ' ~ u) }}", "{{ u + 1 }}", "{{ u.x.y }}", "{{ u | nothing }}", "{{ json[:2] | from_json }}"]
        {
            func failure(_ isUntrusted: Bool) -> TemplateError? {
                do throws(TemplateError) { _ = try render(source, isUntrusted: isUntrusted) } catch { return error }
                return nil
            }
            #expect(failure(true) != nil, "\(source)")
            #expect(failure(true) == failure(false), "\(source)")
        }
    }

    /// Changes of a string, with E for it. What they write of their own is ASCII.
    private static let changes = [
        "(E)[2:9]", "(E)[::-1]", "(E)[-5:]", "(E) ~ 'ab'", "'ab' ~ (E)", "(E) ~ u", "t ~ (E)", "(E).upper()", "(E).lower()", "(E).title()",
        "(E).capitalize()", "(E).swapcase()", "(E) | trim", "(E).strip('a')", "(E).split(' ') | join('-')", "(E).split() | join(' ')",
        "(E).splitlines() | join('|')", "(E).replace('a', u)", "(E) | replace('b', 'cc')", "(E).replace('', '.', 3)", "(E) | tojson",
        "(E) | list | join(',')", "'<%s>' % (E,)", "'{:^20}'.format(E)", "'{!r}'.format(E)", "(E).center(30)", "(E) | reverse",
        "(E) | indent(2)", "(E) | e", "(E) | truncate(20, true)", "(E).partition('a') | join('/')", "(E).rsplit('a', 1) | join('_')",
        "[E, v] | join(u)", "(E) * 2", "{'k': E} | string", "((E) | tojson) | from_json", "(E) | striptags", "(E) | title",
        "[E, u] | sort | last",
        "'%.7s' % (E,)", "(E).removeprefix('a')", "(E).ljust(9, '.')", "(E) | string", "dict(k=E).k", "[E] | map('upper') | first",
    ]

    @Test("Random chains of operations: the same text whatever is marked, and all that is left of the marked is marked")
    func chains() throws {
        var generator = SeededRandom(seed: 29)
        // Greek alone comes from outside; its letters stay Greek whatever is done to them.
        let letters = "αΒγδ ω\n<'\"έ".map(String.init) + ["Ωa"]
        for _ in 0..<3000 {
            var expression = ["u", "v", "t", "'ab '"].randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                guard expression.utf8.count < 800 else { break }
                expression = Self.changes.randomElement(using: &generator)!.replacing("E", with: expression)
            }
            let contents = ["u", "v"].map { name in
                let length = Int.random(in: 0...12, using: &generator)
                return (name, (0..<length).map { _ in letters.randomElement(using: &generator)! }.joined())
            }
            func render(_ isUntrusted: Bool) throws -> RenderedText {
                let given = contents.map { Template.Variable($0.0, .string($0.1), isUntrusted: isUntrusted) }
                return try Template(source: "a{{ \(expression) }}b").render(given + [.init("t", "T b", isUntrusted: false)])
            }
            guard let plain = try? render(false) else {
                #expect(throws: TemplateError.self) { try render(true) }
                continue
            }
            let marked = try render(true)
            #expect(plain.untrusted.isEmpty)
            #expect(Array(plain.text.utf8) == Array(marked.text.utf8), "\(expression)")
            var last = -1
            for range in marked.untrusted {
                #expect(range.lowerBound > last && !range.isEmpty && range.upperBound <= marked.text.utf8.count, "\(expression)")
                last = range.upperBound
            }
            var offset = 0
            for scalar in marked.text.unicodeScalars {
                if (0x370...0x3FF).contains(scalar.value) {
                    #expect(marked.untrusted.contains { $0.contains(offset) }, "\(expression)")
                }
                offset += UTF8.width(scalar)
            }
            // The template's own text around the value.
            #expect(marked.untrusted.allSatisfy { $0.lowerBound > 0 && $0.upperBound < marked.text.utf8.count }, "\(expression)")
        }
    }

    @Test("Long contents pass every operation within the limits, and many marks are soon done with", .timeLimit(.minutes(1)))
    func longContents() throws {
        let content = String(repeating: "The quick brown föx. ", count: 5000)
        let source = """
            {{ u }}{{ u | trim }}{{ ('<' ~ u ~ '>').upper() }}{{ u.split(' ') | join('-') }}{{ [u] | tojson }}{{ u[::-1] }}\
            {% for c in u %}{{ c }}.{% endfor %}{{ (u.split(' ') | join('-')).replace('o', '0').lower().split('-') | length }}
            """
        let rendered = try Template(source: source).render([.init("u", .string(content), isUntrusted: true)])
        #expect(rendered.untrusted.count > 100_000)
    }
}
