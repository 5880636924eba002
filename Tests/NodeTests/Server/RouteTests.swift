import Node
import Testing

@Suite struct RouteTests {
    @Test("Health, models and tokens answer as clients of OpenAI and llama.cpp expect")
    func small() async throws {
        let server = TestServer()
        #expect(try await server.ask(.get, "/health").json["status"] == "ok")
        let list = try await server.ask(.get, "/v1/models").json
        #expect(list["data"]?[0]?["id"] == "mock")
        #expect(list["data"]?[0]?["meta"]?["n_ctx"] == 4096)
        #expect(try await server.ask(.get, "/v1/models/mock").json["object"] == "model")
        #expect(try await server.ask(.head, "/v1/models").status == 200)
        #expect(try await server.post("/tokenize", ["content": "ab"]).json == ["tokens": [97, 98]])
        #expect(try await server.post("/tokenize", ["content": "a", "add_special": true]).json == ["tokens": [256, 97]])
        #expect(
            try await server.post("/tokenize", ["content": "é", "with_pieces": true]).json
                == ["tokens": [["id": 195, "piece": [195]], ["id": 169, "piece": [169]]]])
        #expect(try await server.post("/detokenize", ["tokens": [104, 105]]).json == ["content": "hi"])
        #expect(try await server.post("/detokenize", ["tokens": []]).json == ["content": ""])
    }

    @Test("Nodes are listed with what they have, for people and for Prometheus, whatever a name is made of")
    func nodes() async throws {
        var behaviour = MockEngine.Behaviour()
        behaviour.nodes = [
            NodeStatus(
                address: "10.0.0.7:50052", version: "8.0.0",
                devices: [
                    NodeStatus.Device(
                        name: "GPU \"0\"", memoryFree: 1 << 30, memoryTotal: 1 << 31, layers: 0..<9, weightBytes: 5, steps: 3),
                    NodeStatus.Device(name: "CPU"),
                ], roundTripNanoseconds: 250_000, sentBytes: 12, receivedBytes: 7),
            NodeStatus(address: "local", state: .failed, reason: "gone", devices: [NodeStatus.Device(name: "CPU", hasOutput: true)]),
        ]
        let server = TestServer(MockEngine(behaviour))
        let list = try await server.ask(.get, "/v1/nodes").json
        #expect(list["object"] == "list")
        let first = list["data"]?[0]
        #expect(first?["address"] == "10.0.0.7:50052")
        #expect(first?["round_trip_ms"] == 0.25)
        #expect(first?["devices"]?[0]?["first_layer"] == 0)
        #expect(first?["devices"]?[0]?["layer_count"] == 9)
        #expect(first?["devices"]?[1]?["first_layer"] == .null)
        #expect(list["data"]?[1]?["state"] == "failed")
        #expect(list["data"]?[1]?["version"] == .null)

        let metrics = try await server.ask(.get, "/metrics")
        #expect(metrics.headers["content-type"]?.hasPrefix("text/plain") == true)
        let lines = Set(metrics.text.split(separator: "\n").map(String.init))
        #expect(lines.contains("swiftlet_head_slots 4"))
        #expect(lines.contains("swiftlet_head_node_up{node=\"local\"} 0"))
        #expect(lines.contains("swiftlet_head_node_sent_bytes_total{node=\"10.0.0.7:50052\"} 12"))
        #expect(lines.contains("swiftlet_head_device_layers{node=\"10.0.0.7:50052\",device=\"GPU \\\"0\\\"\"} 9"))
        #expect(!metrics.text.contains("round_trip_seconds{node=\"local\"}"))
        #expect(NodeStatus.summary(behaviour.nodes) == "10.0.0.7:50052 GPU \"0\" layers 0-8, local output")
    }

    @Test("Paths and methods that are not there are told apart, in JSON")
    func absent() async throws {
        let server = TestServer()
        let nothing = try await server.ask(.get, "/v1/nothing")
        #expect(nothing.status == 404)
        #expect(try nothing.json["error"]?["code"] == "not_found")
        let wrong = try await server.ask(.get, "/v1/completions")
        #expect(wrong.status == 405)
        #expect(wrong.headers["allow"] == "POST")
        #expect(try wrong.json["error"]?["code"] == "method_not_allowed")
        #expect(try await server.ask(.delete, "/v1/models/mock").status == 405)
        let model = try await server.ask(.get, "/v1/models/no/such%20one")
        #expect(model.status == 404)
        #expect(try model.json["error"]?["code"] == "model_not_found")
        #expect(model.text.contains("no/such one"))
    }

    @Test("A path that is off by /v1 or a slash is told the one that there is; a reason that ends gets no second full stop")
    func hints() async throws {
        let server = TestServer()
        for (path, right) in [("/chat/completion", nil), ("/v1/tokenize", "'/tokenize'"), ("/v1/completions/x", nil)] {
            let answer = try await server.post(path, [:])
            #expect(answer.status == 404)
            #expect(answer.text.contains("Did you mean") == (right != nil), "\(path)")
            if let right { #expect(answer.text.contains(right)) }
        }
        let refused = try await TestServer(MockEngine(.init(refusal: .unsupported("it is so. Really.")))).post(
            "/v1/completions", ["prompt": "x"])
        #expect(try refused.json["error"]?["message"] == "It is so. Really.")
    }

    @Test("A body that is packed is refused for that, and not for what its bytes look like")
    func packedBody() async throws {
        let server = TestServer()
        let answer = try await server.ask(.post, "/v1/completions", "\u{1f}", headers: ["Content-Encoding": "gzip"])
        #expect(answer.status == 415)
        #expect(answer.text.contains("Content-Encoding gzip is not supported"))
        let plain = try await server.ask(.post, "/v1/completions", "{\"prompt\":\"x\"}", headers: ["Content-Encoding": "identity"])
        #expect(plain.status == 200)
    }

    @Test("A body that is too long is refused, stated or not")
    func bodySize() async throws {
        let server = TestServer(MockEngine(), ServerOptions(limits: .init(bodySize: 1000)))
        let answer = try await server.post("/v1/completions", ["prompt": .string(String(repeating: "x", count: 2000))])
        #expect(answer.status == 413)
        #expect(try answer.json["error"]?["code"] == "body_too_large")
    }

    @Test("Keys: none, a wrong one, a prefix, the right one, a second one; health needs none")
    func keys() async throws {
        let server = TestServer(MockEngine(), ServerOptions(apiKeys: ["secret-key", "other"]))
        #expect(try await server.ask(.get, "/health").status == 200)
        for (header, status) in [
            (nil, 401), ("secret-key", 401), ("Bearer wrong", 401), ("Bearer secret-ke", 401), ("Bearer secret-keysecret-key", 401),
            ("Bearer ", 401),
            ("Basic secret-key", 401), ("Bearer secret-key", 200), ("bearer other", 200),
        ] {
            let answer = try await server.ask(.get, "/v1/models", headers: header.map { ["Authorization": $0] } ?? [:])
            #expect(answer.status == status, "\(header ?? "none")")
            if header == "bearer other" {
                #expect(try await server.ask(.get, "/v1/models", headers: ["X-Api-Key": "other"]).status == 200)
                #expect(try await server.ask(.get, "/v1/models", headers: ["X-Api-Key": "othe"]).status == 401)
                let both = ["X-Api-Key": "other", "Authorization": "Basic x"]
                #expect(try await server.ask(.get, "/v1/models", headers: both).status == 200)
            }
            if status == 401 {
                #expect(try answer.json["error"]?["type"] == "authentication_error")
                #expect(answer.headers["www-authenticate"] == "Bearer")
            }
        }
        #expect(try await server.ask(.get, "/v1/nothing").status == 401)
    }

    @Test("Pages of other sites cannot use a server that has no key and is for this machine only")
    func browsers() async throws {
        let server = TestServer()
        #expect(try await server.ask(.get, "/v1/models", headers: ["Sec-Fetch-Site": "cross-site"]).status == 403)
        #expect(try await server.ask(.get, "/v1/models", headers: ["Sec-Fetch-Site": "same-origin"]).status == 200)
        let open = TestServer(MockEngine(), ServerOptions(apiKeys: ["k"]))
        let headers = ["Sec-Fetch-Site": "cross-site", "Authorization": "Bearer k"]
        #expect(try await open.ask(.get, "/v1/models", headers: headers).status == 200)
    }

    @Test("More requests than allowed are turned away with the time to come back")
    func admission() async throws {
        let server = TestServer(MockEngine(), ServerOptions(limits: .init(requests: 0)))
        let answer = try await server.post("/v1/completions", ["prompt": "x"])
        #expect(answer.status == 503)
        #expect(answer.headers["retry-after"] == "2")
        #expect(try await server.ask(.get, "/health").status == 200)
    }
}
