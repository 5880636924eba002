public import Base
package import Logging
public import NodeWorker
package import RPCProto
internal import ServiceLifecycle
internal import UnixSignals

/// `swiftlet worker`: serves until told to stop.
public enum Working {
    /// - Throws: what ``Worker/init(_:logger:)`` throws, or why the metrics cannot be served.
    public static func run(_ options: WorkerOptions, logLevel: String, logFormat: LogFormat) async throws {
        try await run(options, logger: logFormat.logger(level: logLevel), logFormat)
    }

    /// - Parameters:
    ///   - doors: where clients come in beside the addresses that the options name, which may be none then.
    ///   - onReady: called when clients can come, with the worker; gives lines for people about it.
    package static func run(
        _ options: WorkerOptions, doors: [any Door] = [], logger: Logger, _ logFormat: LogFormat,
        onReady: (Worker) throws -> [String] = { _ in [] }
    ) async throws {
        Descriptors.raiseLimit()
        let worker = try Worker(options, doors: doors, logger: logger)
        let lines = try onReady(worker)
        switch logFormat {
        case .text:
            var opening = worker.summary + "\n"
            if let warning = options.exposureWarning { opening += "warning: \(warning)\n" }
            for address in worker.addresses { opening += "listening on \(address)\n" }
            for line in lines { opening += line + "\n" }
            StandardError.write(opening)
        case .json:
            if let warning = options.exposureWarning { logger.warning("\(warning)") }
            for address in worker.addresses { logger.notice("listening on \(address)") }
            for line in lines { logger.notice("\(line)") }
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
