import Foundation
import Logging
import NodePeers
import NodeWorker
import RPCProto
import Testing

/// A node with files of its own, as on a machine of its own, that is told of others by their ports.
final class PeerMachine: Sendable {
    let folder = FileManager.default.temporaryDirectory.appending(path: "machine-\(UUID().uuidString)").path
    let node: PeerNode
    private static let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

    var environment: [String: String] { ["XDG_STATE_HOME": folder, "HOME": folder] }

    init(
        _ token: NetworkToken, _ role: NodeCard.Role, peers: [Int] = [], relays: Bool = false, receiver: ExposedServer? = nil
    ) throws {
        let settings = PeersSettings(
            token: token, host: "127.0.0.1", peers: peers.map { Endpoint(host: "127.0.0.1", port: $0) }, name: "machine",
            usesMDNS: false, relays: relays)
        let environment = ["XDG_STATE_HOME": folder, "HOME": folder]
        if let receiver {
            node = try PeerNode(
                settings, role, environment: environment, receiver: { card throws(TunnelError) in try receiver.receive(card) },
                logger: PeerMachine.quiet)
        } else {
            node = try PeerNode(settings, role, environment: environment, logger: PeerMachine.quiet)
        }
    }

    var port: Int { node.door?.port ?? 0 }

    /// As `swiftlet token revoke --local` does, from another process.
    func revoke(_ id: String) throws {
        try RevocationList(path: RevocationList.path(tag: node.tag, environment: environment)).add(id)
    }

    /// A worker at the node's door; it runs until the task is cancelled.
    func runWorker() throws -> (Worker, Task<Void, any Error>) {
        var options = WorkerOptions()
        options.hosts = []
        options.threads = 1
        options.limits.memory = 64 << 20
        options.graceSeconds = 0
        let door = try #require(node.door)
        let worker = try Worker(options, doors: [door], logger: PeerMachine.quiet)
        node.network.onRevoked { worker.endSessions(with: $0, "its node is revoked") }
        return (worker, Task { try await worker.run() })
    }

    deinit {
        node.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
