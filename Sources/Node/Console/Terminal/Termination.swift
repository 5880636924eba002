internal import Base
internal import Foundation
internal import Synchronization
internal import UnixSignals

/// The end of a command that a signal asks for.
///
/// Dying in the middle of a question is hard on those who are to answer it: a stock server that writes to a connection that is no more
/// may end itself. So the question is answered first, and the connection closed then.
public enum Termination {
    /// Somebody who waits for a line on the terminal cannot be woken; after so long the process ends as it is.
    private static let patience = Duration.seconds(3)

    /// What a signal asked for.
    private final class Wish: Sendable {
        let status = Mutex<Int32?>(nil)
    }

    /// Runs `work`, which is cancelled when SIGTERM comes.
    ///
    /// - Parameter endsAtInterrupt: whether Ctrl-C does the same.
    /// - Returns: the status to end with after an orderly farewell, if a signal came; nil if the work came to its own end.
    public static func orderly(endsAtInterrupt: Bool, _ work: @escaping @Sendable () async throws -> Void) async throws -> Int32? {
        let wish = Wish()
        let task = Task { try await work() }
        let signals: [UnixSignal] = endsAtInterrupt ? [.sigterm, .sigint] : [.sigterm]
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await signal in await UnixSignalsSequence(trapping: signals) {
                    let code = 128 + (signal == .sigint ? SIGINT : SIGTERM)
                    wish.status.withLock { $0 = code }
                    task.cancel()
                    try await Task.sleep(for: patience)
                    exit(code)
                }
            }
            defer { group.cancelAll() }
            do {
                try await task.value
            } catch {
                if wish.status.withLock({ $0 }) == nil { throw error }
            }
            return wish.status.withLock { $0 }
        }
    }

    /// Has something called for each signal that asks this process to end, by its number, which then ends nothing by itself. A terminal
    /// that goes away asks nothing of one that was told to survive it.
    public static func onSignals(_ call: @escaping @Sendable (Int32) -> Void) {
        let signals: [UnixSignal] = SignalDisposition.ignoresHangup ? [.sigterm, .sigint] : [.sigterm, .sigint, .sighup]
        Task { for await signal in await UnixSignalsSequence(trapping: signals) { call(signal.rawValue) } }
    }
}
