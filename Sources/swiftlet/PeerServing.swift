import Base
import Foundation
import Node

/// `swiftlet serve --p2p`: a head that finds its workers by itself.
enum PeerServing {
    static func run(
        _ models: [EngineOptions], _ server: ServerOptions, _ settings: PeersSettings, logLevel: String, _ format: LogFormat, isQuiet: Bool
    ) async throws {
        let logger = format.logger(level: logLevel)
        let node = try PeerNode(
            settings, .head, environment: ProcessInfo.processInfo.environment,
            refusal: { _, purpose in purpose == .rpc ? "this is a head, which lends nothing" : nil }, logger: logger)
        try node.start()
        logger.notice("node \(node.id) in network \(node.tag)")
        try await Serving.run(models, server, peers: node.network, network: View(node: node), logLevel: logLevel, logFormat: format) {
            ProgressReport(loading: $0, isQuiet: isQuiet)
        }
        node.stop()
    }

    /// The network as it is shown over HTTP.
    private struct View: NetworkView {
        let node: PeerNode
        let startTime = Date()

        var token: String { node.settings.token.text }
        var networkID: String? { node.settings.networkID.isEmpty ? nil : node.settings.networkID }
        var nodeID: String { node.id }

        var workerCommand: String {
            // Where the table begins is to be said only where nothing else says it.
            let settings = node.settings
            let known = settings.token.bootstrap + PeersSettings.publicBootstrap.map { "\($0)" }
            let bootstrap = (settings.bootstrap ?? []).map { "\($0)" }.filter { !known.contains($0) }
            return "swiftlet worker --p2p" + NewNetwork.options(networkID: settings.networkID, bootstrap: bootstrap)
        }

        var nodes: [NetworkNode] {
            node.network.nodes.compactMap { listed in
                guard let role = NetworkNode.Role(rawValue: listed.card.role.rawValue) else { return nil }
                return NetworkNode(
                    id: listed.card.id, name: listed.card.name, role: role, version: listed.card.version,
                    addresses: listed.routes.map { "\($0)" }, devices: listed.card.devices.joined(separator: "; "), isOnline: true,
                    lastSeen: Date() - node.network.age(of: listed))
            }
        }
    }
}
