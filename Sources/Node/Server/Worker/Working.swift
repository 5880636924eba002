public import Base
internal import Logging
public import NodeWorker
internal import ServiceLifecycle
internal import UnixSignals

/// `swiftlet worker`: serves until told to stop.
public enum Working {
    /// - Throws: what ``Worker/init(_:logger:)`` throws, or why the metrics cannot be served.
    public static func run(_ options: WorkerOptions, logLevel: String, logFormat: LogFormat) async throws {
        Descriptors.raiseLimit()
        let logger = logFormat.logger(level: logLevel)
        let worker = try Worker(options, logger: logger)
        switch logFormat {
        case .text:
            var opening = worker.summary + "\n"
            if let warning = options.exposureWarning { opening += "warning: \(warning)\n" }
            for address in worker.addresses { opening += "listening on \(address)\n" }
            StandardError.write(opening)
        case .json:
            if let warning = options.exposureWarning { logger.warning("\(warning)") }
            for address in worker.addresses { logger.notice("listening on \(address)") }
        }

        var services = [ServiceGroupConfiguration.ServiceConfiguration(service: worker)]
        if let address = options.metrics {
            services.insert(.init(service: WorkerMetrics(worker: worker, address: address, logger: logger)), at: 0)
        }
        var quiet = logger
        quiet.logLevel = .warning
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services, gracefulShutdownSignals: UnixSignal.thatStop, logger: quiet))
        try await group.run()
        logger.notice("stopped")
    }
}
