internal import Foundation
internal import Logging
internal import ServiceLifecycle

/// `swiftlet worker`: serves until told to stop.
public enum Working {
    /// - Throws: what ``Worker/init(_:logger:)`` throws.
    public static func run(_ options: WorkerOptions, logLevel: String) async throws {
        var logger = Logger(label: "swiftlet") { label in StreamLogHandler.standardError(label: label) }
        logger.logLevel = Logger.Level(rawValue: logLevel) ?? .info
        let worker = try Worker(options, logger: logger)
        var opening = worker.summary + "\n"
        if let warning = options.exposureWarning { opening += "warning: \(warning)\n" }
        var bound = options
        bound.port = worker.port
        opening += "listening on \(bound.address)\n"
        FileHandle.standardError.write(Data(opening.utf8))

        var quiet = logger
        quiet.logLevel = .warning
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: worker)], gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        try await group.run()
        logger.notice("stopped")
    }
}
