import ArgumentParser
import Base
import Foundation
import Node

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves a model over HTTP as OpenAI's API.",
        discussion: """
            Endpoints: /v1/completions, /v1/chat/completions, /v1/embeddings, /v1/models, /v1/nodes, /v1/events (also without /v1), and of \
            llama.cpp's server's own /completion (or /completions), /embedding (or /embeddings), /apply-template, /props, /slots, /metrics, \
            /tokenize, /detokenize, /health; of LocalAI's /api/p2p, /api/p2p/workers, /api/p2p/stats, /api/p2p/token. At / is a page to \
            chat on and to watch the machines on.

            Try it:
              curl http://127.0.0.1:8080/v1/chat/completions \\
                -d '{"messages": [{"role": "user", "content": "Hello"}]}'

            Over other machines (--workers) it goes on when one is lost, and uses those that come; /v1/nodes, /health and \
            /v1/events tell. With several models, requests choose by "model".

            With --p2p it finds workers that have the same token by itself, and what they say to each other is encrypted:
              swiftlet token new --output network.token
              swiftlet worker --p2p --p2p-token-file network.token   # on others
              swiftlet serve --model model.gguf --p2p --p2p-token-file network.token
            docs/PEERS.md says more.

            Requests are served together, as many at once as --parallel says; more wait. SIGTERM and Ctrl-C let \
            those under way finish (--grace) and end the server.
            """)

    @OptionGroup var served: ServedModelsOptions
    @OptionGroup var threads: ThreadOptions
    @OptionGroup(title: "Other machines") var workers: WorkersOptions

    @OptionGroup(title: "A network of peers") var peers: PeersOptions

    @Option(help: ArgumentHelp("The address to listen on. 0.0.0.0 or :: lets other machines in.", valueName: "address"))
    var host = "127.0.0.1"

    @Option(help: ArgumentHelp("The port to listen on; 0 takes a free one.", valueName: "n"))
    var port = 8080

    @Option(
        name: [.customShort("c"), .customLong("ctx-size")],
        help: ArgumentHelp(
            "Tokens that one request may hold, prompt and answer together. Default: the model's own, 4096 at most.", valueName: "n"))
    var contextSize: Int?

    @Option(help: ArgumentHelp("Requests worked on at once.", valueName: "n"))
    var parallel = 4

    @Option(name: .customLong("batch-size"), help: ArgumentHelp("Tokens computed in one step at most.", valueName: "n"))
    var batchSize = 512

    @Option(help: ArgumentHelp("The model's name for clients. Default: the file's name.", valueName: "name"))
    var alias: String?

    @Option(
        name: .customLong("api-key"),
        help: ArgumentHelp(
            "A key that clients must send; may be given more than once. SWIFTLET_API_KEY sets one unseen by other users.", valueName: "key")
    )
    var apiKeys: [String] = []

    @Option(name: .customLong("api-key-file"), help: ArgumentHelp("A file with a key on each line.", valueName: "file"))
    var apiKeyFile: String?

    @Option(
        name: .customLong("admin-key"),
        help: ArgumentHelp(
            """
            The key that the token of a peers' network is given for (/api/p2p/token); it counts as an API key, too. SWIFTLET_ADMIN_KEY sets \
            one unseen by other users. Without any, programs on this machine are given the token.
            """, valueName: "key"))
    var adminKeys: [String] = []

    @Option(name: .customLong("admin-key-file"), help: ArgumentHelp("A file with an admin key on each line.", valueName: "file"))
    var adminKeyFile: String?

    @Option(
        name: .customLong("cors-origin"),
        help: ArgumentHelp(
            "An origin (https://chat.example.org) whose pages may use the server from a browser; may be given more than once; * lets all.",
            valueName: "origin"))
    var corsOrigins: [String] = []

    @OptionGroup var chat: ChatOptions

    @Option(name: .customLong("max-queue"), help: ArgumentHelp("Requests that may wait; more are answered with 503.", valueName: "n"))
    var queueLimit = 64

    @Option(name: .customLong("max-body"), help: ArgumentHelp("How large a request's body may be, such as 32M.", valueName: "size"))
    var bodyLimit = ByteSize(8 << 20)

    @Option(help: ArgumentHelp("Seconds that an answer may take.", valueName: "s"))
    var timeout = 3600

    @Option(help: ArgumentHelp("Seconds that answers under way may take once the server is told to stop.", valueName: "s"))
    var grace = 30

    @Option(
        name: .customLong("log-level"),
        help: ArgumentHelp("How much to log on standard error: \(Serving.logLevels.joined(separator: ", ")).", valueName: "level"))
    var logLevel = "info"

    @Option(name: .customLong("log-format"), help: ArgumentHelp("How log lines look: text or json.", valueName: "format"))
    var logFormat = LogFormat.text.rawValue

    func validate() throws {
        try workers.check(hasNetwork: peers.isWanted(isHead: true))
        try peers.check(isHead: true)
        if !(0...65535).contains(port) { throw ValidationError("--port must be from 0 to 65535.") }
        try checkPositive(contextSize, "--ctx-size")
        try checkPositive(parallel, "--parallel", atMost: 1024)
        try checkPositive(batchSize, "--batch-size", atMost: 65536)
        try checkPositive(queueLimit, "--max-queue", atMost: 1_000_000)
        try checkSize(bodyLimit, "--max-body", atLeast: 1 << 10)
        try checkPositive(bodyLimit.count, "--max-body", atMost: 1 << 30)
        try checkPositive(timeout, "--timeout")
        if !(0...86400).contains(grace) { throw ValidationError("--grace must be from 0 to 86400.") }
        if !Serving.logLevels.contains(logLevel) {
            throw ValidationError("--log-level must be one of \(Serving.logLevels.joined(separator: ", ")).")
        }
        if LogFormat(rawValue: logFormat) == nil { throw ValidationError("--log-format must be text or json.") }
        if corsOrigins.contains(where: { $0 != "*" && $0.firstRange(of: "://") == nil }) {
            throw ValidationError("--cors-origin must be an origin as browsers name it, such as https://chat.example.org, or *.")
        }
        if apiKeys.contains(where: \.isEmpty) { throw ValidationError("--api-key must not be empty.") }
        if adminKeys.contains(where: \.isEmpty) { throw ValidationError("--admin-key must not be empty.") }
    }

    /// The keys that an option names, an environment variable and a file.
    private func keys(_ named: [String], variable: String, file: String?) throws -> [String] {
        var keys = named
        if let key = ProcessInfo.processInfo.environment[variable], !key.isEmpty { keys.append(key) }
        if let file {
            let text = String(decoding: try Input.bytes(ofFile: file, limit: 1 << 20), as: UTF8.self)
            let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
            // An empty file must not open the server to everyone.
            if lines.isEmpty { throw ValidationError("'\(file)' holds no key.") }
            keys += lines
        }
        return keys
    }

    func run() async throws {
        let files = try ModelFiles.expand(served.models)
        if files.count > 1 {
            if alias != nil { throw ValidationError("--alias names one model, and there are \(files.count).") }
            if chat.templateFile != nil { throw ValidationError("--chat-template-file is for one model, and there are \(files.count).") }
        }
        let template = try chat.template()
        let models = files.map { file in
            var options = EngineOptions(
                modelPath: file.path, alias: alias, contextSize: contextSize, slotCount: parallel, queueLimit: queueLimit,
                threads: threads.threads, batchSize: batchSize, variant: served.variant, chatTemplate: template, head: workers.options)
            options.isOptional = file.isFound
            options.parsesSpecialInChats = chat.parsesSpecial
            return options
        }
        var limits = ServerOptions.Limits()
        limits.bodySize = bodyLimit.count
        limits.answerTime = .seconds(timeout)
        limits.gracePeriod = .seconds(grace)
        limits.requests = parallel + queueLimit + 64
        let server = ServerOptions(
            host: host, port: port, apiKeys: try keys(apiKeys, variable: "SWIFTLET_API_KEY", file: apiKeyFile),
            adminKeys: try keys(adminKeys, variable: "SWIFTLET_ADMIN_KEY", file: adminKeyFile), corsOrigins: corsOrigins, limits: limits)
        let format = LogFormat(rawValue: logFormat) ?? .text
        // Lines that are not JSON would disturb whoever reads them.
        let isQuiet = served.noProgress || format == .json
        guard let settings = try peers.settings(isHead: true) else {
            return try await Serving.run(models, server, logLevel: logLevel, logFormat: format) {
                ProgressReport(loading: $0, isQuiet: isQuiet)
            }
        }
        try await PeerServing.run(models, server, settings, logLevel: logLevel, format, isQuiet: isQuiet)
    }
}
