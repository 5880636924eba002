internal import HTTPTypes
package import Hummingbird
internal import HummingbirdCore
public import Logging
internal import NIOCore
public import NodeCluster
public import NodeEngine
public import ServiceLifecycle
internal import UnixSignals

/// Serves a model over HTTP as OpenAI's API, until told to stop.
public struct HTTPServer: Service {
    private let models: any ModelDirectory
    /// Nil where the models are there already.
    private let loading: LoadService?
    private let mark = ListeningMark()
    private let options: ServerOptions
    private let logger: Logger
    private let gate: RequestGate
    private let totals = TokenTotals()
    /// Nil where the server is part of none.
    private let network: (any NetworkView)?
    private let onRunning: @Sendable (_ port: Int) async -> Void

    /// Serves one model.
    ///
    /// - Parameters:
    ///   - network: the peers' network that the server is part of.
    ///   - onRunning: called once, when connections are accepted, with the port.
    public init(
        engine: any TextEngine, options: ServerOptions, logger: Logger, network: (any NetworkView)? = nil,
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) {
        self.init(models: SingleModel(engine), options: options, logger: logger, network: network, onRunning: onRunning)
    }

    /// - Parameters:
    ///   - network: the peers' network that the server is part of.
    ///   - onRunning: called once, when connections are accepted, with the port.
    public init(
        models: any ModelDirectory, options: ServerOptions, logger: Logger, network: (any NetworkView)? = nil,
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) {
        self.models = models
        self.options = options
        self.logger = logger
        self.network = network
        self.onRunning = onRunning
        loading = nil
        gate = RequestGate(limit: options.limits.requests)
    }

