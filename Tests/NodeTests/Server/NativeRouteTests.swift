import Base
import Node
import Testing

/// What clients of llama.cpp's server ask for beside OpenAI's API.
@Suite struct NativeRouteTests {
    @Test("A completion says what llama.cpp's server says of it", arguments: ["/completion", "/completions"])
    func completion(path: String) async throws {
        let server = TestServer()
        let answer = try await server.post(path, ["prompt": "ab", "n_predict": 4, "seed": 7, "return_tokens": true]).json
        #expect(answer["content"] == "The ")
        #expect(answer["tokens"] == [84, 104, 101, 32])
        #expect(answer["stop"] == true)
        #expect(answer["stop_type"] == "limit")
        #expect(answer["stopping_word"] == "")
        #expect(answer["truncated"] == false)
        #expect(answer["has_new_line"] == false)
        #expect(answer["model"] == "mock")
        #expect(answer["prompt"] == "<256>ab")
        #expect(answer["tokens_predicted"] == 4)
        #expect(answer["tokens_evaluated"] == 3)
        #expect(answer["tokens_cached"] == 6)
        #expect(answer["generation_settings"]?["n_predict"] == 4)
        #expect(answer["generation_settings"]?["seed"] == 7)
        #expect(answer["timings"]?["predicted_n"] == 4)
        #expect(answer["completion_probabilities"] == nil)
        #expect(server.engine.seen.requests.first?.prompt == .tokens([256, 97, 98]))
        let without = try await server.post(path, ["prompt": "ab", "n_predict": 4]).json
        #expect(without["tokens"] == [])
    }

    @Test("The settings of an answer, sent back as they were told, ask for the same")
    func settingsSentBack() async throws {
        let server = TestServer()
        let told = try await server.post("/completion", ["prompt": "ab", "n_predict": 4, "logit_bias": [[5, false], [6, 1.5]]]).json
        guard case .object(var body)? = told["generation_settings"] else { throw TestFailure() }
        (body["prompt"], body["max_tokens"]) = ("ab", -1)
        let again = try await server.post("/completion", .object(body))
        #expect(again.status == 200)
        #expect(try again.json["tokens_predicted"] == 4)
        let requests = server.engine.seen.requests
        #expect(requests.count == 2 && requests[0].sampling.logitBias == requests[1].sampling.logitBias)
        // A seed that was drawn is drawn again.
        #expect(requests.allSatisfy { $0.sampling.seed == nil })
    }

    private struct TestFailure: Error {}

    @Test("How an answer ended is told apart: by the model, by a stop string, by the context")
    func ends() async throws {
        let server = TestServer()
        let ended = try await server.post("/completion", ["prompt": "a"]).json
        #expect(ended["stop_type"] == "eos")
        #expect(ended["content"] == "The quick brown fox jumps over the lazy dog.")
        let stopped = try await server.post("/completion", ["prompt": "a", "stop": [" brown"]]).json
        #expect(stopped["stop_type"] == "word")
        #expect(stopped["stopping_word"] == " brown")
        #expect(stopped["content"] == "The quick")
        let lines = TestServer(MockEngine(.init(script: "a\nb")))
        #expect(try await lines.post("/completion", ["prompt": "a"]).json["has_new_line"] == true)
    }

    @Test("A stream has a chunk for each piece with its tokens, an end without text, and no mark behind it")
    func streamed() async throws {
        let answer = try await TestServer().post("/completion", ["prompt": "ab", "n_predict": 3, "stream": true])
        let chunks = try answer.events.map { try JSONValue(parsing: $0.utf8) }
        #expect(chunks.count == 4)
        #expect(chunks.dropLast().compactMap { $0["content"]?.string }.joined() == "The")
        #expect(chunks.dropLast().allSatisfy { $0["stop"] == false })
        #expect(chunks[0]["tokens"] == [84])
        #expect(chunks[1]["tokens_predicted"] == 2)
        #expect(chunks[1]["tokens_evaluated"] == 3)
        let last = try #require(chunks.last)
        #expect(last["stop"] == true)
        #expect(last["content"] == "")
        #expect(last["tokens"] == [])
        #expect(last["stop_type"] == "limit")
        #expect(last["tokens_predicted"] == 3)
        #expect(last["generation_settings"]?["stream"] == true)
    }

