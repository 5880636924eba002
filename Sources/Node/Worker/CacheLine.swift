package import Logging
internal import Synchronization

/// A line in the log when a cache keeps nothing any more, with the reason: otherwise only a metric would say so.
package final class CacheLine: Sendable {
    private let isToldOf = Mutex(false)
    private let logger: Logger

    package init(_ logger: Logger) {
        self.logger = logger
    }

    /// Called often.
    ///
    /// - Parameter obstacle: why nothing is kept at present; nil if nothing is in the way.
    package func show(_ obstacle: String?, in folder: String) {
        let isNews = isToldOf.withLock { isToldOf in
            defer { isToldOf = obstacle != nil }
            return obstacle != nil && !isToldOf
        }
        // Errors of the cache name its folder themselves.
        if isNews, let obstacle {
            logger.warning("the cache keeps nothing at present: \(obstacle.contains(folder) ? obstacle : "\(folder): \(obstacle)")")
        }
    }
}
