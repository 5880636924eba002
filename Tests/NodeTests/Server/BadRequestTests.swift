import Base
import Node
import Testing

/// Whatever a body holds, the answer is a 400 that names the member, and nothing reaches the engine.
@Suite struct BadRequestTests {
    private func refused(_ path: String, _ body: String, parameter: String?) async throws {
        let server = TestServer()
        let answer = try await server.ask(.post, path, body)
        #expect(answer.status == 400, "\(body)")
        let error = try answer.json["error"]
        #expect(error?["type"] == "invalid_request_error", "\(body)")
        #expect(error?["param"] == parameter.map(JSONValue.string) ?? .null, "\(body)")
        #expect(error?["message"]?.string?.isEmpty == false)
        #expect(server.engine.seen.requests.isEmpty, "\(body)")
    }

    @Test(
        "Bodies that are not a JSON object",
        arguments: [
            "", "{", "[]", "7", "\"x\"", "null", "{\"prompt\":\"x\",}", "{\"prompt\":\"x\"} {}", "{\"a\":1e400}",
            "{\"prompt\":\"\\ud800\"}",
        ])
    func notAnObject(body: String) async throws {
        try await refused("/v1/completions", body, parameter: nil)
        try await refused("/v1/chat/completions", body, parameter: nil)
        try await refused("/tokenize", body, parameter: nil)
    }

    @Test("Nesting that would overflow a stack")
    func deepNesting() async throws {
        try await refused("/v1/completions", "{\"prompt\":" + String(repeating: "[", count: 200_000), parameter: nil)
        try await refused("/v1/completions", String(repeating: "{\"a\":", count: 100_000), parameter: nil)
    }

    @Test(
        "Members of the wrong type or out of range",
        arguments: [
            ("\"max_tokens\":1.5", "max_tokens"), ("\"max_tokens\":\"1\"", "max_tokens"),
            ("\"max_tokens\":99999999999", "max_tokens"), ("\"max_tokens\":1e300", "max_tokens"),
            ("\"max_completion_tokens\":-5", "max_completion_tokens"),
            ("\"n_predict\":-2", "n_predict"), ("\"temperature\":\"NaN\"", "temperature"),
            ("\"temperature\":1e39", "temperature"), ("\"temperature\":[]", "temperature"), ("\"top_p\":1.01", "top_p"),
            ("\"top_p\":-1", "top_p"),
            ("\"min_p\":2", "min_p"), ("\"top_k\":0.5", "top_k"), ("\"repeat_penalty\":0", "repeat_penalty"),
            ("\"frequency_penalty\":1e300", "frequency_penalty"), ("\"presence_penalty\":-1e300", "presence_penalty"),
            ("\"seed\":1.5", "seed"),
            ("\"seed\":\"a\"", "seed"), ("\"stop\":5", "stop"), ("\"stop\":[5]", "stop"),

            ("\"stop\":[\"" + String(repeating: "a\",\"", count: 64) + "a\"]", "stop"), ("\"max_tokens\":-2", "max_tokens"),
            ("\"stream\":1", "stream"), ("\"stream\":\"true\"", "stream"),
            ("\"stream_options\":{\"include_usage\":true}", "stream_options"),
            ("\"stream\":true,\"stream_options\":{\"include_usage\":1}", "stream_options.include_usage"), ("\"n\":0", "n"),
            ("\"n\":65", "n"), ("\"n\":2,\"best_of\":3", "best_of"),
            ("\"n\":\"1\"", "n"),
            ("\"best_of\":3", "best_of"), ("\"logit_bias\":[1]", "logit_bias"),
            ("\"logit_bias\":{\"300\":1}", "logit_bias"), ("\"logit_bias\":{\"-1\":1}", "logit_bias"),
            ("\"logit_bias\":[[true,1]]", "logit_bias"), ("\"logit_bias\":[[\"\",1]]", "logit_bias"),
            ("\"logit_bias\":{\"1\":\"a\"}", "logit_bias"), ("\"logit_bias\":5", "logit_bias"), ("\"model\":7", "model"),
            ("\"response_format\":{\"type\":\"json_object\"}", "response_format"), ("\"grammar\":\"root ::= x\"", "grammar"),
            ("\"mirostat\":2", "mirostat"), ("\"typical_p\":0.5", "typical_p"), ("\"ignore_eos\":0", "ignore_eos"),
        ])
    func wrongMember(member: String, parameter: String) async throws {
        try await refused("/v1/completions", "{\"prompt\":\"x\",\(member)}", parameter: parameter)
        try await refused("/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\(member)}", parameter: parameter)
    }

