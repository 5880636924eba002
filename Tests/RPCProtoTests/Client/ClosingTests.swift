import Foundation
import RPCProto
import Synchronization
import Tensor
import Testing

/// How connections end: a stock server dies by SIGPIPE if it writes an answer to a connection that was closed in an orderly way, and
/// takes all its clients' work along; one that finds a reset goes on.
@Suite(.timeLimit(.minutes(1))) struct ClosingTests {
    private enum End: Hashable { case orderly, reset }

    /// A server that takes a greeting and never answers: frozen, or busy with another client.
    @Test func aGreetingThatIsOwedIsGivenUpByReset() throws {
        let listener = try SocketListener.listen(host: "127.0.0.1", port: 0)[0]
        defer { listener.stop() }
        let end = Mutex<End?>(nil)
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            defer { done.signal() }
            guard let stream = try? listener.accept() else { return }
            do {
                while try stream.receiveByte() != nil {}
                end.withLock { $0 = .orderly }
            } catch {
                end.withLock { $0 = .reset }
            }
        }
        let endpoint = Endpoint(host: "127.0.0.1", port: listener.port)
        #expect(throws: BackendError.self) {
            _ = try ServerConnection.connect(to: endpoint, limits: ClientLimits(connect: 5, answer: 0.3, step: 5))
        }
        done.wait()
        #expect(end.withLock { $0 } == .reset)
    }

    /// Broken off from another thread in the middle of a question, while the first waits for the answer: at once, although the
    /// connection is still referred to.
    @Test func aConnectionThatWaitsIsBrokenOffByReset() async throws {
        let server = try LoopbackServer(pausing: { $0 == .getDeviceMemory ? 1 : 0 })
        let connection = try ServerConnection.connect(to: server.endpoint)
        let asked = Date.now
        Thread.detachNewThread {
            usleep(200_000)
            connection.close()
        }
        #expect(throws: BackendError.self) { _ = try connection.devices[0].memory() }
        #expect(Date.now.timeIntervalSince(asked) < 0.9, "the answer was waited for")
        #expect(connection.wasClosedHere)
        for _ in 0..<500 where server.ends.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        guard case .lost? = server.ends.first else {
            Issue.record("it ended as \(server.ends)")
            return
        }
        withExtendedLifetime(connection) {}
    }

    /// At rest nothing is owed, and no server is told of a failure.
    @Test func aConnectionAtRestIsClosedInOrder() async throws {
        let server = try LoopbackServer()
        let connection = try ServerConnection.connect(to: server.endpoint)
        _ = try connection.devices[0].memory()
        connection.close()
        for _ in 0..<500 where server.ends.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        guard case .closed? = server.ends.first else {
            Issue.record("it ended as \(server.ends)")
            return
        }
    }
}
