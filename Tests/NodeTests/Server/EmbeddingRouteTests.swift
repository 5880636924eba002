import Base
import Foundation
import Node
import Testing

@Suite struct EmbeddingRouteTests {
    private func serving(_ options: ServerOptions = ServerOptions(port: 0), _ body: (TestServer) async throws -> Void) async throws {
        let model = try TinyEncoder()
        let engine = try await Engines.text(EngineOptions(modelPath: model.path, threads: 1)) { _ in }
        try await body(TestServer(models: SingleModel(engine), options))
        await engine.shutdown()
    }

    private func numbers(_ value: JSONValue?) -> [Float] {
        guard case .array(let values) = value else { return [] }
        return values.compactMap {
            if case .number(let number) = $0 { Float(number) } else if case .integer(let number) = $0 { Float(number) } else { nil }
        }
    }

    @Test("Texts and tokens, one or many, become vectors in their order, as numbers or as bytes")
    func vectors() async throws {
        try await serving { server in
            let answer = try await server.post("/v1/embeddings", ["input": "w1 w2"])
            #expect(answer.status == 200)
            let json = try answer.json
            #expect(json["object"] == "list")
            #expect(json["model"] == "encoder")
            #expect(json["usage"] == ["prompt_tokens": 4, "total_tokens": 4])
            #expect(json["data"]?[0]?["object"] == "embedding")
            let one = numbers(json["data"]?[0]?["embedding"])
            #expect(one.count == TinyEncoder.width)

            let many = try await server.post("/v1/embeddings", ["input": ["w3", "w1 w2"]]).json
            #expect(many["data"]?[1]?["index"] == 1)
            #expect(numbers(many["data"]?[1]?["embedding"]) == one)
            #expect(numbers(many["data"]?[0]?["embedding"]) != one)
            #expect(many["usage"]?["total_tokens"] == 7)

            #expect(numbers(try await server.post("/v1/embeddings", ["input": [2, 6, 7, 3]]).json["data"]?[0]?["embedding"]) == one)
            let lists = try await server.post("/v1/embeddings", ["input": [[2, 6, 7, 3], [2, 3]]]).json
            #expect(numbers(lists["data"]?[0]?["embedding"]) == one)

            let bytes = try await server.post("/v1/embeddings", ["input": "w1 w2", "encoding_format": "base64"]).json
            guard case .string(let text) = bytes["data"]?[0]?["embedding"], let data = Data(base64Encoded: text) else {
                return #expect(Bool(false), "no base64")
            }
            let values = stride(from: 0, to: data.count, by: 4).map { at in
                Float(bitPattern: data[at..<at + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
            }
            #expect(values == one)
        }
    }

    @Test("Without /v1 vectors come as llama.cpp's server gives them, of texts in either member")
    func native() async throws {
        try await serving { server in
            let one = numbers(try await server.post("/v1/embeddings", ["input": "w1 w2"]).json["data"]?[0]?["embedding"])
            for (path, body) in [("/embeddings", ["input": ["w3", "w1 w2"]]), ("/embedding", ["content": ["w3", "w1 w2"]])]
                as [(String, JSONValue)]
            {
                let answer = try await server.post(path, body).json
                #expect(answer[1]?["index"] == 1)
                #expect(numbers(answer[1]?["embedding"]?[0]) == one)
            }
            // Parts that make up the text, tokens and texts in turn, objects.
            let mixed: JSONValue = [
                "w1 w2", ["content": [["type": "text", "text": "w1 "], ["type": "text", "text": "w2"]]], ["prompt_string": "w1 w2"],
                [2, 6, 7, 3],
                [2, "w1 w2", 3],
            ]
            let answer = try await server.post("/v1/embeddings", ["input": mixed]).json
            for index in 0..<5 { #expect(numbers(answer["data"]?[index]?["embedding"]) == one, "\(index)") }
            #expect(try await server.ask(.get, "/metrics").text.contains("llamacpp:prompt_tokens_total 38\n"))
            #expect(try await server.post("/embeddings", [:]).json["error"]?["code"] == 400)
        }
    }

    @Test("What cannot be read is refused with the member that is at fault")
    func refusals() async throws {
        try await serving { server in
            let bodies: [(JSONValue, String)] = [
                ([:], "input"), (["input": []], "input"), (["input": 3], "input"), (["input": [25]], "input"),
                (["input": [[2, 3], 4]], "input"), (["input": .string(String(repeating: "w1 ", count: 63))], "input"),
                (["input": "w1", "encoding_format": "hex"], "encoding_format"), (["input": "w1", "dimensions": 8], "dimensions"),
            ]
            for (body, parameter) in bodies {
                let answer = try await server.post("/v1/embeddings", body)
                #expect(answer.status == 400, "\(body.text)")
                #expect(try answer.json["error"]?["param"] == .string(parameter), "\(body.text)")
            }
        }
    }

    @Test("Vectors that take longer than an answer may are given up; a wrong length is told with the right one")
    func limits() async throws {
        try await serving(ServerOptions(port: 0, limits: .init(answerTime: .zero))) { server in
            let texts = JSONValue.array(Array(repeating: "w1 w2", count: 2000))
            let answer = try await server.post("/v1/embeddings", ["input": texts])
            #expect(answer.status == 504)
            #expect(try answer.json["error"]?["code"] == "answer_timeout")
        }
        try await serving { server in
            let wrong = try await server.post("/v1/embeddings", ["input": "w1", "dimensions": 8])
            #expect(wrong.text.contains("'dimensions' can only be \(TinyEncoder.width) here"))
            #expect(try await server.post("/v1/embeddings", ["input": "w1", "dimensions": .integer(TinyEncoder.width)]).status == 200)
        }
    }

    @Test("Tokens' texts make up the text: the space that a word begins with is kept")
    func pieces() async throws {
        try await serving { server in
            #expect(try await server.post("/detokenize", ["tokens": [6, 7]]).json == ["content": " w1 w2"])
            let json = try await server.post("/tokenize", ["content": "w1 w2", "with_pieces": true]).json
            #expect((0..<2).map { json["tokens"]?[$0]?["piece"]?.string } == [" w1", " w2"])
        }
    }

    @Test("A model that generates makes no vectors, and one that makes vectors answers nothing")
    func kinds() async throws {
        let refused = try await TestServer().post("/v1/embeddings", ["input": "a"])
        #expect(refused.status == 400)
        #expect(try refused.json["error"]?["code"] == "unsupported")
        try await serving { server in
            let chat: JSONValue = ["messages": [["role": "user", "content": "w1"]]]
            for (path, body) in [("/v1/completions", ["prompt": "w1"] as JSONValue), ("/v1/chat/completions", chat)] {
                let answer = try await server.post(path, body)
                #expect(answer.status == 400)
                #expect(try answer.json["error"]?["code"] == "unsupported")
                #expect(answer.text.contains("embeddings"))
            }
        }
    }

    @Test("Several models can be of both kinds")
    func library() async throws {
        let (encoder, generating) = (try TinyEncoder(), try TinyModel())
        let library = try ModelLibrary(
            [EngineOptions(modelPath: generating.path, threads: 1), EngineOptions(modelPath: encoder.path, threads: 1)], events: EventFeed()
        )
        let server = TestServer(models: library)
        let answer = try await server.post("/v1/embeddings", ["model": "encoder", "input": "w1"])
        #expect(answer.status == 200)
        #expect(try await server.post("/v1/embeddings", ["model": "tiny", "input": "w1"]).status == 400)
        await library.shutdown()
    }
}
