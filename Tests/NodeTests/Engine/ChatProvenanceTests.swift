import Node
import Testing

/// Whether what a chat's messages spell counts as control tokens is decided by an option, from the template to the tokens.
@Suite(.timeLimit(.minutes(2))) struct ChatProvenanceTests {
    private func engine(_ model: TinyModel, parsesSpecial: Bool) async throws -> any TextEngine {
        var options = EngineOptions(modelPath: model.path, contextSize: 128, threads: 1)
        options.parsesSpecialInChats = parsesSpecial
        return try await Engines.text(options) { _ in }
    }

    /// How many tokens the engine makes of a chat with one message, and the text that it makes them of.
    private func count(_ content: String, _ engine: any TextEngine) async throws -> (tokens: Int, text: String) {
        let rendered = try await engine.render(Conversation(messages: [.init(role: "user", content: content)]))
        let request = GenerationRequest(prompt: .rendered(rendered), sampling: SamplingSettings(temperature: 0), maxTokens: 0)
        for try await event in try await engine.generate(request) {
            if case .prompt(let tokens, _) = event { return (tokens, rendered.text) }
        }
        return (0, rendered.text)
    }

    @Test("A message's control tokens are text, unless the option reads them as the raw endpoint does")
    func option() async throws {
        let model = try TinyModel()
        let (closed, open) = (try await engine(model, parsesSpecial: false), try await engine(model, parsesSpecial: true))
        // Every byte is an unknown token to this vocabulary; so is each of a spelling that is not read.
        let harmless = try await count("<-s><-s>", closed)
        #expect(try await count("</s></s>", closed).tokens == harmless.tokens)
        #expect(try await count("<-s><-s>", open).tokens == harmless.tokens)
        let stock = try await count("</s></s>", open)
        #expect(stock.tokens != harmless.tokens)
        // The template wrote the begin-of-sequence token, which is not put in front once more.
        let raw = try await open.tokenize(Array(stock.text.utf8), addSpecial: true, parseSpecial: true)
        #expect(stock.tokens == raw.count - 1)
        await closed.shutdown()
        await open.shutdown()
    }
}
