package import Logging

/// How log lines look.
public enum LogFormat: String, Sendable {
    case text, json

    package func logger(level: String) -> Logger {
        let format = self
        var logger = Logger(label: "swiftlet") { label in
            switch format {
            case .text: StreamLogHandler.standardError(label: label)
            case .json: JSONLogHandler(label: label)
            }
        }
        logger.logLevel = Logger.Level(rawValue: level) ?? .info
        return logger
    }
}
