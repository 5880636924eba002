import Base
import Node
import Testing

/// What pages in a browser may do: those of this machine anything, others what `--cors-origin` says.
@Suite struct BrowserTests {
    private let asking = ["Origin": "https://chat.example", "Access-Control-Request-Method": "POST"]
    private let body = "{\"prompt\":\"x\",\"max_tokens\":1}"

    @Test("Pages of other sites cannot use a server without a key, whichever way a browser says whose they are")
    func foreign() async throws {
        let server = TestServer()
        for origin in ["https://chat.example", "null", "http://127.evil.com", "http://localhost.evil.com"] {
            let answer = try await server.ask(.post, "/v1/completions", body, headers: ["Origin": origin])
            #expect(answer.status == 403, "\(origin)")
            #expect(try answer.json["error"]?["message"]?.string?.contains("--cors-origin '\(origin)'") == true)
            #expect(answer.headers["access-control-allow-origin"] == nil)
        }
        for origin in ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]"] {
            #expect(try await server.ask(.post, "/v1/completions", body, headers: ["Origin": origin]).status == 200, "\(origin)")
        }
        let asked = try await server.ask(.options, "/v1/completions", headers: asking)
        #expect(asked.status == 403)
        #expect(server.engine.seen.requests.count == 3)
    }

    @Test(
        "An origin that may is told so before a request, without a key, and with answers, errors and streams",
        arguments: ["https://chat.example", "*"])
    func allowed(origins: String) async throws {
        let server = TestServer(MockEngine(), ServerOptions(port: 0, apiKeys: ["k"], corsOrigins: [origins]))
        let asked = try await server.ask(
            .options, "/v1/completions",
            headers: asking.merging(["Access-Control-Request-Headers": "authorization,content-type"]) { $1 })
        #expect(asked.status == 200)
        #expect(asked.headers["access-control-allow-origin"] == "https://chat.example")
        #expect(asked.headers["access-control-allow-methods"]?.contains("POST") == true)
        #expect(asked.headers["access-control-allow-headers"] == "authorization,content-type")
        let page = ["Origin": "https://chat.example", "Sec-Fetch-Site": "cross-site"]
        let refused = try await server.ask(.post, "/v1/completions", body, headers: page)
        #expect(refused.status == 401)
        #expect(refused.headers["access-control-allow-origin"] == "https://chat.example")
        let keyed = page.merging(["Authorization": "Bearer k"]) { $1 }
        let streamed = try await server.ask(.post, "/v1/completions", "{\"prompt\":\"x\",\"stream\":true}", headers: keyed)
        #expect(streamed.status == 200)
        #expect(streamed.headers["access-control-allow-origin"] == "https://chat.example")
        #expect(streamed.headers["vary"] == "Origin")
        let keyless = TestServer(MockEngine(), ServerOptions(port: 0, corsOrigins: [origins]))
        #expect(try await keyless.ask(.post, "/v1/completions", body, headers: page).status == 200)
    }

    @Test("An origin that is not on the list stays out")
    func others() async throws {
        let server = TestServer(MockEngine(), ServerOptions(port: 0, corsOrigins: ["https://other.example", "https://chat.example:444"]))
        #expect(try await server.ask(.options, "/v1/completions", headers: asking).status == 403)
        let answer = try await server.ask(.post, "/v1/completions", body, headers: ["Origin": "https://chat.example"])
        #expect(answer.status == 403)
        #expect(answer.headers["access-control-allow-origin"] == nil)
    }
}
