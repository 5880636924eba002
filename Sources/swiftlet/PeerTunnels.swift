import Base
import Foundation
import Node
import RPCProto

/// `swiftlet tunnel`: programs that know nothing of the network, at either end of tunnels.
enum PeerTunnels {
    /// Puts a server into the network, until a signal.
    static func expose(_ server: Endpoint, _ settings: PeersSettings, logLevel: String, _ format: LogFormat) async throws {
        Descriptors.raiseLimit()
        let logger = format.logger(level: logLevel)
        let exposed = ExposedServer(server, logger: logger)
        let node = try PeerNode(
            settings, .tunnel, environment: ProcessInfo.processInfo.environment,
            receiver: { card throws(TunnelError) in try exposed.receive(card) }, logger: logger)
        node.network.onRevoked { exposed.end($0) }
        let isOver = Monitor(false)
        Termination.onSignals { _ in isOver.change { $0 = true } }
        try await BlockingWork.alone(name: "tunnel") {
            let devices = exposed.devices()
            node.setDevices(devices ?? ["the server at \(server)"])
            if devices == nil { logger.warning("\(server) does not answer yet: tunnels are refused until it does") }
            try node.start()
            logger.notice("node \(node.id) takes tunnels to \(server) at port \(node.door?.port ?? 0), in network \(node.tag)")
            // One that was not there says later what it has.
            var isKnown = devices != nil
            while isOver.wait(atMost: isKnown ? nil : .seconds(10), { $0 ? true : nil }) == nil {
                guard let found = exposed.devices() else { continue }
                node.setDevices(found)
                isKnown = true
            }
            node.stop()
            exposed.endAll()
            logger.notice("stopped")
        }
    }

    /// Gives a network's nodes ports of this machine, until a signal or the end of the program that is run over them.
    ///
    /// - Returns: the status to end with.
    static func listen(
        at host: String, running words: [String]?, _ options: HeadSchedule.Options, _ settings: PeersSettings, logLevel: String,
        _ format: LogFormat
    ) async throws -> Int32 {
        Descriptors.raiseLimit()
        let logger = format.logger(level: logLevel)
        let node = try PeerNode(
            settings, .head, environment: ProcessInfo.processInfo.environment,
            refusal: { _, purpose in purpose == .rpc ? "this is a head, which lends nothing" : nil }, logger: logger)
        let network = node.network
        let ports = NetworkPorts(host: host, logger: logger) { id, routes, seconds throws(StreamError) in
            try network.open(id, routes, within: seconds)
        }
        let hidden = TokenSource.tokenVariables(of: ProcessInfo.processInfo.environment)
        let runner = HeadRunner(ports, running: words, hiding: hidden, options, logger: logger) {
            try Output.standard.write("--rpc \($0)\n")
        }
        Termination.onSignals { runner.end(by: $0) }
        network.start { ports.show($0) }
        try node.start()
        logger.notice("node \(node.id) in network \(node.tag)")
        defer {
            ports.stop()
            node.stop()
        }
        return try await BlockingWork.alone(name: "tunnel") { try runner.run() }
    }
}
