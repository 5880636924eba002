import Base
import Foundation
import Node
import Testing

/// The list of what other engines' requests have is true: what it calls done is read, what it calls refused is refused by name, the rest
/// is let pass. And the document made from it has all of it.
@Suite struct RequestMemberTests {
    private struct Kind {
        let request: RequestMember.Request
        let path: String
        let body: JSONObject
    }

    private let kinds = [
        Kind(request: .completion, path: "/v1/completions", body: ["prompt": "x", "max_tokens": 1]),
        Kind(request: .native, path: "/completion", body: ["prompt": "x", "n_predict": 1]),
        Kind(
            request: .chat, path: "/v1/chat/completions",
            body: ["messages": [["role": "user", "content": "x"]], "max_tokens": 1]),
    ]

    /// Values, one of which has the wrong type or is out of range for any member.
    private let odd: [JSONValue] = [["?": 1], [[[]]], 7.5, "?", true, -77]

    private func ask(_ server: TestServer, _ kind: Kind, _ name: String, _ value: JSONValue) async throws -> (
        status: Int, parameter: String?
    ) {
        var body = kind.body
        body[name] = value
        if name == "max_completion_tokens" || name == "n_predict" { body["max_tokens"] = nil }
        let answer = try await server.post(kind.path, .object(body))
        if answer.status == 200 { return (200, nil) }
        let error = try answer.json["error"]
        // llama-server's errors have the name in their text alone.
        let named = error?["message"]?.string?.split(separator: "'", omittingEmptySubsequences: false).dropFirst().first.map(String.init)
        return (answer.status, kind.request == .native ? named : error?["param"]?.string)
    }

    @Test("No member is listed twice for a request")
    func once() {
        for request in [RequestMember.Request.completion, .native, .chat, .embedding] {
            let names = RequestMember.all.filter { $0.requests.contains(request) }.map(\.name)
            #expect(Set(names).count == names.count, "\(Dictionary(grouping: names) { $0 }.filter { $1.count > 1 }.keys)")
        }
    }

    @Test("What is done is read: a wrong value is told with the member's name")
    func done() async throws {
        let server = TestServer()
        for kind in kinds {
            for member in RequestMember.all where member.standing == .done && member.requests.contains(kind.request) {
                var isRead = false
                for value in odd where !isRead {
                    let (status, parameter) = try await ask(server, kind, member.name, value)
                    isRead = status == 400 && parameter?.hasPrefix(member.name) == true
                }
                #expect(isRead, "\(member.name) of \(kind.path)")
            }
        }
    }

    @Test("What is refused is refused by name, unless its value asks for nothing")
    func refused() async throws {
        let server = TestServer()
        for kind in kinds {
            for member in RequestMember.all where member.requests.contains(kind.request) {
                guard case .refused(let neutral) = member.standing else { continue }
                for value in odd where !neutral.contains(value) {
                    let (status, parameter) = try await ask(server, kind, member.name, value)
                    #expect(status == 400 && parameter == member.name, "\(member.name): \(value.text)")
                }
                for value in neutral + [.null] {
                    #expect(try await ask(server, kind, member.name, value).status == 200, "\(member.name): \(value.text)")
                }
            }
        }
    }

    @Test("What makes no difference passes, whatever it is")
    func inert() async throws {
        let server = TestServer()
        for kind in kinds {
            for member in RequestMember.all where member.standing == .inert && member.requests.contains(kind.request) {
                for value in odd { #expect(try await ask(server, kind, member.name, value).status == 200, "\(member.name)") }
            }
        }
    }

    @Test("The document has a line for every member of every request")
    func document() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        let text = try String(contentsOf: root.appending(path: "docs/COMPATIBILITY.md"), encoding: .utf8)
        let sections = text.components(separatedBy: "\n## ")
        for (request, title) in [
            (RequestMember.Request.completion, "Completions"), (.native, "llama-server's"), (.chat, "Chats"), (.embedding, "Embeddings"),
        ] {
            let section = try #require(sections.first { $0.hasPrefix(title) })
            for member in RequestMember.all where member.requests.contains(request) {
                #expect(section.contains("\n| `\(member.name)` |"), "\(member.name) in \(title)")
            }
            let lines = section.split(separator: "\n").filter { $0.hasPrefix("| `") }
            #expect(lines.count == RequestMember.all.count { $0.requests.contains(request) })
        }
    }
}
