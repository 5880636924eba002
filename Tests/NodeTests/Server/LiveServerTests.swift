import HummingbirdTesting
import Logging
import Node
import ServiceLifecycle
import Synchronization
import Testing

/// What only shows on a real socket: clients that go, stall or overdo it, and stopping.
@Suite(.serialized) struct LiveServerTests {
    /// Runs a server, and stops it as a signal would when `body` is done.
    private func serving(
        _ engine: MockEngine, _ limits: ServerOptions.Limits = .init(),
        body: @Sendable (_ port: Int, _ stop: @escaping @Sendable () async -> Void) async throws -> Void
    ) async throws {
        let (ports, source) = AsyncStream<Int>.makeStream()
        let server = HTTPServer(
            engine: engine, options: ServerOptions(port: 0, limits: limits),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            onRunning: { source.yield($0) })
        let group = ServiceGroup(services: [server], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let port = try #require(await ports.first { _ in true })
            do {
                try await body(port) { await group.triggerGracefulShutdown() }
            } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
        #expect(engine.seen.isShutDown)
    }

    private func post(_ body: String, _ path: String = "/v1/completions") -> String {
        "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test("A client that goes away during a stream stops costing")
    func goneWhileStreaming() async throws {
        let engine = MockEngine(.init(pause: .milliseconds(5), isEndless: true))
        try await serving(engine) { port, _ in
            try await blocking {
                let connection = try RawConnection(port: port)
                connection.send(self.post("{\"prompt\":\"x\",\"stream\":true}"))
                #expect(connection.receive(until: "data: ").contains("200 OK"))
            }
            try await eventually("the engine works for a client that has gone") { engine.seen.live == 0 }
            #expect(engine.seen.abandoned == 1)
        }
    }

    @Test("A stream shows that it lives before its first token: headers with its slot, then comments; what fails then is told in it")
    func silence() async throws {
        let engine = MockEngine(.init(prefill: .seconds(2), failure: (-1, .unavailable("gone"))))
        try await serving(engine, .init(pulseTime: .milliseconds(50))) { port, _ in
            try await blocking {
                let connection = try RawConnection(port: port)
                connection.send(self.post("{\"prompt\":\"x\",\"stream\":true}"))
                let answer = connection.receive(until: "unavailable_error")
                #expect(answer.contains("200 OK"))
                #expect(answer.components(separatedBy: ": still here\n\n").count > 2)
                #expect(answer.contains("data: {\"error\""))
            }
        }
    }

    @Test("A client that goes away while nothing is being written to it stops costing")
    func goneWhileWaiting() async throws {
        let engine = MockEngine(.init(pause: .milliseconds(5), isEndless: true))
        try await serving(engine) { port, _ in
            let connection = try await blocking {
                let connection = try RawConnection(port: port)
                connection.send(self.post("{\"prompt\":\"x\"}"))
                return connection
            }
            try await eventually("the request does not arrive") { engine.seen.live == 1 }
            connection.endSending()
            try await eventually("the engine works for a client that has gone") { engine.seen.live == 0 }
        }
    }

    @Test("A client that takes nothing of its answer is let go")
    func stalled() async throws {
        let text = String(repeating: "all work and no play ", count: 20)
        let engine = MockEngine(.init(script: text, isEndless: true))
        try await serving(engine, .init(stalledTime: .milliseconds(300))) { port, _ in
            let connection = try await blocking {
                let connection = try RawConnection(port: port)
                connection.send(self.post("{\"prompt\":\"x\",\"stream\":true}"))
                return connection
            }
            try await eventually("the request does not arrive") { engine.seen.live == 1 }
            try await eventually("the engine works for a client that does not listen") { engine.seen.live == 0 }
            _ = connection
        }
    }

    @Test("Connections are kept for further requests, and pipelined ones are answered in order")
    func keepAlive() async throws {
        let engine = MockEngine()
        try await serving(engine) { port, _ in
            try await blocking {
                let connection = try RawConnection(port: port)
                for length in 1...3 {
                    connection.send(self.post("{\"prompt\":\"x\",\"max_tokens\":\(length)}"))
                    #expect(connection.receive(until: "\"completion_tokens\":\(length)").contains("200 OK"))
                    connection.send(self.post("{\"prompt\":\"x\",\"stream\":true}"))
                    #expect(connection.receive(until: "[DONE]\n\n\r\n0\r\n\r\n").contains("200 OK"))
                }
                connection.send(self.post("{\"content\":\"a\"}", "/tokenize") + self.post("{\"content\":\"b\"}", "/tokenize"))
                let both = connection.receive(until: "[98]")
                #expect(both.firstRange(of: "[97]") != nil)
            }
        }
    }

    @Test("A body longer than allowed is refused before it is sent, or while it is; the refusal arrives")
    func oversized() async throws {
        let engine = MockEngine()
        try await serving(engine, .init(bodySize: 10_000)) { port, _ in
            try await blocking {
                let stated = try RawConnection(port: port)
                stated.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
                let refusal = stated.receive()
                #expect(refusal.contains("413"))
                #expect(!refusal.contains("100 Continue"))
                let chunked = try RawConnection(port: port)
                chunked.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
                let piece = "1000\r\n" + String(repeating: "x", count: 0x1000) + "\r\n"
                for _ in 0..<20 where !chunked.send(piece) { break }
                #expect(chunked.receive(until: "body_too_large").contains("413"))
                let polite = try RawConnection(port: port)
                let body = "{\"content\":\"a\"}"
                polite.send(
                    "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\nExpect: 100-continue\r\n\r\n")
                #expect(polite.receive(until: "\r\n\r\n").contains("100 Continue"))
                polite.send(body)
                #expect(polite.receive(until: "[97]").contains("200 OK"))
            }
        }
    }

    @Test("A body that does not arrive in time is not waited for; nor is a header")
    func slow() async throws {
        let engine = MockEngine()
        try await serving(engine, .init(idleTime: .milliseconds(300), bodyTime: .milliseconds(200))) { port, _ in
            try await blocking {
                let body = try RawConnection(port: port)
                body.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"prompt\"")
                #expect(body.receive().contains("408"))
                let header = try RawConnection(port: port)
                header.send("POST /v1/completions HTTP/1.1\r\nHost: lo")
                #expect(header.receive() == "")
            }
            #expect(engine.seen.requests.isEmpty)
        }
    }

    @Test("What is not HTTP is refused and the server serves on", arguments: Malformed.all)
    func notHTTP(what: Malformed) async throws {
        let text = what.text
        let engine = MockEngine()
        try await serving(engine, .init(idleTime: .seconds(2), bodyTime: .seconds(1))) { port, _ in
            try await blocking {
                let connection = try RawConnection(port: port)
                connection.send(text)
                let answer = connection.receive()
                #expect(!answer.contains("200 OK"))
                let next = try RawConnection(port: port)
                next.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                #expect(next.receive().contains("200 OK"))
            }
        }
    }

    @Test("A server addressed by a foreign name refuses: a page may have had its name pointed here")
    func foreignHost() async throws {
        try await serving(MockEngine()) { port, _ in
            try await blocking {
                let connection = try RawConnection(port: port)
                connection.send("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
                #expect(connection.receive(until: "wrong_host").contains("403"))
                // Read as addresses: a name that begins like one may lead anywhere.
                let foreign = [
                    "127.evil.com", "127.0.0.1.evil.com", "127.0.0.256", "127.0.0.1:x", "localhost.evil.com", "[::1].evil.com", "[::1",
                    "127.0.0.1@evil.com", "10.0.0.1", "127.1",
                ]
                for host in foreign {
                    let asking = try RawConnection(port: port)
                    asking.send("GET /v1/models HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
                    let answer = asking.receive()
                    #expect(answer.contains("403") || answer.contains("400"), "\(host)")
                }
                for host in ["127.0.0.1:\(port)", "127.8.9.1", "[::1]:\(port)", "LOCALHOST", "localhost.", "a.localhost:1"] {
                    let local = try RawConnection(port: port)
                    local.send("GET /v1/models HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
                    #expect(local.receive(until: "mock").contains("200 OK"), "\(host)")
                }
            }
        }
    }

    @Test("Stopping lets the answers under way finish, turns new requests away, and returns")
    func gracefulStop() async throws {
        let engine = MockEngine(.init(pause: .milliseconds(50)))
        try await serving(engine) { port, stop in
            let streaming = try await blocking {
                let connection = try RawConnection(port: port)
                connection.send(self.post("{\"prompt\":\"x\",\"stream\":true}"))
                _ = connection.receive(until: "data: ")
                return connection
            }
            let idle = try await blocking { try RawConnection(port: port) }
            await stop()
            try await blocking {
                // Word of the stop takes a moment to get around.
                var health = ""
                for _ in 0..<100 where !health.contains("503") {
                    let asking = try RawConnection(port: port)
                    asking.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    health = asking.receive()
                }
                #expect(health.contains("shutting_down"))
                idle.send(self.post("{\"prompt\":\"x\"}"))
                #expect(idle.receive(until: "shutting_down").contains("503"))
                let refused = try RawConnection(port: port)
                refused.send(self.post("{\"prompt\":\"x\"}"))
                #expect(refused.receive(until: "shutting_down").contains("503"))
                #expect(streaming.receive(until: "[DONE]").contains("[DONE]"))
            }
            try await eventually("the engine is not shut down") { engine.seen.isShutDown }
        }
        #expect(engine.seen.abandoned == 0)
    }

    @Test("Answers that outlast the grace period are broken off with an error")
    func forcedStop() async throws {
        let engine = MockEngine(.init(pause: .milliseconds(10), isEndless: true))
        try await serving(engine, .init(gracePeriod: .milliseconds(300))) { port, stop in
            let streaming = try await blocking {
                let connection = try RawConnection(port: port)
                connection.send(self.post("{\"prompt\":\"x\",\"stream\":true}"))
                _ = connection.receive(until: "data: ")
                return connection
            }
            await stop()
            let rest = try await blocking { streaming.receive(until: "shutting_down") }
            #expect(rest.contains("shutting_down"))
        }
        // What generates learns of it in a task of its own.
        try await eventually("an answer is still generated") { engine.seen.live == 0 }
    }

    @Test("Many clients at once, some of which leave, all get what is theirs")
    func many() async throws {
        let engine = MockEngine(.init(pause: .milliseconds(1)))
        try await serving(engine) { port, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<24 {
                    group.addTask {
                        try await blocking {
                            let connection = try RawConnection(port: port)
                            connection.send(self.post("{\"prompt\":\"x\",\"stream\":true}"))
                            if index % 3 == 0 {
                                _ = connection.receive(until: "data: ")
                            } else {
                                #expect(connection.receive(until: "[DONE]").contains("[DONE]"))
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await eventually("an answer goes on that nobody waits for") { engine.seen.live == 0 }
        }
    }
}

/// Bytes that are no request.
struct Malformed: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let text: String

    static let all = [
        Malformed(testDescription: "a TLS greeting", text: "\u{16}\u{3}\u{1}\u{2}garbage\r\n\r\n"),
        Malformed(testDescription: "a strange version", text: "GET / HTTP/9.9\r\n\r\n"),
        Malformed(testDescription: "no version", text: "GET /\r\n\r\n"),
        Malformed(testDescription: "a negative length", text: post("Content-Length: -5")),
        Malformed(testDescription: "two lengths", text: post("Content-Length: 5\r\nTransfer-Encoding: chunked") + "zz\r\n"),
        Malformed(testDescription: "a chunk without a length", text: post("Transfer-Encoding: chunked") + "zz\r\n"),
        Malformed(testDescription: "a long header", text: post("A: " + String(repeating: "x", count: 100_000))),
        Malformed(testDescription: "many headers", text: post(String(repeating: "A: b\r\n", count: 1000) + "A: b")),
    ]

    private static func post(_ headers: String) -> String {
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n\r\n"
    }
}
