import Foundation
import Model
import Testing

@Suite("Templates of models")
struct ModelTemplateTests {
    init() { _ = OracleCase.zone }

    @Test("Gemma's template, as it stands, marks turns as the model was trained")
    func gemma() throws {
        guard let file = ExternalData.find("templates/google-gemma-2-2b-it.jinja") else { return }
        let template = try ChatTemplate(source: String(contentsOf: file, encoding: .utf8), bosToken: "<bos>", eosToken: "<eos>")
        let messages = [
            ChatMessage(role: "user", content: " Hi "), ChatMessage(role: "assistant", content: "Hello!"),
            ChatMessage(role: "user", content: "Why?"),
        ]
        let prompt = try template.render(messages: messages, addGenerationPrompt: true)
        #expect(
            prompt == "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n"
                + "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n")
        #expect(throws: TemplateError.self) {
            try template.render(messages: [ChatMessage(role: "system", content: "x")], addGenerationPrompt: true)
        }
    }

    /// What Jinja 2 refuses and we need not: its sandbox forbids lists to change, and its `map` gives a generator,
    /// which `tojson` cannot write.
    private static let moreLenient = ["SecurityError", "Object of type generator"]

    @Test("Every template of the collection renders every conversation as Jinja 2 does, or is refused alike")
    func collection() throws {
        guard let folder = ExternalData.find("templates"), let python = ExternalData.find("venv/bin/python") else { return }
        let name = "swiftlet-templates-\(ProcessInfo.processInfo.processIdentifier).jsonl"
        let output = FileManager.default.temporaryDirectory.appending(path: name)
        defer { try? FileManager.default.removeItem(at: output) }
        let oracle = Process()
        oracle.executableURL = python
        oracle.arguments = [ExternalData.fixture("template/jinja2-oracle.py").path, "conversations", folder.path, output.path]
        try oracle.run()
        oracle.waitUntilExit()
        #expect(oracle.terminationStatus == 0)

        var templates: [String: ChatTemplate] = [:]
        var agreeing = 0
        for sample in try OracleCase.all(in: Data(contentsOf: output)) {
            var rendered: String?
            var failure = ""
            do {
                let file = folder.appending(path: sample.template)
                let template =
                    try templates[sample.template] ?? ChatTemplate(source: String(decoding: Data(contentsOf: file), as: UTF8.self))
                templates[sample.template] = template
                rendered = try sample.render(template)
            } catch {
                failure = "\(error)"
            }
            if sample.output == nil, Self.moreLenient.contains(where: sample.error.contains) { continue }
            let isEqual = rendered.map { Array($0.utf8) } == sample.output.map { Array($0.utf8) }
            #expect(isEqual, "\(sample.name): \(failure) \(sample.error)")
            if isEqual { agreeing += 1 }
        }
        print("\(agreeing) renderings of \(templates.count) templates agree with Jinja 2")
        #expect(templates.count > 60)
    }
}
