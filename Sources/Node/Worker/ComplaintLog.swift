internal import Logging
internal import Synchronization

/// Log lines that clients can cause as often as they like: only so many in a time are written, the rest is counted, so that
/// nobody can fill a disk with them.
final class ComplaintLog: Sendable {
    private struct State {
        var start = ContinuousClock.now
        var count = 0
        var leftOut = 0
    }

    private let state = Mutex(State())
    private let logger: Logger

    private static let period = Duration.seconds(10)
    private static let linesPerPeriod = 100

    init(_ logger: Logger) {
        self.logger = logger
    }

    func note(_ level: Logger.Level, _ line: String) {
        if logger.logLevel > level { return }
        let now = ContinuousClock.now
        let (isWritten, leftOut) = state.withLock { state in
            var leftOut = 0
            if state.start.duration(to: now) > ComplaintLog.period {
                leftOut = state.leftOut
                state = State(start: now)
            }
            state.count += 1
            let isWritten = state.count <= ComplaintLog.linesPerPeriod
            if !isWritten { state.leftOut += 1 }
            return (isWritten, leftOut)
        }
        if leftOut > 0 { logger.log(level: level, "\(leftOut) lines like these were left out") }
        if isWritten { logger.log(level: level, "\(line)") }
    }
}
