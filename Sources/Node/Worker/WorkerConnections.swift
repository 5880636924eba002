internal import Foundation
internal import RPCProto
internal import Synchronization
internal import Tensor

/// The connections being served, what they have done in all, and a way to end them.
final class WorkerConnections: Sendable {
    /// One client's connection.
    final class Connection: Sendable {
        let stream: SocketStream
        let activity: SessionActivity
        /// What computes for it alone, until its session ends.
        private let lanes: Mutex<[any Backend]>
        /// Ends its waiting for another worker.
        let interruption = CollectiveInterruption()
        /// Why the worker ended it; the first reason counts.
        private let reason = Mutex<String?>(nil)

        init(_ stream: SocketStream, _ activity: SessionActivity, _ devices: [any Backend]) {
            self.stream = stream
            self.activity = activity
            lanes = Mutex(devices)
        }

        var devices: [any Backend] { lanes.withLock { $0 } }

        /// Lets go of what computed for it, and so of that memory, when its session has ended.
        func releaseDevices() { lanes.withLock { $0 = [] } }

        var endReason: String? { reason.withLock { $0 } }

        /// Ends whatever it waits for or computes.
        func end(_ why: String) {
            reason.withLock { $0 = $0 ?? why }
            for device in devices { device.cancel() }
            interruption.interrupt()
            stream.interrupt()
        }
    }

    /// Sums over connections, those that have ended included.
    struct Totals {
        var accepted = 0
        var turnedAway = 0
        var refused = 0
        var lost = 0
        var ended = 0
        var requests = 0
        var graphs = 0
        var computeSeconds = 0.0
        var receivedBytes = 0
        var sentBytes = 0

        fileprivate mutating func add(_ connection: Connection) {
            requests += connection.activity.requestCount
            graphs += connection.activity.graphCount
            computeSeconds += connection.activity.computeSeconds
            receivedBytes += connection.stream.receivedByteCount
            sentBytes += connection.stream.sentByteCount
        }
    }

    private struct State {
        var live: [Int: Connection] = [:]
        var next = 0
        var isStopped = false
        var ended = Totals()
    }

    private let state = Mutex(State())
    private let limits: WorkerOptions.Limits

    /// A head that watches over its workers asks at least as often, in seconds.
    private static let watchingTime = 5.0

    init(_ limits: WorkerOptions.Limits) {
        self.limits = limits
    }

    enum Admission {
        /// Under this number.
        case served(Int)
        case turnedAway(String)
    }

    func add(_ connection: Connection) -> Admission {
        state.withLock { state in
            if let reason = refusal(of: connection, state) {
                state.ended.turnedAway += 1
                return .turnedAway(reason)
            }
            state.next += 1
            state.ended.accepted += 1
            state.live[state.next] = connection
            return .served(state.next)
        }
    }

    private func refusal(of connection: Connection, _ state: State) -> String? {
        if state.isStopped { return "the worker stops" }
        if WorkerConnections.counted(state.live.values) >= limits.connections { return "there are \(limits.connections) connections" }
        // One client must leave room for others.
        let address = connection.stream.address
        let own = WorkerConnections.counted(state.live.values.filter { $0.stream.address == address })
        return own >= limits.connectionsPerClient ? "it has \(own) connections" : nil
    }

    /// Connections as they count against limits: a life line beside each of them counts nothing.
    private static func counted(_ connections: some Collection<Connection>) -> Int {
        let lifeLineCount = connections.count { $0.activity.isLifeLine }
        return max(lifeLineCount, connections.count - lifeLineCount)
    }

    func countTurnedAway() { state.withLock { $0.ended.turnedAway += 1 } }

    func remove(_ number: Int, _ end: SessionEnd) {
        state.withLock { state in
            guard let connection = state.live.removeValue(forKey: number) else { return }
            state.ended.add(connection)
            if connection.endReason != nil {
                state.ended.ended += 1
                return
            }
            switch end {
            case .closed: break
            case .refused: state.ended.refused += 1
            case .lost: state.ended.lost += 1
            }
        }
    }

    /// By their numbers, which are not used again.
    var live: [Int: Connection] { state.withLock { $0.live } }
    /// Whether the worker stops: connections only finish what has arrived.
    var isDraining: Bool { state.withLock { $0.isStopped } }
    var count: Int { state.withLock { $0.live.count } }

    var totals: Totals {
        state.withLock { state in
            var sum = state.ended
            for connection in state.live.values { sum.add(connection) }
            return sum
        }
    }

    /// Takes no more connections. Heads that watch over their workers see that this one leaves and go by themselves; the others
    /// may finish what has arrived from them.
    func drain() {
        let live = state.withLock { state in
            state.isStopped = true
            return state.live
        }
        // A head with a life line watches, and needs it to tell a long step from a freeze.
        let watching = Set(live.values.filter(\.activity.isLifeLine).compactMap(\.stream.address))
        for connection in live.values where !connection.activity.hasAskedForMemory(within: WorkerConnections.watchingTime) {
            if let address = connection.stream.address, watching.contains(address) { continue }
            connection.stream.stopReceiving()
        }
    }

    /// Ends all that are left.
    func endAll(_ why: String) {
        for connection in live.values { connection.end(why) }
    }
}
