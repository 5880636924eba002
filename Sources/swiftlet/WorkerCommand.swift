import ArgumentParser
import Base
import Foundation
import Node
import RPCProto

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Lends this machine's memory and processor to heads elsewhere, ours and llama.cpp's, over ggml's RPC.",
        discussion: """
            Takes the place of llama.cpp's ggml-rpc-server. On the head:
              llama-server -m model.gguf -ngl 99 --rpc HOST:PORT

            Any number of clients is served at the same time, each with memory of its own, taking turns on the processor. \
            Clients are not asked who they are, and traffic is not encrypted: without --host only programs on this machine \
            can connect, and --allow names the machines that may. SIGTERM and Ctrl-C end it once requests under way are \
            done. docs/WORKER.md says how to run one safely.

            The address can also be given as two words: swiftlet worker 10.0.0.5 50052

            In a network of machines with one token, heads find it by themselves, clients prove who they are, and traffic is \
            encrypted; there is no port for others then, unless --host or --port asks for one:
              swiftlet worker --p2p --p2p-token-file network.token
            docs/PEERS.md says more.
            """)

    @Option(
        name: [.customShort("H"), .long],
        help: ArgumentHelp(
            "The addresses to listen on, separated by commas. 0.0.0.0 lets other machines in over IPv4, :: over both.",
            valueName: "addresses"))
    var host: String?

    @Option(
        name: [.customShort("p"), .long], help: ArgumentHelp("The port to listen on; 0 takes a free one. Default: 50052.", valueName: "n"))
    var port: Int?

    @Option(
        name: .customLong("protocol"),
        help: ArgumentHelp(
            """
            The version of the protocol: \(Dialect.all.map(\.description).joined(separator: ", ")). Heads take only their own. 7.0@50053 speaks \
            7.0 at a port of its own; several are separated by commas. Default: \(Dialect.newest).
            """, valueName: "versions"))
    var protocols: String?

    @Option(
        help: ArgumentHelp(
            "Who may connect, separated by commas: addresses, or ranges such as 10.0.0.0/8 or fd00::/8. Default: everybody.",
            valueName: "ranges"))
    var allow: String?

    @OptionGroup var threads: ThreadOptions

    @Option(
        name: [.customShort("d"), .customLong("device")],
        help: ArgumentHelp(
            "The devices to lend, separated by commas: \(DeviceListing.names). Default: \(DeviceListing.usualNames).", valueName: "names"))
    var devices: String?

    @Option(
        name: [.customShort("m"), .long],
        help: ArgumentHelp("How much memory to lend in all, of each device, such as 6G or 512M. Default: what is free.", valueName: "size"))
    var memory: ByteSize?

    @Flag(
        name: [.customShort("c"), .customLong("cache")],
        help:
            "Keep large tensors in a folder, so that heads need not send them again: swiftlet/tensors in $XDG_CACHE_HOME or ~/.cache, or tensors in $CACHE_DIRECTORY."
    )
    var usesCache = false

    @Option(name: .customLong("cache-dir"), help: ArgumentHelp("The folder for --cache.", valueName: "folder"))
    var cacheFolder: String?

    @Option(
        name: .customLong("cache-size"),
        help: ArgumentHelp("How much --cache keeps at most. Default: \(ByteSize(WorkerOptions().cacheByteCount)).", valueName: "size"))
    var cacheSize: ByteSize?

    @Option(
        help: ArgumentHelp("The kernels to use: baseline, avx2 or avx512. Default: the best that the processor has.", valueName: "name"))
    var variant: String?

    @Flag(
        help: """
            Let heads that split tensors over two workers (-sm tensor) link this one with another, at its port + 1000. They say with \
            whom, so beyond this machine it takes --allow.
            """)
    var collectives = false

    @OptionGroup(title: "Limits") var limits: WorkerLimitOptions

    @OptionGroup(title: "A network of peers") var peers: PeersOptions

    @Option(
        help: ArgumentHelp(
            "Serve figures for Prometheus at this port of this machine, or at address:port, under /metrics.", valueName: "address"))
    var metrics: String?

    @Option(
        name: .customLong("log-level"),
        help: ArgumentHelp("How much to log on standard error: \(Serving.logLevels.joined(separator: ", ")).", valueName: "level"))
    var logLevel = "info"

    @Option(name: .customLong("log-format"), help: ArgumentHelp("How log lines look: text or json.", valueName: "format"))
    var logFormat = LogFormat.text.rawValue

    @Option(
        name: .customLong("status"),
        help: ArgumentHelp("Seconds between log lines on sessions, memory and rate; 0 for none.", valueName: "s"))
    var statusSeconds = 60.0

    @Argument(help: ArgumentHelp("The address and the port to listen on, as two words.", valueName: "address"))
    var place: [String] = []

    func validate() throws {
        try peers.check(isHead: false)
        _ = try address()
        _ = try allowed()
        _ = try dialects()
        _ = try metricsAddress()
        if !Serving.logLevels.contains(logLevel) {
            throw ValidationError("--log-level must be one of \(Serving.logLevels.joined(separator: ", ")).")
        }
        if LogFormat(rawValue: logFormat) == nil { throw ValidationError("--log-format must be text or json.") }
        if !(statusSeconds >= 0 && statusSeconds <= 1e8) { throw ValidationError("--status must be from 0 to 1e8.") }
        for (size, name) in [(memory, "--memory"), (cacheSize, "--cache-size")] { try checkSize(size, name, atLeast: 1 << 20) }
    }

    private func address() throws -> (hosts: [String], port: Int) {
        guard place.count <= 2 else { throw ValidationError("An address and a port are all that can be given as words.") }
        if (host != nil && !place.isEmpty) || (port != nil && place.count == 2) {
            throw ValidationError("The address is given twice, by option and by word.")
        }
        var number = port ?? WorkerOptions.defaultPort
        if place.count == 2 {
            guard let given = Int(place[1]) else { throw ValidationError("'\(place[1])' is no port.") }
            number = given
        }
        guard (0...65535).contains(number) else { throw ValidationError("The port must be from 0 to 65535.") }
        let hosts = words(host ?? place.first ?? "127.0.0.1")
        if hosts.isEmpty { throw ValidationError("There is no address to listen on.") }
        return (hosts, number)
    }

    private func words(_ list: String) -> [String] {
        list.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }

    private func allowed() throws -> [AddressRange] {
        guard let allow else { return [] }
        let ranges = try words(allow).map { text in
            guard let range = AddressRange(text) else {
                throw ValidationError("--allow: '\(text)' is neither an address nor a range such as 10.0.0.0/8.")
            }
            return range
        }
        // An empty list must not open the worker to everybody.
        if ranges.isEmpty { throw ValidationError("--allow names nobody.") }
        return ranges
    }

    private func dialects() throws -> (main: Dialect, others: [(port: Int, dialect: Dialect)]) {
        var main: Dialect?
        var others: [(port: Int, dialect: Dialect)] = []
        for text in words(protocols ?? "") {
            let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
            guard let dialect = Dialect(String(parts[0])) else {
                let known = Dialect.all.map(\.description).joined(separator: ", ")
                throw ValidationError("--protocol: there is no version '\(parts[0])'; there are: \(known).")
            }
            if parts.count == 1 {
                if main != nil { throw ValidationError("--protocol names two versions for the same port.") }
                main = dialect
            } else {
                guard let port = Int(parts[1]), (0...65535).contains(port) else {
                    throw ValidationError("--protocol: '\(parts[1])' is no port.")
                }
                others.append((port, dialect))
            }
        }
        return (main ?? .newest, others)
    }

    private func metricsAddress() throws -> WorkerOptions.MetricsAddress? {
        guard let metrics else { return nil }
        let colon = metrics.lastIndex(of: ":")
        let host = colon.map { String(metrics[..<$0]) } ?? "127.0.0.1"
        let digits = colon.map { String(metrics[metrics.index(after: $0)...]) } ?? metrics
        guard let port = Int(digits), (0...65535).contains(port), !host.isEmpty else {
            throw ValidationError("--metrics: '\(metrics)' is neither a port nor address:port.")
        }
        return WorkerOptions.MetricsAddress(host: host.trimmingCharacters(in: ["[", "]"]), port: port)
    }

    func run() async throws {
        var options = WorkerOptions()
        (options.hosts, options.port) = try address()
        options.allowed = try allowed()
        (options.dialect, options.otherPorts) = try dialects()
        options.allowsCollectives = collectives
        options.threads = threads.threads
        options.variant = variant
        options.devices = words(devices ?? "")
        if usesCache || cacheFolder != nil || cacheSize != nil {
            options.cacheFolder = try cacheFolder ?? WorkerOptions.defaultCacheFolder(ProcessInfo.processInfo.environment)
        }
        if let cacheSize { options.cacheByteCount = cacheSize.count }
        options.limits = limits.limits
        options.limits.memory = memory?.count
        options.graceSeconds = limits.grace
        options.statusSeconds = statusSeconds
        options.metrics = try metricsAddress()
        let format = LogFormat(rawValue: logFormat) ?? .text
        guard let settings = try peers.settings(isHead: false) else {
            return try await Working.run(options, logLevel: logLevel, logFormat: format)
        }
        // A port that anybody can connect to only where one was asked for.
        if host == nil, port == nil, place.isEmpty { options.hosts = [] }
        try await PeerWorking.run(options, settings, logLevel: logLevel, format)
    }
}
