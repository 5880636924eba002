public import Base
internal import Logging
package import NodeCluster
public import NodeEngine

/// `swiftlet serve`: loads a model and serves it until told to stop.
public enum Serving {
    /// What log lines there can be, from the most to the fewest.
    public static let logLevels = Logger.Level.allCases.map(\.rawValue)

    /// As below, over the workers that the options name.
    public static func run(
        _ models: [EngineOptions], _ serverOptions: ServerOptions, logLevel: String, logFormat: LogFormat = .text,
        report: @escaping @Sendable (_ modelPath: String) -> any LoadingReport
    ) async throws {
        try await run(models, serverOptions, peers: nil, logLevel: logLevel, logFormat: logFormat, report: report)
    }

    /// Listens, and then loads.
    ///
    /// - Parameters:
    ///   - models: one is loaded at once; several are when they are asked for.
    ///   - peers: where workers are learnt of beside those that the options name.
    ///   - network: the peers' network that this machine is part of, as it is shown; nil where it is part of none.
    ///   - report: makes what tells how far the loading of a file's one model has come.
    /// - Throws: ``ListeningError``, and what loading the model throws.
    package static func run(
        _ models: [EngineOptions], _ serverOptions: ServerOptions, peers: (any WorkerNetwork)?, network: (any NetworkView)? = nil,
        logLevel: String, logFormat: LogFormat = .text, report: @escaping @Sendable (_ modelPath: String) -> any LoadingReport
    ) async throws {
        Descriptors.raiseLimit()
        let log = logFormat.logger(level: logLevel)
        let events = EventFeed { log.log(level: $0.level, "\($0.line)") }
        if let warning = serverOptions.exposureWarning { log.warning("\(warning)") }
        let server = HTTPServer(
            loading: {
                if models.count == 1 {
                    return try await single(models[0], peers, events, log, logFormat, report(models[0].modelPath))
                }
                let library = try await BlockingWork.alone(name: "models") { try ModelLibrary(models, network: peers, events: events) }
                let names = library.models.filter { $0.card != nil }.map(\.id)
                log.notice("\(names.count) models, loaded as they are asked for: \(names.joined(separator: ", "))")
                return library
            },
            events: events, options: serverOptions, logger: log, network: network,
            onRunning: { port in log.info("loading; http://\(serverOptions.urlHost):\(port) answers with 503 meanwhile") },
            onReady: { port in log.notice("listening on http://\(serverOptions.urlHost):\(port)") })
        try await server.runUntilSignal()
        log.notice("stopped")
    }

    private static func single(
        _ options: EngineOptions, _ peers: (any WorkerNetwork)?, _ events: EventFeed, _ log: Logger, _ logFormat: LogFormat,
        _ report: any LoadingReport
    ) async throws -> SingleModel {
        let engine: any TextEngine
        var pool: NodePool?
        do {
            if options.head.workers.isEmpty, peers == nil {
                engine = try await Engines.text(options) { report.show($0) }
            } else {
                let workers = try NodePool(options.head, network: peers, events: events)
                engine = try await Engines.text(options, over: workers) { report.show($0) }
                pool = workers
            }
        } catch {
            report.abort()
            throw error
        }
        let card = engine.card
        let summary = "\(card.id) (\(card.typeDescription), \(card.slotCount) × \(card.contextSize) tokens of context)"
        report.finish(summary)
        if logFormat == .json { log.notice("loaded \(summary)") }
        for warning in card.warnings { events.tell(NodeEvent(.warned, model: card.id, warning)) }
        if let places = NodeStatus.summary(engine.nodes), !places.isEmpty {
            let sent = engine.nodes.reduce(0) { $0 + $1.sentBytes }
            log.notice("\(card.id) is on \(places); \(sent >> 20) MiB sent")
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
