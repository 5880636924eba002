import Node
import Testing

/// The page at `/`: whole, guarded, and there for everyone.
@Suite(.timeLimit(.minutes(1))) struct PageTests {
    @Test("The page and all that it names are there without a key, each as what it is, and let nothing in from elsewhere")
    func files() async throws {
        let server = TestServer(MockEngine(), ServerOptions(port: 0, apiKeys: ["k"]))
        let page = try await server.ask(.get, "/")
        #expect(page.status == 200 && page.headers["content-type"] == "text/html; charset=utf-8")
        #expect(try await server.ask(.get, "/index.html").body == page.body)
        var paths: Set<String> = []
        for match in page.text.matches(of: #/(?:href|src)="([^"#][^"]*)"/#) { paths.insert("/\(match.1)") }
        let script = try await server.ask(.get, "/page/app.js")
        for match in script.text.matches(of: #/from "\.(/[^"]+)"/#) { paths.insert("/page\(match.1)") }
        #expect(paths.count > 6)
        for path in paths.sorted() + ["/"] {
            let answer = try await server.ask(.get, path)
            #expect(answer.status == 200, "\(path)")
            let types = [".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"]
            let type = types.first { path.hasSuffix($0.key) }?.value ?? "text/html"
            #expect(answer.headers["content-type"]?.hasPrefix(type) == true, "\(path)")
            let policy = answer.headers["content-security-policy"] ?? ""
            for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
                #expect(policy.contains(part), "\(path) \(part)")
            }
            #expect(!policy.contains("unsafe") && !policy.contains("http"))
            #expect(answer.headers["x-content-type-options"] == "nosniff" && answer.headers["referrer-policy"] == "no-referrer")
            #expect(answer.text.firstMatch(of: #/https?:\/\/(?!www\.w3\.org\/2000\/svg")/#) == nil, "\(path) names another host")
        }
        #expect(page.text.firstMatch(of: #/<script(?![^>]* src=)|<style| style=| on[a-z]+=/#) == nil)
        #expect(try await server.ask(.get, "/page/none.js").status == 401)
        #expect(try await server.ask(.post, "/").status == 405)
    }

    @Test("A file that a browser has is not sent again")
    func tags() async throws {
        let server = TestServer()
        let whole = try await server.ask(.get, "/page/style.css")
        let tag = try #require(whole.headers["etag"])
        #expect(whole.headers["cache-control"] == "no-cache")
        for known in [tag, "\"other\", W/\(tag)", "*"] {
            let again = try await server.ask(.get, "/page/style.css", headers: ["If-None-Match": known])
            #expect(again.status == 304 && again.body.isEmpty && again.headers["etag"] == tag, "\(known)")
        }
        #expect(try await server.ask(.get, "/page/style.css", headers: ["If-None-Match": "\"other\""]).status == 200)
        #expect(try await server.ask(.get, "/", headers: ["If-None-Match": tag]).status == 200)
        let head = try await server.ask(.head, "/")
        #expect(head.status == 200 && head.body.isEmpty && head.headers["etag"] != nil)
    }
}
