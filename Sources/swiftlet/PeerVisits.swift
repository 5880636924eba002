import Base
import Foundation
import Node

/// Finds the nodes of a network and looks at each once, which also tells each who is revoked.
enum PeerVisits {
    /// - Parameter time: seconds to look for them, at most.
    static func run(_ settings: PeersSettings, time: Double, logLevel: String = "error") async throws -> NodesListing {
        let logger = LogFormat.text.logger(level: logLevel)
        let node = try PeerNode(settings, .visitor, environment: ProcessInfo.processInfo.environment, logger: logger)
        try node.start()
        defer { node.stop() }
        return try await BlockingWork.alone(name: "visits") {
            node.network.settle(quiet: .seconds(1), atMost: .seconds(time))
            let entries = Parallel.map(node.network.nodes) { listed -> NodesListing.Entry? in
                do {
                    let visit = try node.network.visit(listed)
                    return NodesListing.Entry(
                        card: visit.card, route: "\(visit.route)", way: node.network.kind(of: visit.route), roundTrip: visit.roundTrip)
                } catch {
                    return nil
                }
            }
            return NodesListing(tag: node.tag, entries: entries.compactMap(\.self), misses: node.network.misses)
        }
    }
}
