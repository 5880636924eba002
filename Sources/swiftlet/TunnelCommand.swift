import ArgumentParser
import Base
import Foundation
import Node
import RPCProto

struct TunnelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tunnel",
        abstract: "Joins programs that know nothing of a network of machines to it, such as stock llama.cpp's.",
        discussion: """
            To lend a stock ggml-rpc-server, which runs on this machine, to the network's heads:
              swiftlet tunnel --expose 127.0.0.1:50052 --p2p-token-file network.token
            To have a stock llama.cpp head use the network's workers:
              swiftlet tunnel --listen --p2p-token-file network.token \\
                --exec 'llama-server -m model.gguf -ngl 99 --rpc {}'

            --listen prints a line '--rpc ADDRESS:PORT,…' whenever the list of workers has changed; a node keeps its port while this \
            program runs. docs/PEERS.md says more.
            """)

    @Option(help: ArgumentHelp("The server of ggml's RPC that is put into the network.", valueName: "host:port"))
    var expose: String?

    @Flag(name: .customLong("listen"), help: "Give each worker of the network a port of this machine.")
    var listens = false

    @Argument(help: ArgumentHelp("The address of the ports of --listen. Default: 127.0.0.1.", valueName: "address"))
    var address: String?

    @Option(
        help: ArgumentHelp(
            "A program to run with the list in the place of {}. It is no shell's line, but quotes and backslashes count.",
            valueName: "command"))
    var exec: String?

    @Option(help: ArgumentHelp("How many workers --exec waits for.", valueName: "n"))
    var wait = 1

    @Option(
        name: .customLong("wait-time"),
        help: ArgumentHelp("Seconds after which those that are there have to do.", valueName: "s"))
    var waitTime = 60.0

    @Option(
        help: ArgumentHelp(
            "Seconds without traffic after which a program is ended and started anew where the list has changed.", valueName: "s"))
    var idle = 10.0

    @OptionGroup(title: "The network") var peers: PeersOptions

    @Option(
        name: .customLong("log-level"),
        help: ArgumentHelp("How much to log on standard error: \(Serving.logLevels.joined(separator: ", ")).", valueName: "level"))
    var logLevel = "info"

    @Option(name: .customLong("log-format"), help: ArgumentHelp("How log lines look: text or json.", valueName: "format"))
    var logFormat = LogFormat.text.rawValue

    func validate() throws {
        if (expose != nil) == listens { throw ValidationError("One of --expose and --listen must be given.") }
        if expose != nil, exec != nil { throw ValidationError("--exec goes with --listen.") }
        if !(1...4096).contains(wait) { throw ValidationError("--wait must be from 1 to 4096.") }
        for (value, name) in [(waitTime, "--wait-time"), (idle, "--idle")] where !(value >= 0 && value <= 1e8) {
            throw ValidationError("\(name) must be from 0 to 1e8.")
        }
        if let address, !listens || address.isEmpty { throw ValidationError("'\(address)' is no option; an address goes with --listen.") }
        if !Serving.logLevels.contains(logLevel) {
            throw ValidationError("--log-level must be one of \(Serving.logLevels.joined(separator: ", ")).")
        }
        if LogFormat(rawValue: logFormat) == nil { throw ValidationError("--log-format must be text or json.") }
        _ = try server()
        _ = try words()
    }

    private func server() throws -> Endpoint? {
        guard let expose else { return nil }
        do throws(EndpointError) { return try Endpoint(parsing: expose) } catch { throw ValidationError("--expose: \(error).") }
    }

    private func words() throws -> [String]? {
        guard let exec else { return nil }
        let words: [String]
        do throws(CommandWordsError) {
            words = try CommandWords.split(exec)
        } catch {
            throw ValidationError("--exec: \(error).")
        }
        if !words.contains(where: { $0.contains("{}") }) { throw ValidationError("--exec: there is no {} for the list of workers.") }
        return words
    }

    func run() async throws {
        let settings = try peers.settings()
        let format = LogFormat(rawValue: logFormat) ?? .text
        if let server = try server() { return try await PeerTunnels.expose(server, settings, logLevel: logLevel, format) }
        let status = try await PeerTunnels.listen(
            at: address ?? "127.0.0.1", running: try words(),
            HeadSchedule.Options(count: wait, patience: .seconds(waitTime), idle: .seconds(idle)), settings, logLevel: logLevel,
            format)
        if status != 0 { throw ExitCode(status) }
    }
}
