import Foundation
import Node
import TestSupport
import Testing

/// A model whose chat template is in another language, or no text at all, is used without it.
@Suite struct BrokenTemplateTests {
    private static let goTemplate = "{{- if .System }}{{ .System }}{{ end }}{{ .Prompt }}"

    private func model() throws -> TinyModel {
        try TinyModel { $0.set("tokenizer.chat_template", .string(BrokenTemplateTests.goTemplate)) }
    }

    @Test("texts are continued; a chat is refused with the template's fault and what to do about it")
    func modelOwn() async throws {
        for value in [ModelTemplate.text, .number] {
            let model = try TinyModel { $0.set("tokenizer.chat_template", value == .text ? .string(Self.goTemplate) : .uint32(7)) }
            let engine = try await Engines.text(EngineOptions(modelPath: model.path, contextSize: 32)) { _ in }
            #expect(engine.card.warnings.count { $0.contains("--chat-template-file") } == 1)
            var request = GenerationRequest(prompt: .tokens([1, 5]), maxTokens: 2)
            request.ignoreEnd = true
            var answer = Answer(try await engine.generate(request), stops: [], reportsTokens: false)
            while try await answer.next() != nil {}
            #expect(answer.usage.completionTokens == 2)
            let error = await #expect(throws: EngineError.self) {
                try await engine.render(Conversation(messages: [.init(role: "user", content: "hello")]))
            }
            guard case .template(let reason)? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(reason.contains("--chat-template-file"))
            await engine.shutdown()
        }
    }

    private enum ModelTemplate { case text, number }

    @Test("another template takes its place, and a broken one that was given is an error at once")
    func given() async throws {
        let model = try model()
        let options = EngineOptions(
            modelPath: model.path, contextSize: 32, chatTemplate: "{% for m in messages %}{{ m.content }}{% endfor %}")
        let engine = try await Engines.text(options) { _ in }
        #expect(try await engine.render(Conversation(messages: [.init(role: "user", content: "hello")])).text == "hello")
        await engine.shutdown()
        await #expect(throws: (any Error).self) {
            try await Engines.text(EngineOptions(modelPath: model.path, contextSize: 32, chatTemplate: "{{ .Prompt }}")) { _ in }
        }
    }
}