    @Test(
        "Prompts that are none",
        arguments: [
            "{}", "{\"prompt\":null}", "{\"prompt\":5}", "{\"prompt\":{}}", "{\"prompt\":[]}", "{\"prompt\":[true]}",
            "{\"prompt\":[\"a\",1]}",
            "{\"prompt\":[1,\"a\"]}", "{\"prompt\":[300]}", "{\"prompt\":[-1]}", "{\"prompt\":[1.5]}", "{\"prompt\":[1,99999999999999]}",
            "{\"prompt\":[[1],[300]]}", "{\"prompt\":[[]]}",
        ])
    func prompts(body: String) async throws {
        try await refused("/v1/completions", body, parameter: "prompt")
    }

    @Test(
        "Messages that are none",
        arguments: [
            ("{}", "messages"), ("{\"messages\":[]}", "messages"), ("{\"messages\":{}}", "messages"), ("{\"messages\":[1]}", "messages[0]"),
            ("{\"messages\":[{}]}", "messages[0].role"), ("{\"messages\":[{\"role\":\"\",\"content\":\"x\"}]}", "messages[0].role"),
            ("{\"messages\":[{\"role\":7,\"content\":\"x\"}]}", "messages[0].role"),
            ("{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"}]}", "messages[1]"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"continue_final_message\":true}", "continue_final_message"),
            (
                "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}],\"continue_final_message\":true,\"add_generation_prompt\":true}",
                "continue_final_message"
            ),
            (
                "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"reasoning_content\":\"y\"}],\"continue_final_message\":true}",
                "messages[0].reasoning_content"
            ),
            ("{\"messages\":[{\"role\":\"user\"}]}", "messages[0].content"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "messages[0].content"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":5}]}", "messages[0].content"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":[\"x\"]}]}", "messages[0].content[0]"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}", "messages[0].content[0].type"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", "messages[0].content[0].text"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{}]}", "tools"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"top_logprobs\":3}", "top_logprobs"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"logprobs\":true,\"top_logprobs\":21}", "top_logprobs"),
            ("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"chat_template_kwargs\":1}", "chat_template_kwargs"),
        ])
    func messages(body: String, parameter: String) async throws {
        try await refused("/v1/chat/completions", body, parameter: parameter)
    }

    @Test("Other members that only completions have")
    func completionMembers() async throws {
        try await refused("/v1/completions", "{\"prompt\":\"x\",\"suffix\":\"y\"}", parameter: "suffix")
        try await refused("/v1/completions", "{\"prompt\":\"x\",\"echo\":true,\"logprobs\":1}", parameter: "logprobs")
        try await refused("/v1/completions", "{\"prompt\":\"x\",\"logprobs\":-1}", parameter: "logprobs")
    }

    @Test("Tokens that the vocabulary lacks, and content that is no text")
    func tokenRoutes() async throws {
        try await refused("/detokenize", "{}", parameter: "tokens")
        try await refused("/detokenize", "{\"tokens\":[300]}", parameter: "tokens")
        try await refused("/detokenize", "{\"tokens\":[\"a\"]}", parameter: "tokens")
        try await refused("/tokenize", "{\"content\":7}", parameter: "content")
    }
}
