import Base
import Foundation
import Logging
import Node
import RPCProto
import Testing

/// One worker that is named twice: its memory counted twice, and models were placed that did not fit.
@Suite(.timeLimit(.minutes(2))) struct TwinTests {
    /// By two addresses of which nobody can see that they are one machine's; ours say who they are.
    @Test func aWorkerOfOursIsKnownByItsNumber() async throws {
        var options = WorkerOptions()
        options.hosts = ["0.0.0.0"]
        options.port = 0
        options.threads = 1
        options.limits.memory = 64 << 20
        options.graceSeconds = 0
        let worker = try Worker(options, logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
        let task = Task { try await worker.run() }
        let port = worker.port
        // Off the tasks' few threads, of which the worker needs one to begin.
        let (connections, identities) = try await BlockingWork.alone(name: "asks") {
            let connections = try ["127.0.0.1", "127.0.0.2"].map { try ServerConnection.connect(to: Endpoint(host: $0, port: port)) }
            return (connections, connections.map { $0.identities() })
        }
        #expect(identities[0] != identities[1])
        #expect(!identities[0].isDisjoint(with: identities[1]))
        #expect(identities.allSatisfy { $0.contains { if case .number = $0 { true } else { false } } })
        for connection in connections { connection.close() }

        // A pool uses it by one of its names, and says so.
        let pool = try NodePool(HeadOptions(workers: ["127.0.0.1:\(port)", "127.0.0.2:\(port)"]), events: EventFeed())
        for _ in 0..<1000 where pool.statuses.filter({ $0.reason?.contains("is the same worker as") == true }).count != 1 {
            try await Task.sleep(for: .milliseconds(10))
        }
        let states = pool.statuses
        let twin = try #require(states.first { $0.state == .absent })
        let used = try #require(states.first { $0.state != .absent })
        #expect(twin.reason == "\(twin.address) is the same worker as \(used.address), by which it is used")
        pool.stop()
        task.cancel()
        _ = await task.result
    }

    /// Two names of one address, which is all that can be known of other servers.
    @Test func namesAreComparedByWhatTheyStandFor() {
        let endpoints = [
            Endpoint(host: "127.0.0.1", port: 9), Endpoint(host: "localhost", port: 9), Endpoint(host: "127.0.0.1", port: 10),
            Endpoint(host: "127.0.0.2", port: 9), Endpoint(host: "not.a.name.invalid", port: 9),
        ]
        #expect(Endpoint.firstAlike(of: endpoints, within: 10) == [0, 0, 2, 3, 4])
    }
}
