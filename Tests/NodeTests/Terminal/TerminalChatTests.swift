import Foundation
import Jinja
import Node
import Synchronization
import Testing

@Suite struct TerminalChatTests {
    private func chat(_ lines: [String], _ engine: MockEngine, system: String? = nil) async throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("chat-\(UInt64.random(in: 0 ... .max))").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let output = try Output(path: path)
        let rest = Mutex(lines[...])
        let continuation = Continuation(engine: engine, output: output, request: GenerationRequest(prompt: .text(""), maxTokens: 3))
        try await TerminalChat(continuation, system: system) { _ in rest.withLock { $0.popFirst() } }.run()
        try output.close()
        return String(decoding: try Input.bytes(ofFile: path), as: UTF8.self)
    }

    @Test("Answers are kept in the conversation, until it is cleared")
    func history() async throws {
        let engine = MockEngine()
        let text = try await chat(
            ["one", "", "two", "/clear", "three \\", "four", "/nonsense", "/exit", "five"], engine, system: "Be brief.")
        #expect(text == "The\nThe\nThe\n")
        let contents = engine.seen.conversations.map { $0.messages.map(\.content) }
        #expect(contents == [["Be brief.", "one"], ["Be brief.", "one", "The", "two"], ["Be brief.", "three \nfour"]])
    }

    @Test("A question that cannot be asked is dropped and the conversation goes on")
    func refusal() async throws {
        let engine = MockEngine(.init(contextSize: 30))
        let text = try await chat(["this is much too long for the context", "hi"], engine)
        #expect(text == "The\n")
        #expect(engine.seen.conversations.last?.messages.map(\.content) == ["hi"])
        // What was typed reaches the engine as such.
        #expect(engine.seen.requests.last?.prompt == .rendered(RenderedText("<user>hi<assistant>", untrusted: [6..<8])))
    }

    @Test("an answer that is stopped in the middle says how long it took")
    func stopped() async throws {
        let model = try TinyModel()
        let engine = try await Engines.text(
            EngineOptions(modelPath: model.path, contextSize: 50_000, slotCount: 1, threads: 1)
        ) { _ in }
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("stopped-\(UInt64.random(in: 0 ... .max))").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let output = try Output(path: path)
        let request = GenerationRequest(prompt: .text(""), sampling: SamplingSettings(temperature: 0), ignoreEnd: true)
        let writing = Task { try await Continuation(engine: engine, output: output, request: request).write(.tokens([3, 4, 5])) }
        // Some words are there.
        while try Input.bytes(ofFile: path).count < 50 { try await Task.sleep(for: .milliseconds(5)) }
        writing.cancel()
        let account = try await writing.value
        #expect(account.generatedTokens > 0)
        #expect(account.timings.generation > .zero)
        await engine.shutdown()
    }
}
