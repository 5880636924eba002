internal import Base
internal import Foundation
internal import RPCProto
internal import Synchronization

/// Looks after connections from a thread of its own: ends those whose client is gone while a graph computes or whose host is gone while
/// an answer is under way to it, that do not greet, stall in the middle of a message, or stay idle for longer than they may.
///
/// A session cannot see any of this itself: its thread is in the computation or in a blocking call.
final class WorkerWatch: Sendable {
    private let connections: WorkerConnections
    private let limits: WorkerOptions.Limits
    private let isStopped = Atomic<Bool>(false)

    /// Seconds between two looks.
    private static let period = 0.25
    /// Bytes that must move within the time for stalled messages: a byte now and then is no progress.
    private static let leastProgress = 4096

    init(_ connections: WorkerConnections, _ limits: WorkerOptions.Limits) {
        self.connections = connections
        self.limits = limits
    }

    /// - Throws: if the system has no thread for it.
    func start(each period: @escaping @Sendable () -> Void) throws(ThreadError) {
        try SystemThread.start(name: "watch", stackSize: 1 << 20) { [self] in
            var progress: [Int: Progress] = [:]
            while !isStopped.load(ordering: .relaxed) {
                SystemThread.sleep(for: .seconds(WorkerWatch.period))
                look(&progress)
                period()
            }
        }
    }

    func stop() { isStopped.store(true, ordering: .relaxed) }

    /// How a message has come along while its session waited for the peer.
    private struct Progress {
        var bytes: Int
        var waited = 0.0
    }

    private func look(_ progress: inout [Int: Progress]) {
        var current: [Int: Progress] = [:]
        // A connection that takes no more looks like one whose client has left.
        let canLeave = !connections.isDraining
        for (number, connection) in connections.live {
            let activity = connection.activity
            // In this order: what began since is too young for anything.
            let phase = activity.phase
            let seconds = activity.phaseSeconds
            switch phase {
            case .greeting where seconds > limits.greetingSeconds:
                connection.end("it did not greet within \(text(limits.greetingSeconds)) s")
            case .idle where limits.idleSeconds > 0 && seconds > limits.idleSeconds:
                connection.end("it was idle for \(text(limits.idleSeconds)) s")
            case .computing where canLeave && seconds > WorkerWatch.period && connection.stream.peerHasLeft:
                connection.end("its client left while a graph was computed")
            case .reducing where canLeave && seconds > WorkerWatch.period && connection.stream.peerHasLeft:
                connection.end("its client left while another worker was awaited")
            case .exchanging:
                current[number] = checkProgress(connection, progress[number])
            default: break
            }
            if connection.stream.hostHasVanished(within: limits.keepAliveSeconds) {
                connection.end("its host gives no sign of life")
            }
        }
        progress = current
    }

    private func checkProgress(_ connection: WorkerConnections.Connection, _ before: Progress?) -> Progress {
        let stream = connection.stream
        let bytes = stream.receivedByteCount + stream.sentByteCount
        guard var now = before, bytes - now.bytes < WorkerWatch.leastProgress else { return Progress(bytes: bytes) }
        // Time in which the session was busy itself is not the peer's.
        if stream.isWaitingForPeer { now.waited += WorkerWatch.period }
        if now.waited > limits.stallSeconds {
            connection.end("it stalled for \(text(limits.stallSeconds)) s in the middle of a message")
        }
        return now
    }

    private func text(_ seconds: Double) -> String { String(format: "%g", seconds) }
}
