import ArgumentParser
import Base
import Foundation
import Node
import RPCProto

struct BootstrapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bootstrap",
        abstract: "Runs a node of the distributed hash table at which others begin, for networks that do without the public one.",
        discussion: """
            It needs no token and learns of none: it sees addresses, and keys that say nothing. On a machine that all can reach:
              swiftlet bootstrap --port 6881
            and on every other:
              swiftlet worker --p2p --p2p-token-file network.token --bootstrap that.machine.example:6881

            One is enough, two are better: nodes that have found each other do not need it any more.
            """)

    @Option(help: ArgumentHelp("The UDP port.", valueName: "n"))
    var port = 6881

    @Option(help: ArgumentHelp("The address at which it is. Default: all of this machine's.", valueName: "address"))
    var host: String?

    @Option(
        name: .customLong("bootstrap"),
        help: ArgumentHelp("Another node of the table to begin at; may be given more than once.", valueName: "host:port"))
    var bootstrap: [String] = []

    @Option(
        name: .customLong("log-level"),
        help: ArgumentHelp("How much to log on standard error: \(Serving.logLevels.joined(separator: ", ")).", valueName: "level"))
    var logLevel = "info"

    @Option(name: .customLong("log-format"), help: ArgumentHelp("How log lines look: text or json.", valueName: "format"))
    var logFormat = LogFormat.text.rawValue

    func validate() throws {
        if !(0...65535).contains(port) { throw ValidationError("--port must be from 0 to 65535.") }
        if !Serving.logLevels.contains(logLevel) {
            throw ValidationError("--log-level must be one of \(Serving.logLevels.joined(separator: ", ")).")
        }
        if LogFormat(rawValue: logFormat) == nil { throw ValidationError("--log-format must be text or json.") }
        for text in bootstrap { _ = try place(text) }
    }

    private func place(_ text: String) throws -> Endpoint {
        do throws(EndpointError) { return try PeersSettings.peer(text) } catch { throw ValidationError("--bootstrap: \(error).") }
    }

    func run() async throws {
        let logger = (LogFormat(rawValue: logFormat) ?? .text).logger(level: logLevel)
        var options = TableService.Options(bootstrap: try bootstrap.map(place))
        options.port = port
        options.host = host
        let service = TableService(options, logger: logger) { _, _ in }
        let isOver = Monitor(false)
        Termination.onSignals { _ in isOver.change { $0 = true } }
        try await BlockingWork.alone(name: "bootstrap") {
            try service.start()
            logger.notice("a node of the table at UDP port \(service.port)")
            var last = 0
            while isOver.wait(atMost: .seconds(30), { $0 ? true : nil }) == nil {
                let status = service.status
                if status.nodes != last { logger.info("\(status.nodes) nodes are known, \(status.storedPeers) places are kept for others") }
                last = status.nodes
            }
            service.stop()
            logger.notice("stopped")
        }
    }
}
