internal import Base
internal import Logging

/// `swiftlet serve`: loads a model and serves it until told to stop.
public enum Serving {
    /// What log lines there can be, from the most to the fewest.
    public static let logLevels = Logger.Level.allCases.map(\.rawValue)

    /// - Parameter models: one is loaded at once; several are when they are asked for.
    /// - Throws: what loading the model or listening at the address throws.
    public static func run(
        _ models: [EngineOptions], _ serverOptions: ServerOptions, logLevel: String, isQuiet: Bool
    ) async throws {
        let log = LogFormat.text.logger(level: logLevel)
        let events = EventFeed { log.log(level: $0.level, "\($0.line)") }
        let directory: any ModelDirectory
        if models.count == 1 {
            directory = try await single(models[0], events, log, isQuiet: isQuiet)
        } else {
            directory = try await BlockingWork.alone(name: "models") { try ModelLibrary(models, events: events) }
            log.notice("\(models.count) models, loaded as they are asked for: \(directory.models.map(\.card.id).joined(separator: ", "))")
        }
        if let warning = serverOptions.exposureWarning { log.warning("\(warning)") }
        let server = HTTPServer(models: directory, options: serverOptions, logger: log) { port in
            log.notice("listening on http://\(serverOptions.urlHost):\(port)")
        }
        do {
            try await server.runUntilSignal()
        } catch {
            throw ListeningError(host: serverOptions.host, port: serverOptions.port, reason: "\(error)")
        }
        log.notice("stopped")
    }

    private static func single(
        _ options: EngineOptions, _ events: EventFeed, _ log: Logger, isQuiet: Bool
    ) async throws -> SingleModel {
        let report = ProgressReport(loading: options.modelPath, isQuiet: isQuiet)
        let engine: any TextEngine
        var pool: NodePool?
        do {
            if options.head.workers.isEmpty {
                engine = try await Engines.text(options) { report.show($0) }
            } else {
                let workers = try NodePool(options.head, events: events)
                engine = try await Engines.text(options, over: workers) { report.show($0) }
                pool = workers
            }
        } catch {
            report.abort()
            throw error
        }
        let card = engine.card
        report.finish("\(card.id) (\(card.typeDescription), \(card.slotCount) × \(card.contextSize) tokens of context)")
        if let summary = NodeStatus.summary(engine.nodes), !summary.isEmpty {
            let sent = engine.nodes.reduce(0) { $0 + $1.sentBytes }
            log.notice("\(card.id) is on \(summary); \(sent >> 20) MiB sent")
        }
        return SingleModel(engine, pool: pool, events: events)
    }
}

extension ServerOptions {
    /// The host as it stands in a URL.
    var urlHost: String { host.contains(":") ? "[\(host)]" : host }

    /// What listening beyond this machine means; nil where it does not.
    var exposureWarning: String? {
        if isLoopback { return nil }
        let reach = "listening on \(host): every machine that reaches this one can send requests"
        let keys = apiKeys.isEmpty ? ", and no API key is asked for (--api-key sets one)" : ""
        return reach + keys + ". Traffic is not encrypted; put a proxy with TLS in front where others could listen."
    }
}
