import Foundation
import Logging
import Node
import RPCProto
import Testing

/// A worker gives heads a second connection for signs of life that is no session and takes nobody's place.
@Suite struct WorkerLifeLineTests {
    private func wait(until isSo: () -> Bool) async {
        for _ in 0..<1200 where !isSo() { try? await Task.sleep(for: .milliseconds(50)) }
        #expect(isSo())
    }

    @Test("life lines are counted among no sessions and against no limits", .timeLimit(.minutes(2)))
    func counting() async throws {
        var options = WorkerOptions()
        options.port = 0
        options.threads = 1
        options.limits.memory = 64 << 20
        options.limits.connectionsPerClient = 3
        options.graceSeconds = 0
        let worker = try Worker(options, logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
        let task = Task { try await worker.run() }
        let lines = LifeLines()
        var connections: [ServerConnection] = []
        for count in 1...2 {
            let connection = try ServerConnection.connect(to: Endpoint(host: "127.0.0.1", port: worker.port))
            connections.append(connection)
            lines.watch(connection) { Issue.record("it was given up") }
            await wait { connection.lifeLineRoundTrip != nil }
            #expect(worker.status.sessions == count)
            #expect(worker.status.connectionsAccepted == 2 * count)
        }
        // The third of three, beside two life lines.
        connections.append(try ServerConnection.connect(to: Endpoint(host: "127.0.0.1", port: worker.port)))
        #expect(worker.status.sessions == 3)
        #expect(worker.status.connectionsTurnedAway == 0)
        for connection in connections { connection.close() }
        await wait { worker.status.sessions == 0 }
        task.cancel()
        _ = await task.result
    }
}
