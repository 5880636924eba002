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

    @Test("Every member of messages and parts reaches the template as it came; 'developer' is the system, null is nothing")
    func conversation() async throws {
        let server = TestServer()
        let parts: JSONValue = [["type": "text", "text": "one", "source_lang_code": "cs"], ["type": "text", "text": "two"]]
        let messages: JSONValue = [
            ["role": "developer", "content": "Be brief."],
            ["role": "user", "content": parts, "name": "Ann"],
            ["role": "assistant", "content": nil, "reasoning_content": "because", "refusal": nil],
            ["role": "assistant", "tool_calls": [["id": "1", "function": ["name": "f", "arguments": "{\"a\":1}"]]]],
            ["role": "tool", "tool_call_id": "1", "content": "5"],
            ["role": "ipython", "content": "6"],
        ]
        let body: JSONValue = [
            "messages": messages, "chat_template_kwargs": ["enable_thinking": false], "reasoning_effort": "low", "max_tokens": 1,
        ]
        #expect(try await server.post("/v1/chat/completions", body).status == 200)
        let conversation = try #require(server.engine.seen.conversations.first)
        #expect(
            conversation.messages.map(\.fields) == [
                ["role": "system", "content": "Be brief."], ["role": "user", "content": parts, "name": "Ann"],
                ["role": "assistant", "reasoning_content": "because", "content": ""],
                ["role": "assistant", "tool_calls": [["id": "1", "function": ["name": "f", "arguments": ["a": 1]]]], "content": nil],
                ["role": "tool", "tool_call_id": "1", "content": "5"], ["role": "ipython", "content": "6"],
            ])
        #expect(conversation.variables == ["enable_thinking": false, "reasoning_effort": "low"])
        #expect(!conversation.continuesFinalMessage)
    }

    @Test("An assistant's message at the end is gone on with, unless the request says that a new turn is to be opened")
    func prefill() async throws {
        let server = TestServer()
        let messages: JSONValue = [["role": "user", "content": "Hi"], ["role": "assistant", "content": "The answer"]]
        let ends: [(JSONObject, String)] = [
            ([:], "<user>Hi<assistant>The answer"), (["continue_final_message": true], "<user>Hi<assistant>The answer"),
            (["continue_final_message": true, "add_generation_prompt": false], "<user>Hi<assistant>The answer"),
            (["continue_final_message": "content"], "<user>Hi<assistant>The answer"),
            (["continue_final_message": false], "<user>Hi<assistant>The answer<assistant>"),
            (["add_generation_prompt": true], "<user>Hi<assistant>The answer<assistant>"),
        ]
        for (members, expected) in ends {
            var body = members
            body["messages"] = messages
            body["max_tokens"] = 1
            #expect(try await server.post("/v1/chat/completions", .object(body)).status == 200)
            guard case .rendered(let prompt)? = server.engine.seen.requests.last?.prompt else { return #expect(Bool(false), "no prompt") }
            #expect(prompt.text == expected, "\(members)")
        }
    }

    @Test("Tools that must not be called do not matter")
    func toolsAside() async throws {
        let body: JSONValue = ["messages": hello, "tools": [["type": "function"]], "tool_choice": "none", "max_tokens": 1]
        #expect(try await TestServer().post("/v1/chat/completions", body).status == 200)
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