    /// Listens first, then has the models loaded. Until they are there requests are answered with 503, as llama.cpp's server does.
    ///
    /// - Parameters:
    ///   - load: what loads them, called once the server listens; what it throws ends the server. A server that is stopped meanwhile
    ///     does not wait for it.
    ///   - events: where `load` and the models tell what happens.
    ///   - network: the peers' network that the server is part of.
    ///   - onRunning: called once, when connections are accepted, with the port.
    ///   - onReady: called once, when requests are served, with the port.
    public init(
        loading load: @escaping @Sendable () async throws -> any ModelDirectory, events: EventFeed, options: ServerOptions, logger: Logger,
        network: (any NetworkView)? = nil,
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in },
        onReady: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) {
        let models = ModelsToCome(events: events)
        self.models = models
        self.options = options
        self.logger = logger
        self.network = network
        self.onRunning = onRunning
        gate = RequestGate(limit: options.limits.requests, isLoading: true)
        loading = LoadService(load: load, models: models, gate: gate, mark: mark, onReady: onReady)
    }

    /// Serves until SIGTERM or SIGINT comes, or the surrounding service group stops: then turns new requests away, lets those under
    /// way finish for the grace period, breaks off what is left, shuts the engine down and returns.
    ///
    /// - Throws: ``ListeningError`` when it cannot listen at the address, and what loading throws.
    public func run() async throws {
        try await run(stopsOn: [])
    }

    /// As ``run()``, stopped by signals too.
    public func runUntilSignal() async throws {
        try await run(stopsOn: UnixSignal.thatStop)
    }

    private func run(stopsOn signals: [UnixSignal]) async throws {
        // Services are stopped from the last to the first, each when the one after it is done.
        let drain = DrainService(gate: gate, models: models, gracePeriod: options.limits.gracePeriod, logger: logger)
        let listening = ListeningService(application: application(), host: options.host, port: options.port, mark: mark)
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [.init(service: listening), .init(service: drain)]
        if let loading { services.append(.init(service: loading)) }
        var configuration = ServiceGroupConfiguration(services: services, gracefulShutdownSignals: signals, logger: quiet(logger))
        configuration.maximumGracefulShutdownDuration = options.limits.gracePeriod + .seconds(10)
        let group = ServiceGroup(configuration: configuration)
        do {
            try await group.run()
        } catch {
            // Stopping by force is still stopping; any other error is news.
            if !gate.isClosed {
                await models.shutdown()
                throw error
            }
            logger.debug("stopped by force: \(error)")
        }
        await models.shutdown()
    }

    /// The server's frameworks tell more at `info` than people want to read.
    private func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        if logger.logLevel == .info || logger.logLevel == .notice { logger.logLevel = .warning }
        return logger
    }

    /// The routes and what stands before them, on a server of their own.
    package func application() -> Application<RouterResponder<ServerContext>> {
        let limits = options.limits
        let answers = AnswerRoutes(models: models, limits: limits, totals: totals)
        let listings = ModelRoutes(models: models)
        let embeddings = EmbeddingRoutes(models: models, limits: limits, totals: totals)
        let tokens = TokenRoutes(models: models, limits: limits)
        let native = NativeRoutes(models: models, limits: limits, answers: answers)
        let nodes = NodeRoutes(models: models, gate: gate, totals: totals, hasNetwork: network != nil)
        let peers = NetworkRoutes(network: network, access: TokenAccess(options))
        let health = HealthRoute(models: models, gate: gate)
        let routes: [RouteTable.Route] = [
            .init(method: .post, path: "/v1/completions", handler: answers.complete),
            .init(method: .post, path: "/v1/chat/completions", handler: answers.chat),
            .init(method: .post, path: "/v1/embeddings", handler: embeddings.embed),
            .init(method: .get, path: "/v1/models", handler: listings.list),
            .init(method: .get, path: "/v1/models/**", handler: listings.retrieve),
            .init(method: .get, path: "/v1/nodes", handler: nodes.list),
            .init(method: .post, path: "/v1/nodes/**", handler: nodes.command),
            .init(method: .get, path: "/v1/events", handler: nodes.events),
            .init(method: .get, path: "/metrics", handler: nodes.metrics),
            .init(method: .post, path: "/completion", handler: native.complete),
            .init(method: .post, path: "/completions", handler: native.complete),
            .init(method: .post, path: "/embedding", handler: embeddings.embedNatively),
            .init(method: .post, path: "/embeddings", handler: embeddings.embedNatively),
            .init(method: .post, path: "/apply-template", handler: native.applyTemplate),
            .init(method: .get, path: "/props", handler: native.properties),
            .init(method: .get, path: "/slots", handler: native.slots),
            .init(method: .post, path: "/tokenize", handler: tokens.tokenize),
            .init(method: .post, path: "/detokenize", handler: tokens.detokenize),
            .init(method: .get, path: "/health", handler: health.check),
            .init(method: .get, path: "/v1/health", handler: health.check),
            .init(method: .get, path: "/api/p2p", handler: peers.list),
            .init(method: .get, path: "/api/p2p/workers", handler: peers.workers),
            .init(method: .get, path: "/api/p2p/stats", handler: peers.stats),
            .init(method: .get, path: "/api/p2p/token", handler: peers.token),
        ]
        let table = RouteTable(routes: routes + PageRoutes.all)
        let router = Router(context: ServerContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: LogMiddleware(logger: logger))
        router.add(middleware: CrossOriginMiddleware(options))
        router.add(middleware: ErrorMiddleware(routes: table))
        router.add(middleware: AccessMiddleware(options))
        router.add(middleware: AdmissionMiddleware(gate: gate))
        table.register(in: router)

        let channel = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionWatch(bodySizeLimit: limits.bodySize, stalledTime: limits.stalledTime)],
            idleTimeout: TimeAmount(limits.idleTime),
            httpDecoderConfiguration: .init(maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100))
        let (onRunning, mark, wantedPort, log) = (onRunning, mark, options.port, logger)
        return Application(
            router: router,
            server: .http1(configuration: channel),
            configuration: ApplicationConfiguration(
                address: .hostname(options.host, port: options.port), serverName: "swiftlet",
                availableConnectionsDelegate: .maximum(limits.connections, logger: logger)),
            onServerRunning: { channel in
                await AcceptingPause.add(to: channel, log)
                let port = channel.localAddress?.port ?? wantedPort
                mark.set(port: port)
                await onRunning(port)
            },
            logger: quiet(logger))
    }
}
