public import NodeEngine
internal import Synchronization

/// Tells on standard error how far loading has come: a bar that grows on a terminal; elsewhere a line at the end, and one
/// every ten seconds if it takes so long.
public final class ProgressReport: LoadingReport {
    private struct State {
        var shown = -1
        var stage = ""
        var nextLine: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let isTerminal: Bool
    private let isQuiet: Bool
    private let name: String
    private let start = ContinuousClock.now

    public init(loading name: String, isQuiet: Bool) {
        self.name = name
        self.isQuiet = isQuiet
        isTerminal = Output.error.isTerminal
    }

    /// Shows a step; can be called from any thread.
    public func show(_ progress: LoadProgress) {
        guard !isQuiet else { return }
        guard isTerminal else { return showLine(progress) }
        let fraction = progress.fraction.isFinite ? min(max(progress.fraction, 0), 1) : 0
        let percent = Int(fraction * 100)
        let isNews = state.withLock { state in
            if state.shown == percent, state.stage == progress.stage { return false }
            state.shown = percent
            state.stage = progress.stage
            return true
        }
        guard isNews else { return }
        let filled = percent * 30 / 100
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
        try? Output.error.write("\r\u{1b}[K\(name) \(bar) \(percent) % \(progress.stage)")
    }

    private func showLine(_ progress: LoadProgress) {
        let now = ContinuousClock.now
        let isDue = state.withLock { state in
            guard now >= state.nextLine ?? start + ProgressReport.linePeriod else { return false }
            state.nextLine = now + ProgressReport.linePeriod
            return true
        }
        if isDue { try? Output.error.write("\(name): \(progress.stage)\n") }
    }

    private static let linePeriod = Duration.seconds(10)

    /// Says what was loaded and how long it took.
    public func finish(_ summary: String) {
        guard !isQuiet else { return }
        let milliseconds = Int(start.duration(to: .now).milliseconds)
        try? Output.error.write((isTerminal ? "\r\u{1b}[K" : "") + "loaded \(summary) in \(milliseconds) ms\n")
    }

    /// Leaves the line clean for an error message.
    public func abort() {
        if isTerminal, !isQuiet { try? Output.error.write("\r\u{1b}[K") }
    }
}
