import Jinja
import Model
import Testing

/// Content reaches a template in the form that it reads, which is found out by trying it.
@Suite struct ContentFormsTests {
    private static let oneTurn = "{% for m in messages %}<{{ m.role }}>"

    /// Templates by what they read.
    private static let textOnly = oneTurn + "{{ m.content | trim }}{% endfor %}"
    private static let partsOnly =
        oneTurn
        + "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}/{{ part.lang }};{% endif %}{% endfor %}{% endfor %}"
    private static let either =
        oneTurn
        + "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}{{ part.text }};{% endfor %}{% endif %}{% endfor %}"
    private static let dumping = oneTurn + "{{ m.content | tojson }}{% endfor %}"
    private static let strict =
        "{% if messages[0].role != 'system' %}{{ raise_exception('no') }}{% endif %}" + oneTurn + "{{ m.content }}{% endfor %}"
    private static let partsForUsers =
        oneTurn
        + "{% if m.role == 'user' %}{% for p in m.content %}{{ p.text }};{% endfor %}{% else %}{{ m.content }}{% endif %}{% endfor %}"

    private let parts: TemplateValue = [["type": "text", "text": "one", "lang": "cs"], ["type": "text", "text": "two", "lang": "de"]]

    private func rendered(_ source: String, _ content: TemplateValue, role: String = "user") throws -> String {
        let template = try ChatTemplate(source: source)
        var messages = [ChatMessage(fields: ["role": .string(role), "content": content])]
        if source == ContentFormsTests.strict { messages.insert(ChatMessage(role: "system", content: "s"), at: 0) }
        return try template.render(messages: template.adapted(messages), addGenerationPrompt: false).text
    }

    @Test("Text stays text, and becomes a part where only parts are read; parts stay parts, and become lines where only text is read")
    func forms() throws {
        #expect(try rendered(ContentFormsTests.textOnly, "one") == "<user>one")
        #expect(try rendered(ContentFormsTests.textOnly, parts) == "<user>one\ntwo")
        #expect(try rendered(ContentFormsTests.partsOnly, "one") == "<user>one/;")
        #expect(try rendered(ContentFormsTests.partsOnly, parts) == "<user>one/cs;two/de;")
        #expect(try rendered(ContentFormsTests.either, "one") == "<user>one")
        #expect(try rendered(ContentFormsTests.either, parts) == "<user>one;two;")
        #expect(try rendered(ContentFormsTests.strict, parts) == "<system>s<user>one\ntwo")
    }

    @Test("A list that is only written out is not read")
    func writtenOut() throws {
        #expect(try rendered(ContentFormsTests.oneTurn + "{{ m.content }}{% endfor %}", parts) == "<user>one\ntwo")
        #expect(try rendered(ContentFormsTests.dumping, parts) == "<user>\"one\\ntwo\"")
    }

    @Test("Each role has its own form")
    func roles() throws {
        #expect(try rendered(ContentFormsTests.partsForUsers, "one") == "<user>one;")
        #expect(try rendered(ContentFormsTests.partsForUsers, parts, role: "system") == "<system>one\ntwo")
    }

    @Test("What the system says opens the user's turn where a template refuses the system, and only there")
    func system() throws {
        let refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + ContentFormsTests.textOnly
        let messages = [ChatMessage(role: "system", content: "Be brief."), ChatMessage(fields: ["role": "user", "content": parts])]
        for (source, expected) in [
            (refusing, "<user>Be brief.\none\ntwo"), (ContentFormsTests.textOnly, "<system>Be brief.<user>one\ntwo"),
        ] {
            let template = try ChatTemplate(source: source)
            #expect(try template.render(messages: template.adapted(messages), addGenerationPrompt: false).text == expected)
        }
        let template = try ChatTemplate(source: refusing)
        #expect(template.adapted([messages[0]]) == [messages[0]])
    }

    @Test("A template that takes no conversation at all gets what came, parts as lines")
    func nothing() throws {
        let template = try ChatTemplate(source: "{{ raise_exception('no') }}")
        #expect(template.adapted([ChatMessage(role: "user", content: "x")]) == [ChatMessage(role: "user", content: "x")])
        let adapted = template.adapted([ChatMessage(fields: ["role": "user", "content": parts])])
        #expect(adapted == [ChatMessage(role: "user", content: "one\ntwo")])
    }
}
