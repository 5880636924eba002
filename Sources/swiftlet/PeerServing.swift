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
        try await Serving.run(models, server, network: node.network, logLevel: logLevel, logFormat: format) {
            ProgressReport(loading: $0, isQuiet: isQuiet)
        }
        node.stop()
    }
}
