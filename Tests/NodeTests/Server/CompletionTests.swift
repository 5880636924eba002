import Base
import Node
import Testing

@Suite struct CompletionTests {
    let script = MockEngine.Behaviour().script

    @Test("A completion has OpenAI's members, the text and the count of tokens")
    func whole() async throws {
        let server = TestServer()
        let answer = try await server.post("/v1/completions", ["model": "any", "prompt": "Hello", "max_tokens": 9])
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "application/json; charset=utf-8")
        let json = try answer.json
        #expect(json["object"] == "text_completion")
        #expect(json["model"] == "mock")
        #expect(json["id"]?.string?.hasPrefix("cmpl-") == true)
        #expect(json["choices"]?[0]?["text"] == "The quick")
        #expect(json["choices"]?[0]?["finish_reason"] == "length")
        #expect(json["choices"]?[0]?["logprobs"] == .null)
        #expect(json["usage"]?["prompt_tokens"] == 6)
        #expect(json["usage"]?["completion_tokens"] == 9)
        #expect(json["usage"]?["total_tokens"] == 15)
        #expect(json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 3)
    }

    @Test("Without a limit the model ends by itself")
    func untilEnd() async throws {
        let json = try await TestServer().post("/v1/completions", ["prompt": "Hello"]).json
        #expect(json["choices"]?[0]?["text"]?.string == script)
        #expect(json["choices"]?[0]?["finish_reason"] == "stop")
    }

    @Test("A stream brings the same text in chunks, then the reason, the usage where asked for, and [DONE]")
    func streamed() async throws {
        let server = TestServer()
        let body: JSONValue = ["prompt": "Hello", "stream": true, "stream_options": ["include_usage": true]]
        let answer = try await server.post("/v1/completions", body)
        #expect(answer.headers["content-type"]?.hasPrefix("text/event-stream") == true)
        let chunks = try answer.chunks()
        #expect(chunks.compactMap { $0["choices"]?[0]?["text"]?.string }.joined() == script)
        #expect(Set(chunks.compactMap { $0["id"]?.string }).count == 1)
        #expect(chunks.dropLast().last?["choices"]?[0]?["finish_reason"] == "stop")
        #expect(chunks.dropLast().allSatisfy { $0["usage"] == .null })
        #expect(chunks.last?["choices"] == [])
        #expect(chunks.last?["usage"]?["completion_tokens"] == .integer(script.utf8.count))
    }

    @Test("No usage in a stream that did not ask for it")
    func streamedWithoutUsage() async throws {
        let chunks = try await TestServer().post("/v1/completions", ["prompt": "Hello", "stream": true]).chunks()
        #expect(chunks.allSatisfy { $0["usage"] == nil })
    }

    @Test("A stop string ends the answer before itself and stops the engine", arguments: [true, false])
    func stops(streams: Bool) async throws {
        let server = TestServer(MockEngine(.init(isEndless: true)))
        let answer = try await server.post("/v1/completions", ["prompt": "x", "stop": ["fox", "zzz"], "stream": .bool(streams)])
        let choices = streams ? try answer.chunks().compactMap { $0["choices"]?[0] } : [try answer.json["choices"]?[0]].compactMap { $0 }
        #expect(choices.compactMap { $0["text"]?.string }.joined() == "The quick brown ")
        #expect(choices.last?["finish_reason"] == "stop")
        try await eventually("the engine goes on after a stop string") { server.engine.seen.abandoned == 1 && server.engine.seen.live == 0 }
    }

    @Test("Several prompts get an answer each, in order", arguments: [true, false])
    func severalPrompts(streams: Bool) async throws {
        let server = TestServer()
        let body: JSONValue = ["prompt": ["a", "bb", [1, 2, 3]], "echo": true, "max_tokens": 3, "stream": .bool(streams)]
        let answer = try await server.post("/v1/completions", body)
        var texts: [Int: String] = [:]
        if streams {
            for chunk in try answer.chunks() {
                guard let choice = chunk["choices"]?[0], let index = choice["index"]?.integer else { continue }
                texts[index, default: ""] += choice["text"]?.string ?? ""
            }
        } else {
            let json = try answer.json
            for index in 0..<3 { texts[index] = json["choices"]?[index]?["text"]?.string }
            #expect(json["usage"]?["completion_tokens"] == 9)
            #expect(json["usage"]?["prompt_tokens"] == 8)
        }
        #expect(texts == [0: "aThe", 1: "bbThe", 2: "\u{1}\u{2}\u{3}The"])
    }

    @Test("A list of numbers is one prompt of tokens")
    func tokenPrompt() async throws {
        let server = TestServer()
        _ = try await server.post("/v1/completions", ["prompt": [1, 2, 3], "max_tokens": 1])
        #expect(server.engine.seen.requests.first?.prompt == .tokens([1, 2, 3]))
    }

    @Test("Every sampling parameter reaches the engine")
    func parameters() async throws {
        let server = TestServer()
        let body: JSONValue = [
            "prompt": "x", "max_tokens": 1, "temperature": 0.5, "top_p": 0.25, "top_k": 7, "min_p": 0.125, "repeat_penalty": 1.5,
            "frequency_penalty": 0.5, "presence_penalty": -0.5, "repeat_last_n": -1, "seed": 42, "logit_bias": ["5": 2, "6": -100],
            "ignore_eos": true, "user": "someone", "top_logprobs": nil,
        ]
        #expect(try await server.post("/v1/completions", body).status == 200)
        let request = try #require(server.engine.seen.requests.first)
        #expect(
            request.sampling
                == SamplingSettings(
                    temperature: 0.5, topK: 7, topP: 0.25, minP: 0.125, repeatPenalty: 1.5, frequencyPenalty: 0.5, presencePenalty: -0.5,
                    penaltyWindow: -1, seed: 42, logitBias: [5: 2, 6: -.infinity]))
        #expect(request.ignoreEnd)
        #expect(request.maxTokens == 1)
        #expect(request.alternatives == nil)
    }

    @Test("What other engines take is taken: no limits, no stops, biases of texts, penalties as vLLM has them, limits as llama-server's")
    func takenElsewhere() async throws {
        let server = TestServer()
        let bodies: [(JSONObject, (GenerationRequest) -> Bool)] = [
            (["max_tokens": -1], { $0.maxTokens == nil }), (["max_completion_tokens": -1, "max_tokens": 3], { $0.maxTokens == 3 }),
            (["stop": ""], { _ in true }), (["stop": [""]], { _ in true }),
            (["stop": .array((0..<64).map { .string("#\($0)") })], { _ in true }),
            (["logprobs": false], { $0.alternatives == nil }), (["response_format": [:]], { _ in true }),
            (["response_format": ["type": "text"]], { _ in true }), (["temperature": -1], { $0.sampling.temperature == 0 }),
            (["temperature": 150], { $0.sampling.temperature == 150 }), (["top_k": -5], { $0.sampling.topK == 0 }),
            (["frequency_penalty": 3, "presence_penalty": -3], { $0.sampling.frequencyPenalty == 3 && $0.sampling.presencePenalty == -3 }),
            (["logit_bias": [["ab", -200], [97, 1]]], { $0.sampling.logitBias == [97: 1, 98: -.infinity] }),
            (["logit_bias": ["c": 2]], { $0.sampling.logitBias == [99: 2] }),
            (["repetition_penalty": 1.5], { $0.sampling.repeatPenalty == 1.5 && $0.sampling.penaltyWindow == -1 }),
            (["repetition_penalty": 1.5, "repeat_last_n": 7], { $0.sampling.penaltyWindow == 7 }),
            (["repetition_penalty": 1], { $0.sampling.penaltyWindow == 64 }),
            (["stop_token_ids": [5, 6]], { $0.stopTokens == [5, 6] }), (["cache_prompt": false], { !$0.reusesPrompt }),
        ]
        for (members, isRight) in bodies {
            var body = members
            body["prompt"] = "x"
            let answer = try await server.post("/v1/completions", .object(body))
            #expect(answer.status == 200, "\(answer.text)")
            let request = try #require(server.engine.seen.requests.last)
            #expect(isRight(request), "\(members)")
        }
        #expect(try await server.ask(.post, "/v1/completions", "\u{feff}{\"prompt\":\"x\"}").status == 200)
    }

    @Test("A negative seed asks for a random one; n_predict -1 for no limit")
    func neutralValues() async throws {
        let server = TestServer()
        _ = try await server.post("/v1/completions", ["prompt": "x", "seed": -1, "n_predict": -1, "n": 1, "best_of": 1, "mirostat": 0])
        #expect(server.engine.seen.requests.first?.sampling.seed == nil)
        #expect(server.engine.seen.requests.first?.maxTokens == nil)
    }

    @Test("Probabilities come with the tokens they belong to", arguments: [true, false])
    func logprobs(streams: Bool) async throws {
        let server = TestServer()
        let answer = try await server.post("/v1/completions", ["prompt": "x", "max_tokens": 4, "logprobs": 2, "stream": .bool(streams)])
        let choices = streams ? try answer.chunks().compactMap { $0["choices"]?[0] } : [try answer.json["choices"]?[0]].compactMap { $0 }
        var tokens: [String] = []
        var offsets: [Int] = []
        for report in choices.compactMap({ $0["logprobs"] }) {
            for index in 0..<8 {
                if let token = report["tokens"]?[index]?.string { tokens.append(token) }
                if let offset = report["text_offset"]?[index]?.integer { offsets.append(offset) }
            }
            if report != .null {
                #expect(report["token_logprobs"]?[0] == -0.5)
                #expect(report["top_logprobs"]?[0] == ["A": -0.5, "B": -1.5])
            }
        }
        #expect(tokens == ["T", "h", "e", " "])
        #expect(offsets == [0, 1, 2, 3])
    }

    @Test("An engine's error before the first token has a status of its own, later it is told in the stream")
    func engineErrors() async throws {
        let overloaded = try await TestServer(MockEngine(.init(refusal: .overloaded(queued: 9)))).post("/v1/completions", ["prompt": "x"])
        #expect(overloaded.status == 503)
        #expect(overloaded.headers["retry-after"] == "2")
        let long = try await TestServer(MockEngine(.init(contextSize: 4))).post("/v1/completions", ["prompt": "too long"])
        #expect(long.status == 400)
        #expect(try long.json["error"]?["code"] == "context_length_exceeded")
        #expect(try long.json["error"]?["param"] == "prompt")
        let failing = MockEngine.Behaviour(failure: (3, .failed("a secret")))
        let whole = try await TestServer(MockEngine(failing)).post("/v1/completions", ["prompt": "x"])
        #expect(whole.status == 500)
        #expect(!whole.text.contains("secret"))
        let streamed = try await TestServer(MockEngine(failing)).post("/v1/completions", ["prompt": "x", "stream": true])
        #expect(streamed.status == 200)
        #expect(streamed.events.last?.contains("internal_error") == true)
        #expect(!streamed.text.contains("secret"))
        #expect(!streamed.text.contains("[DONE]"))
    }

    @Test("A refused prompt among several leaves no other running")
    func partialRefusal() async throws {
        let server = TestServer(MockEngine(.init(pause: .milliseconds(5), isEndless: true, contextSize: 8)))
        let answer = try await server.post("/v1/completions", ["prompt": ["a", "much too long for this"]])
        #expect(answer.status == 400)
        try await eventually("an answer goes on that nobody waits for") { server.engine.seen.live == 0 }
    }

    @Test("An answer that takes too long is broken off")
    func timeLimit() async throws {
        let limits = ServerOptions.Limits(answerTime: .milliseconds(100))
        let server = TestServer(MockEngine(.init(pause: .milliseconds(5), isEndless: true)), ServerOptions(limits: limits))
        let answer = try await server.post("/v1/completions", ["prompt": "a"])
        #expect(answer.status == 504)
        try await eventually("the engine goes on after the time limit") { server.engine.seen.live == 0 }
    }
}