    @Test(
        "Prompts are texts, tokens, both in turn, or objects; several make a list of answers",
        arguments: [
            ("\"ab\"", [[256, 97, 98]]), ("[97,98]", [[97, 98]]), ("[1,\"a\",2,\"b\"]", [[1, 97, 2, 98]]), ("[\"a\",1]", [[256, 97, 1]]),
            ("{\"prompt_string\":\"a\"}", [[256, 97]]), ("[\"a\",[97],{\"prompt_string\":\"b\"}]", [[256, 97], [97], [256, 98]]),
            ("[[1,\"a\"],[2]]", [[1, 97], [2]]), ("[\"a\"]", [[256, 97]]),
        ] as [(String, [[Int32]])])
    func prompts(prompt: String, expected: [[Int32]]) async throws {
        let server = TestServer()
        let answer = try await server.ask(.post, "/completion", "{\"n_predict\":1,\"prompt\":\(prompt)}").json
        #expect(server.engine.seen.requests.map(\.prompt) == expected.map(Prompt.tokens))
        if expected.count == 1 {
            #expect(answer["content"] == "T")
        } else {
            for index in expected.indices {
                #expect(answer[index]?["index"] == .integer(index))
                #expect(answer[index]?["tokens_evaluated"] == .integer(expected[index].count))
            }
        }
    }

    @Test("What is refused is told in llama.cpp's server's shape, with the status as its code")
    func refusals() async throws {
        let server = TestServer()
        for body in [
            "{}", "{\"prompt\":[]}", "{\"prompt\":[[1],2.5]}", "{\"prompt\":[300]}", "{\"prompt\":\"a\",\"n_probs\":-1}",
            "{\"prompt\":{\"prompt_string\":\"a\",\"multimodal_data\":[\"b\"]}}", "{\"prompt\":\"a\",\"response_fields\":[1]}", "[",
        ] {
            let answer = try await server.ask(.post, "/completion", body)
            #expect(answer.status == 400, "\(body)")
            #expect(try answer.json["error"]?["code"] == 400, "\(body)")
            #expect(try answer.json["error"]?["type"] == "invalid_request_error", "\(body)")
        }
        #expect(try await server.ask(.get, "/completion").json["error"]?["code"] == 405)
    }

    @Test("A prompt that is too long is told with its length and the context's, on either API")
    func tooLong() async throws {
        let server = TestServer(MockEngine(.init(contextSize: 4)))
        let native = try await server.post("/completion", ["prompt": "too long"])
        #expect(native.status == 400)
        #expect(try native.json["error"]?["code"] == 400)
        let other = try await server.post("/v1/completions", ["prompt": "too long"])
        #expect(try other.json["error"]?["code"] == "context_length_exceeded")
        for error in [try native.json["error"], try other.json["error"]] {
            #expect(error?["type"] == "exceed_context_size_error")
            #expect(error?["n_prompt_tokens"] == 9)
            #expect(error?["n_ctx"] == 4)
            #expect(error?["message"]?.string?.contains("exceeds the available context size") == true)
        }
    }

    @Test("Only the members that are asked for are told, deeper ones under their paths")
    func responseFields() async throws {
        let fields: JSONValue = ["content", "generation_settings/n_predict", "nothing/here"]
        let answer = try await TestServer().post("/completion", ["prompt": "a", "n_predict": 2, "response_fields": fields]).json
        #expect(answer == ["content": "Th", "generation_settings/n_predict": 2])
    }

    @Test("Probabilities come with each token, before choosing or with which it was drawn")
    func probabilities() async throws {
        let server = TestServer()
        let answer = try await server.post("/completion", ["prompt": "a", "n_predict": 2, "n_probs": 2]).json
        #expect(answer["completion_probabilities"]?[1]?["id"] == 104)
        #expect(answer["completion_probabilities"]?[1]?["token"] == "h")
        #expect(answer["completion_probabilities"]?[1]?["bytes"] == [104])
        #expect(answer["completion_probabilities"]?[1]?["logprob"] == -0.5)
        #expect(answer["completion_probabilities"]?[1]?["top_logprobs"]?[1]?["token"] == "B")
        #expect(server.engine.seen.requests.last?.probabilities == .ofModel)
        let drawn = try await server.post("/completion", ["prompt": "a", "n_predict": 1, "n_probs": 2, "post_sampling_probs": true]).json
        guard case .number(let share)? = drawn["completion_probabilities"]?[0]?["prob"] else {
            Issue.record("no probability")
            return
        }
        #expect(abs(share - 0.6065) < 1e-3)
        #expect(drawn["completion_probabilities"]?[0]?["top_probs"]?[0]?["token"] == "A")
        #expect(server.engine.seen.requests.last?.probabilities == .ofChoice)
    }

    @Test("A template is applied without asking the model")
    func template() async throws {
        let server = TestServer()
        let answer = try await server.post("/apply-template", ["messages": [["role": "user", "content": "hi"]]])
        #expect(try answer.json == ["prompt": "<user>hi<assistant>"])
        #expect(server.engine.seen.requests.isEmpty)
        let refused = try await server.post("/apply-template", ["messages": [["role": "assistant", "content": "hi"]]])
        #expect(refused.status == 400)
        #expect(try refused.json["error"]?["code"] == 400)
    }

