internal import Foundation
internal import Kernels
internal import Logging
public import RPCProto
internal import Synchronization
internal import Tensor

/// What a worker does at one moment, and has done since it began.
public struct WorkerStatus: Hashable, Sendable {
    public var sessions = 0
    public var computing = 0
    public var connectionsAccepted = 0
    public var connectionsTurnedAway = 0
    /// Closed for what the client asked.
    public var sessionsRefused = 0
    /// Broken off by the client or the network.
    public var sessionsLost = 0
    /// Ended by the worker: their time was over, or their client had left in the middle of a graph.
    public var sessionsEnded = 0
    public var requests = 0
    public var graphs = 0
    /// Seconds that sessions wanted graphs, waiting for turns included.
    public var computeSeconds = 0.0
    public var receivedBytes = 0
    public var sentBytes = 0
    public var devices: [Device] = []
    /// Nil without a cache.
    public var cache: TensorCacheStatistics?

    /// A device that is lent.
    public struct Device: Hashable, Sendable {
        public var name: String
        /// Bytes of buffers and plans in use.
        public var memoryLent: Int
        /// Bytes that can still be lent, and that could be in all.
        public var memoryFree: Int
        public var memoryTotal: Int
    }

    init(_ connections: WorkerConnections, _ devices: [OpenDevice], _ cache: TensorCache?) {
        let totals = connections.totals
        let live = connections.live
        self.cache = cache?.statistics
        sessions = live.values.count { !$0.activity.isLifeLine }
        computing = live.values.count { $0.activity.phase == .computing }
        connectionsAccepted = totals.accepted
        connectionsTurnedAway = totals.turnedAway
        sessionsRefused = totals.refused
        sessionsLost = totals.lost
        sessionsEnded = totals.ended
        requests = totals.requests
        graphs = totals.graphs
        computeSeconds = totals.computeSeconds
        receivedBytes = totals.receivedBytes
        sentBytes = totals.sentBytes
        self.devices = devices.map { device in
            let memory = (try? device.backend.memory()) ?? DeviceMemory(free: 0, total: 0)
            return Device(name: device.name, memoryLent: memory.lent, memoryFree: memory.free, memoryTotal: memory.total)
        }
    }
}

/// A line in the log now and then, while there is anything to tell.
final class WorkerStatusLine: Sendable {
    private struct State {
        var last = ContinuousClock.now
        var receivedBytes = 0
        var graphs = 0
    }

    private let state = Mutex(State())
    private let period: Double
    private let logger: Logger

    init(period: Double, logger: Logger) {
        self.period = period
        self.logger = logger
    }

    /// Heads that only ask now and then whether all is well are no news.
    private static let noteworthyByteCount = 1 << 20

    /// Called often; shows `status` once a period, if anything was computed or brought since.
    func show(_ status: @autoclosure () -> WorkerStatus) {
        if period <= 0 { return }
        let now = ContinuousClock.now
        let isDue = state.withLock { $0.last.duration(to: now) >= .seconds(period) }
        if !isDue { return }
        let status = status()
        let line: String? = state.withLock { state in
            let seconds = state.last.duration(to: now) / .seconds(1)
            defer { state = State(last: now, receivedBytes: status.receivedBytes, graphs: status.graphs) }
            let isIdle = status.graphs == state.graphs && status.computing == 0
            if isIdle, status.receivedBytes - state.receivedBytes < WorkerStatusLine.noteworthyByteCount { return nil }
            let rate = Double(status.graphs - state.graphs) / seconds
            let memory = status.devices.map { device in
                // One device needs no name.
                let name = status.devices.count > 1 ? "\(device.name) " : ""
                return name + String(format: "%.2f GiB lent, %.2f GiB free", gibibytes(device.memoryLent), gibibytes(device.memoryFree))
            }
            let work = String(format: "%d sessions, %d computing, %.1f graphs/s", status.sessions, status.computing, rate)
            return ([work] + memory).joined(separator: ", ")
        }
        if let line { logger.info("\(line)") }
    }

    private func gibibytes(_ bytes: Int) -> Double { Double(bytes) / Double(1 << 30) }
}
