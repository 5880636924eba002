import Base
import Jinja
import Node
import Testing

@Suite struct ChatTests {
    let hello: JSONValue = [["role": "user", "content": "Hi"]]

    @Test("A chat's answer is the assistant's message")
    func whole() async throws {
        let server = TestServer()
        let json = try await server.post("/v1/chat/completions", ["model": "m", "messages": hello, "max_completion_tokens": 3]).json
        #expect(json["object"] == "chat.completion")
        #expect(json["choices"]?[0]?["message"]?["role"] == "assistant")
        #expect(json["choices"]?[0]?["message"]?["content"] == "The")
        #expect(json["choices"]?[0]?["finish_reason"] == "length")
        #expect(server.engine.seen.requests.first?.prompt == .rendered(RenderedText("<user>Hi<assistant>", untrusted: [6..<8])))
    }

    @Test("A streamed chat says who speaks first, then what, then why it ends")
    func streamed() async throws {
        let chunks = try await TestServer().post("/v1/chat/completions", ["messages": hello, "stream": true]).chunks()
        #expect(chunks.allSatisfy { $0["object"] == "chat.completion.chunk" })
        #expect(chunks.first?["choices"]?[0]?["delta"]?["role"] == "assistant")
        #expect(chunks.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.string }.joined() == MockEngine.Behaviour().script)
        #expect(chunks.last?["choices"]?[0]?["finish_reason"] == "stop")
        #expect(chunks.last?["choices"]?[0]?["delta"] == [:])
    }

    @Test("Parts of text are joined by lines, 'developer' is the system, template variables are passed on")
    func conversation() async throws {
        let server = TestServer()
        let messages: JSONValue = [
            ["role": "developer", "content": "Be brief."],
            ["role": "user", "content": [["type": "text", "text": "one"], ["type": "text", "text": "two"]], "name": "Ann"],
        ]
        let body: JSONValue = ["messages": messages, "chat_template_kwargs": ["enable_thinking": false], "max_tokens": 1]
        #expect(try await server.post("/v1/chat/completions", body).status == 200)
        let conversation = try #require(server.engine.seen.conversations.first)
        #expect(
            conversation.messages == [
                .init(role: "system", content: "Be brief."), .init(role: "user", content: "one\ntwo", name: "Ann"),
            ])
        #expect(conversation.variables == ["enable_thinking": false])
    }

    @Test("What the template refuses is the client's error, in the template's words")
    func templateError() async throws {
        let answer = try await TestServer().post("/v1/chat/completions", ["messages": [["role": "assistant", "content": "?"]]])
        #expect(answer.status == 400)
        #expect(answer.text.contains("the first message must be the user's"))
        #expect(try answer.json["error"]?["param"] == "messages")
    }

    @Test("Probabilities of a chat name tokens, bytes and alternatives")
    func logprobs() async throws {
        let body: JSONValue = ["messages": hello, "logprobs": true, "top_logprobs": 1, "max_tokens": 2]
        let content = try await TestServer().post("/v1/chat/completions", body).json["choices"]?[0]?["logprobs"]?["content"]
        #expect(
            content?[1] == [
                "token": "h", "logprob": -0.5, "bytes": [104], "top_logprobs": [["token": "A", "logprob": -0.5, "bytes": [65]]],
            ])
        #expect(content?[2] == nil)
    }
}