    @Test("Properties and slots are told")
    func properties() async throws {
        let server = TestServer()
        let properties = try await server.ask(.get, "/props").json
        #expect(properties["total_slots"] == 4)
        #expect(properties["model_alias"] == "mock")
        #expect(properties["default_generation_settings"]?["n_ctx"] == 4096)
        #expect(properties["default_generation_settings"]?["params"]?["top_k"] == 40)
        let slots = try await server.ask(.get, "/slots").json
        #expect(slots[3]?["id"] == 3)
        #expect(slots[3]?["n_ctx"] == 4096)
        #expect(slots[0]?["is_processing"] == false)
        #expect(slots[4] == nil)
        #expect(try await server.ask(.get, "/slots?fail_on_no_slot=1").status == 200)
    }

    @Test("What is under /v1 is there without it as well, but where llama.cpp's server has something else")
    func withoutVersion() async throws {
        let server = TestServer()
        #expect(try await server.ask(.get, "/models").json["data"]?[0]?["id"] == "mock")
        #expect(try await server.ask(.get, "/models/mock").json["id"] == "mock")
        #expect(try await server.ask(.get, "/nodes").status == 200)
        let chat: JSONValue = ["messages": [["role": "user", "content": "hi"]], "max_tokens": 3]
        #expect(try await server.post("/chat/completions", chat).json["object"] == "chat.completion")
        #expect(try await server.post("/v1/completions", ["prompt": "a", "max_tokens": 1]).json["object"] == "text_completion")
        #expect(try await server.post("/completions", ["prompt": "a", "max_tokens": 1]).json["object"] == nil)
        #expect(try await server.ask(.get, "/chat/completions").headers["allow"] == "POST")
    }

    @Test("Several answers to a prompt draw numbers of their own, and the prompt counts once", arguments: [true, false])
    func several(streams: Bool) async throws {
        let server = TestServer()
        let body: JSONValue = [
            "prompt": ["ab", "c"], "n": 2, "max_tokens": 2, "seed": 5, "stream": .bool(streams),
            "stream_options": streams ? ["include_usage": true] : nil,
        ]
        let answer = try await server.post("/v1/completions", body)
        var texts = [Int: String]()
        let usage: JSONValue?
        if streams {
            let chunks = try answer.chunks()
            for choice in chunks.compactMap({ $0["choices"]?[0] }) {
                texts[choice["index"]?.integer ?? -1, default: ""] += choice["text"]?.string ?? ""
            }
            usage = chunks.last?["usage"]
        } else {
            for index in 0..<4 {
                let choice = try answer.json["choices"]?[index]
                texts[choice?["index"]?.integer ?? -1, default: ""] += choice?["text"]?.string ?? ""
            }
            usage = try answer.json["usage"]
        }
        #expect(texts == [0: "Th", 1: "Th", 2: "Th", 3: "Th"])
        #expect(usage?["prompt_tokens"] == 5)
        #expect(usage?["completion_tokens"] == 8)
        #expect(server.engine.seen.requests.map(\.sampling.seed) == [5, 6, 5, 6])
        #expect(server.engine.seen.requests.map(\.prompt) == [.text("ab"), .text("ab"), .text("c"), .text("c")])
    }

    @Test("Tokens and the time they took are counted under our names and llama.cpp's server's")
    func metrics() async throws {
        let server = TestServer()
        _ = try await server.post("/v1/completions", ["prompt": "abc", "max_tokens": 3])
        _ = try await server.post("/completion", ["prompt": "abc", "stop": ["quick"], "stream": true])
        let answer = try await server.ask(.get, "/metrics")
        let lines = Set(answer.text.split(separator: "\n").map(String.init))
        #expect(lines.contains("swiftlet_head_prompt_tokens_total 8"))
        #expect(lines.contains("swiftlet_head_generated_tokens_total 12"))
        #expect(lines.contains("llamacpp:prompt_tokens_total 4"))
        #expect(lines.contains("llamacpp:prompt_tokens_cached_total 4"))
        #expect(lines.contains("llamacpp:tokens_predicted_total 12"))
        #expect(lines.contains("llamacpp:requests_processing 0"))
        #expect(lines.contains("# TYPE llamacpp:tokens_predicted_total counter"))
        #expect(answer.headers["process-start-time-unix"] != nil)
    }

    @Test("Rates count the steps behind the first token, which came with the prompt")
    func timings() async throws {
        let server = TestServer()
        let one = try await server.post("/v1/completions", ["prompt": "abc", "max_tokens": 1]).json["timings"]
        #expect(one?["predicted_per_second"] == 0)
        #expect(one?["predicted_per_token_ms"] == 0)
        let five = try await server.post("/v1/completions", ["prompt": "abc", "max_tokens": 5]).json["timings"]
        // The mock engine says 20 ms for the answer and 5 ms for the prompt, half of whose 4 tokens it had.
        #expect(five?["predicted_per_second"] == 200)
        #expect(five?["predicted_per_token_ms"] == 5)
        #expect(five?["prompt_per_token_ms"] == 2.5)
    }
}
