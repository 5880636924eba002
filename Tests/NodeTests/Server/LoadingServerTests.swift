import Base
import Logging
import Node
import RPCProto
import ServiceLifecycle
import Synchronization
import Testing

/// A server that listens before its model is there.
@Suite(.serialized, .timeLimit(.minutes(1))) struct LoadingServerTests {
    private struct Broken: Error, Equatable {}

    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// What a test's loading waits for.
    private final class Opening: Sendable {
        private let steps: AsyncStream<Void>
        private let source: AsyncStream<Void>.Continuation
        private let counted = Mutex(0)

        init() { (steps, source) = AsyncStream.makeStream() }

        /// How often loading has begun.
        var count: Int { counted.withLock { $0 } }

        func open() { source.finish() }

        func wait() async {
            counted.withLock { $0 += 1 }
            for await _ in steps {}
        }
    }

    private func get(_ path: String, _ port: Int) async throws -> String {
        try await blocking {
            let connection = try RawConnection(port: port)
            connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.receive()
        }
    }

    private func post(_ port: Int) async throws -> String {
        let body = "{\"prompt\":\"x\",\"max_tokens\":1}"
        return try await blocking {
            let connection = try RawConnection(port: port)
            connection.send(
                "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
            return connection.receive()
        }
    }

    /// Runs a server whose loading is `load`, until `body` returns.
    private func serving(
        _ load: @escaping @Sendable () async throws -> any ModelDirectory,
        _ body: @Sendable (_ port: Int, _ ready: AsyncStream<Int>) async throws -> Void
    ) async throws {
        let (ports, running) = AsyncStream<Int>.makeStream()
        let (readies, ready) = AsyncStream<Int>.makeStream()
        let server = HTTPServer(
            loading: load, events: EventFeed(), options: ServerOptions(port: 0), logger: Self.quiet, onRunning: { running.yield($0) },
            onReady: { ready.yield($0) })
        let group = ServiceGroup(services: [server], logger: Self.quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let port = try #require(await ports.first { _ in true })
            do {
                try await body(port, readies)
            } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    @Test("While the model is loaded every path of the API says 503 in llama.cpp's words; then requests are served")
    func loading() async throws {
        let opening = Opening()
        let engine = MockEngine()
        try await serving({
            await opening.wait()
            return SingleModel(engine)
        }) { port, ready in
            let words = "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}"
            for path in ["/health", "/v1/health", "/v1/models", "/v1/nodes", "/metrics"] {
                let answer = try await get(path, port)
                #expect(answer.hasPrefix("HTTP/1.1 503") && answer.contains(words), "\(path): \(answer)")
            }
            #expect(try await get("/", port).hasPrefix("HTTP/1.1 200"), "the page says itself that the model is being loaded")
            let early = try await post(port)
            #expect(early.hasPrefix("HTTP/1.1 503") && early.contains(words))
            opening.open()
            #expect(await ready.first { _ in true } == port)
            let health = try await get("/health", port)
            #expect(health.hasPrefix("HTTP/1.1 200"))
            let answer = try await post(port)
            #expect(answer.hasPrefix("HTTP/1.1 200"))
        }
        #expect(opening.count == 1)
        #expect(engine.seen.isShutDown)
    }

    @Test("A port in use is told before anything is loaded, and as what it is")
    func portInUse() async throws {
        let other = try #require(try SocketListener.listen(host: "127.0.0.1", port: 0).first)
        defer { other.stop() }
        let opening = Opening()
        opening.open()
        let server = HTTPServer(
            loading: {
                await opening.wait()
                return SingleModel(MockEngine())
            }, events: EventFeed(), options: ServerOptions(port: other.port), logger: Self.quiet)
        let error = await #expect(throws: ListeningError.self) { try await server.run() }
        #expect(error?.port == other.port)
        #expect(opening.count == 0)
    }

    @Test("A model that cannot be loaded ends the server with the reason, which has nothing to do with its port")
    func failure() async throws {
        let server = HTTPServer(
            loading: { throw Broken() }, events: EventFeed(), options: ServerOptions(port: 0), logger: Self.quiet)
        await #expect(throws: Broken.self) { try await server.run() }
    }

    @Test("A server that is stopped while its model is loaded does not wait for it; what comes later is shut down")
    func stopped() async throws {
        let opening = Opening()
        let engine = MockEngine()
        try await serving({
            await opening.wait()
            return SingleModel(engine)
        }) { port, _ in
            let health = try await get("/health", port)
            #expect(health.hasPrefix("HTTP/1.1 503"))
        }
        #expect(!engine.seen.isShutDown)
        opening.open()
        try await eventually("a model that nobody wants any more is kept") { engine.seen.isShutDown }
    }

    @Test("Waiting for requests to end comes to its end, however short its time")
    func noGrace() async throws {
        let gate = RequestGate(limit: 1)
        let pass = try gate.enter()
        for _ in 0..<2000 {
            let isEmpty = await gate.emptied(within: .zero)
            #expect(!isEmpty)
        }
        withExtendedLifetime(pass) {}
        // Those who leave let go of everybody who waits, and nobody is let go twice.
        for _ in 0..<500 {
            let gate = RequestGate(limit: 1)
            var pass: RequestGate.Pass? = try gate.enter()
            async let first = gate.emptied(within: .seconds(60))
            async let second = gate.emptied(within: .milliseconds(1))
            withExtendedLifetime(pass) {}
            pass = nil
            #expect(await first)
            _ = await second
        }
    }
}
