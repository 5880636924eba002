import Base
import Foundation
import Node

/// `swiftlet worker --p2p`: a worker that heads find by themselves, and that only they come to.
enum PeerWorking {
    static func run(_ options: WorkerOptions, _ settings: PeersSettings, logLevel: String, _ format: LogFormat) async throws {
        let logger = format.logger(level: logLevel)
        let node = try PeerNode(settings, .worker, environment: ProcessInfo.processInfo.environment, logger: logger)
        guard let door = node.door else { return }
        try await Working.run(options, doors: [door], logger: logger, format) { worker in
            node.setDevices(worker.deviceTexts)
            node.network.onRevoked { worker.endSessions(with: $0, "its node is revoked") }
            try node.start()
            return ["node \(node.id) takes tunnels at port \(door.port), in network \(node.tag)"]
        }
        node.stop()
    }
}
