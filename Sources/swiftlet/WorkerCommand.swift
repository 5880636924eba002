import ArgumentParser
import Foundation
import Node

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Lends this machine's memory and processor to llama.cpp heads elsewhere, over ggml's RPC.",
        discussion: """
            Takes the place of llama.cpp's ggml-rpc-server, on protocol 8.0.0. On the head:
              llama-server -m model.gguf -ngl 99 --rpc HOST:PORT

            Clients are not asked who they are, and traffic is not encrypted: without --host only programs on this machine \
            can connect. SIGTERM and Ctrl-C end it.

            The address can also be given as two words: swiftlet worker 10.0.0.5 50052
            """)

    @Option(
        name: [.customShort("H"), .long],
        help: ArgumentHelp("The address to listen on. 0.0.0.0 or :: lets other machines in.", valueName: "address"))
    var host: String?

    @Option(name: [.customShort("p"), .long], help: ArgumentHelp("The port to listen on; 0 takes a free one. Default: 50052.", valueName: "n"))
    var port: Int?

    @OptionGroup var threads: ThreadOptions

    @Option(
        name: [.customShort("d"), .customLong("device")],
        help: ArgumentHelp("The devices to lend, separated by commas: \(Worker.deviceNames.joined(separator: ", ")). Default: all.", valueName: "names"))
    var devices: String?

    @Flag(
        name: [.customShort("c"), .customLong("cache")],
        help: "Keep large tensors in a folder, so that heads need not send them again: $XDG_CACHE_HOME/swiftlet/tensors, or ~/.cache/swiftlet/tensors.")
    var usesCache = false

    @Option(name: .customLong("cache-dir"), help: ArgumentHelp("The folder for --cache.", valueName: "folder"))
    var cacheFolder: String?

    @Option(
        help: ArgumentHelp("The kernels to use: baseline, avx2 or avx512. Default: the best that the processor has.", valueName: "name"))
    var variant: String?

    @Option(
        name: .customLong("log-level"),
        help: ArgumentHelp("How much to log on standard error: \(Serving.logLevels.joined(separator: ", ")).", valueName: "level"))
    var logLevel = "info"

    @Argument(help: ArgumentHelp("The address and the port to listen on, as two words.", valueName: "address"))
    var place: [String] = []

    func validate() throws {
        _ = try address()
        if !Serving.logLevels.contains(logLevel) {
            throw ValidationError("--log-level must be one of \(Serving.logLevels.joined(separator: ", ")).")
        }
    }

    private func address() throws -> (host: String, port: Int) {
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
        return (host ?? place.first ?? "127.0.0.1", number)
    }

    func run() async throws {
        var options = WorkerOptions()
        (options.host, options.port) = try address()
        options.threads = threads.threads
        options.variant = variant
        options.devices = devices.map { $0.split(separator: ",").map(String.init) } ?? []
        if usesCache || cacheFolder != nil {
            options.cacheFolder = cacheFolder ?? WorkerOptions.defaultCacheFolder(ProcessInfo.processInfo.environment)
        }
        try await Working.run(options, logLevel: logLevel)
    }
}
