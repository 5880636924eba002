internal import Base
internal import Foundation
internal import RPCProto
internal import Synchronization
internal import Tensor

/// The workers that a head may use, as they come and go: each looked for, watched, and shared by all models.
///
/// A thread for each worker connects to one that is not there, asks one that is how much memory it has, and so sees within
/// seconds that it is gone, frozen, back or about to leave. What came of that is kept here; who wants to know is told.
package final class NodePool: Sendable {
    /// What the pool knows of a worker.
    struct Entry: Sendable {
        let endpoint: Endpoint
        var presence = Presence.absent("it has not been reached yet")
        /// It is being stopped: it keeps what it has for a while, and should get nothing more.
        var isLeaving = false
        /// It was emptied by command.
        var isDrained = false
        /// The models that have, or are about to have, something on it.
        var users: Set<Int> = []
        /// How many devices it had when it was last there.
        var deviceCount = 1
        /// Whether it has been looked for at all.
        fileprivate var isKnown = false
        fileprivate var since = ContinuousClock.now
        fileprivate var nextAttempt = ContinuousClock.now
        fileprivate var penalty = Duration.zero

        /// Whether layers may be put on it.
        var isWelcome: Bool { !isLeaving && !isDrained }
    }

    enum Presence: Sendable {
        /// It cannot be used, because.
        case absent(String)
        /// It answers, and nothing is on it; no connection is held, since a stock server has only one to give.
        case idle(ConnectedServers.Server)
        case held(ConnectedServers.Server)
    }

    private struct State {
        var entries: [Entry]
        /// Counts the changes that placements should know of.
        var version = 0
        var observers: [Int: @Sendable () -> Void] = [:]
        var isStopped = false
        var userCount = 0
    }

    private let state: Mutex<State>
    private let placing = NSLock()
    private let wakeUps: [DispatchSemaphore]
    let limits: ClientLimits
    let events: EventFeed

    /// Between two looks at a worker that is there, and at one that is not.
    private static let period = Duration.seconds(1)
    /// Between two looks at one that is there and has nothing.
    private static let idlePeriod = Duration.seconds(10)
    /// A worker that stayed for less than this is let back in later each time.
    private static let flappingTime = Duration.seconds(10)
    private static let longestPenalty = Duration.seconds(60)

    /// - Throws: ``HeadError`` for names that are none, or stand twice.
    package init(_ options: HeadOptions, events: EventFeed) throws(HeadError) {
        let endpoints = try ConnectedServers.endpoints(options.workers)
        state = Mutex(State(entries: endpoints.map { Entry(endpoint: $0) }))
        wakeUps = endpoints.map { _ in DispatchSemaphore(value: 0) }
        limits = options.watchfulLimits
        self.events = events
        for index in endpoints.indices {
            let thread = Thread { [weak self, wakeUp = wakeUps[index]] in
                while let pause = self?.look(index) { _ = wakeUp.wait(timeout: .now() + pause / .seconds(1)) }
            }
            thread.name = "swiftlet node \(index)"
            thread.start()
        }
    }

    deinit { stop() }

    /// Ends all connections.
    package func stop() {
        let servers = state.withLock { state in
            state.isStopped = true
            return state.entries.compactMap(\.heldServer)
        }
        for server in servers { server.connection.close() }
        for wakeUp in wakeUps { wakeUp.signal() }
    }

    // MARK: For any thread

    var entries: [Entry] { state.withLock { $0.entries } }
    var version: Int { state.withLock { $0.version } }

    /// Why workers cannot be used; nil if all can.
    var absence: String? {
        let reasons = entries.compactMap { entry -> String? in
            if case .absent(let reason) = entry.presence { return reason }
            return entry.isWelcome ? nil : "\(entry.endpoint) is \(entry.isDrained ? "emptied" : "about to stop")"
        }
        return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
    }

    /// Waits until every worker was looked for once.
    func waitUntilKnown(atMost patience: Duration) {
        let end = ContinuousClock.now + patience
        while ContinuousClock.now < end, entries.contains(where: { !$0.isKnown }) { Thread.sleep(forTimeInterval: 0.01) }
    }

    /// A number that tells one user of the pool from all others there ever were.
    func newUser() -> Int {
        state.withLock { state in
            state.userCount += 1
            return state.userCount
        }
    }

    /// Has `call` called after each change, from threads that must not be kept waiting.
    func observe(as user: Int, _ call: @escaping @Sendable () -> Void) { state.withLock { $0.observers[user] = call } }

    func forget(_ user: Int) {
        state.withLock { $0.observers[user] = nil }
        settle(user, on: [])
    }

    /// The workers that may be used now, with what memory each has at this moment; they stay connected until
    /// ``settle(_:on:)`` says which of them are. Blocks.
    ///
    /// - Parameter includesIdle: those too to which no connection is held: finding out whether one is still there can take seconds.
    func gather(for user: Int, includesIdle: Bool) -> ConnectedServers {
        let candidates = state.withLock { state in
            var candidates: [(index: Int, presence: Presence)] = []
            for index in state.entries.indices where state.entries[index].isWelcome {
                switch state.entries[index].presence {
                case .absent: continue
                case .idle where !includesIdle: continue
                default: break
                }
                state.entries[index].users.insert(user)
                candidates.append((index, state.entries[index].presence))
            }
            return candidates
        }
        let found = Parallel.map(candidates) { [self] candidate -> ConnectedServers.Server? in
            guard case .held(var server) = candidate.presence else { return attempt(candidate.index) }
            do throws(BackendError) {
                server.memory = try server.askMemory()
                return server
            } catch {
                lose(candidate.index, server.connection, "\(error)")
                return nil
            }
        }
        return ConnectedServers(servers: found.compactMap { $0 })
    }

    /// Runs `body` while no other model finds places.
    func alone<Value>(_ body: () throws -> Value) rethrows -> Value {
        placing.lock()
        defer { placing.unlock() }
        return try body()
    }

    /// Notes where a model is now, and lets go of workers that nothing is on.
    func settle(_ user: Int, on endpoints: Set<Endpoint>) {
        let released = state.withLock { state in
            var released: [ServerConnection] = []
            for index in state.entries.indices {
                if endpoints.contains(state.entries[index].endpoint) {
                    state.entries[index].users.insert(user)
                } else {
                    state.entries[index].users.remove(user)
                }
                guard state.entries[index].users.isEmpty, case .held(let server) = state.entries[index].presence else { continue }
                state.entries[index].presence = .idle(server)
                state.entries[index].nextAttempt = .now + (state.entries[index].isLeaving ? NodePool.period : NodePool.idlePeriod)
                released.append(server.connection)
            }
            return released
        }
        for connection in released { connection.close() }
    }

    /// Ends the connections that a user has something on.
    func breakOff(_ user: Int) {
        let connections = entries.compactMap { $0.users.contains(user) ? $0.heldServer?.connection : nil }
        for connection in connections { connection.close() }
    }

    /// Whether there are workers that may be used and to which no connection is held.
    var hasIdle: Bool {
        entries.contains { entry in
            if case .idle = entry.presence { return entry.isWelcome }
            return false
        }
    }

    /// Gives a worker up that could not do what was asked of it, until it has had time to get better.
    func giveUp(_ connection: ServerConnection, _ reason: String) {
        if let index = entries.firstIndex(where: { $0.endpoint == connection.endpoint }) { lose(index, connection, reason) }
    }

    /// Empties a worker, or lets it be used again.
    ///
    /// - Returns: false if there is none of that name.
    func setDrained(_ address: String, _ isDrained: Bool) -> Bool {
        let isChanged: Bool? = state.withLock { state in
            guard let index = state.entries.firstIndex(where: { "\($0.endpoint)" == address }) else { return nil }
            if state.entries[index].isDrained == isDrained { return false }
            state.entries[index].isDrained = isDrained
            return true
        }
        if isChanged == true {
            let message = isDrained ? "is emptied: it gets nothing more until it is resumed" : "may be used again"
            change(isDrained ? .draining : .resumed, address, message)
        }
        return isChanged != nil
    }

    // MARK: The watching threads

    /// - Returns: how long to wait before the next look; nil when it is over.
    private func look(_ index: Int) -> Duration? {
        let (entry, isStopped) = state.withLock { ($0.entries[index], $0.isStopped) }
        if isStopped { return nil }
        switch entry.presence {
        case .absent:
            guard ContinuousClock.now >= entry.nextAttempt else { return .milliseconds(200) }
            if attempt(index) != nil {
                change(.joined, "\(entry.endpoint)", "is there")
            } else if !entry.isKnown, case .absent(let reason) = state.withLock({ $0.entries[index].presence }) {
                change(.lost, "\(entry.endpoint)", reason)
            }
        case .idle:
            guard ContinuousClock.now >= entry.nextAttempt else { return NodePool.period }
            guard let server = attempt(index) else { break }
            // One that was about to stop has come back in the meantime: it is looked at as a new one.
            if entry.isLeaving { change(.joined, "\(entry.endpoint)", "is there") } else { release(server, index) }
        case .held(let server): check(server, index)
        }
        return NodePool.period
    }

    /// Lets a worker's connection go that nobody took up.
    private func release(_ server: ConnectedServers.Server, _ index: Int) {
        let isReleased = state.withLock { state in
            guard state.entries[index].users.isEmpty else { return false }
            state.entries[index].presence = .idle(server)
            state.entries[index].nextAttempt = .now + NodePool.idlePeriod
            return true
        }
        if isReleased { server.connection.close() }
    }

    private func check(_ server: ConnectedServers.Server, _ index: Int) {
        if let failure = server.connection.failure { return lose(index, server.connection, failure) }
        if server.connection.peerHasLeft { return lose(index, server.connection, "\(server.connection.endpoint) has closed the connection") }
        let memory: [DeviceMemory]
        do throws(BackendError) {
            memory = try server.askMemory()
        } catch {
            return lose(index, server.connection, "\(error)")
        }
        // Ours says so when it is told to stop.
        let isLeaving = memory.allSatisfy { $0.total == 0 && $0.free == 0 } && server.memory.contains { $0.total > 0 }
        let isNew = state.withLock { state in
            defer { state.entries[index].isLeaving = isLeaving }
            return isLeaving != state.entries[index].isLeaving
        }
        guard isNew else { return }
        let message = isLeaving ? "is about to stop, and is emptied" : "stays after all"
        change(isLeaving ? .leaving : .joined, "\(server.connection.endpoint)", message)
    }

    /// Connects; what came of it is noted, but nobody is told.
    private func attempt(_ index: Int) -> ConnectedServers.Server? {
        let endpoint = state.withLock { $0.entries[index].endpoint }
        let outcome = Result { () throws(BackendError) in try ConnectedServers.Server(endpoint, limits) }
        let (kept, superfluous) = state.withLock { state -> (ConnectedServers.Server?, ConnectedServers.Server?) in
            state.entries[index].isKnown = true
            switch outcome {
            case .success(let server):
                // Someone else was faster.
                if let held = state.entries[index].heldServer, held.connection.failure == nil { return (held, server) }
                if state.isStopped { return (nil, server) }
                if case .absent = state.entries[index].presence { state.entries[index].since = .now }
                state.entries[index].presence = .held(server)
                state.entries[index].isLeaving = false
                state.entries[index].deviceCount = server.memory.count
                return (server, nil)
            case .failure(let error):
                state.entries[index].presence = .absent("\(error)")
                state.entries[index].nextAttempt = .now + max(NodePool.period, state.entries[index].penalty)
                return (nil, nil)
            }
        }
        superfluous?.connection.close()
        return kept
    }

    private func lose(_ index: Int, _ connection: ServerConnection, _ reason: String) {
        let lost = state.withLock { state -> Entry? in
            let entry = state.entries[index]
            // It may be back already.
            guard case .held(let server) = entry.presence, server.connection === connection else { return nil }
            connection.close()
            // One that comes and goes is of no use: each loss costs the others a placement.
            let isFlapping = ContinuousClock.now - entry.since < NodePool.flappingTime
            let penalty = isFlapping ? min(NodePool.longestPenalty, max(.seconds(1), entry.penalty * 2)) : .zero
            state.entries[index].penalty = penalty
            state.entries[index].presence = .absent(reason)
            state.entries[index].isLeaving = false
            state.entries[index].users = []
            state.entries[index].nextAttempt = .now + max(.milliseconds(500), penalty)
            return state.isStopped ? nil : state.entries[index]
        }
        guard let lost else { return }
        let rest = lost.penalty > .zero ? " (it had just come, so it is not tried for \(Int(lost.penalty / .seconds(1))) s)" : ""
        change(.lost, "\(lost.endpoint)", reason + rest)
    }

    private func change(_ kind: NodeEvent.Kind, _ node: String, _ message: String) {
        let observers = state.withLock { state in
            state.version += 1
            return Array(state.observers.values)
        }
        events.tell(NodeEvent(kind, node: node, message))
        for call in observers { call() }
    }
}

extension NodePool.Entry {
    fileprivate var heldServer: ConnectedServers.Server? {
        if case .held(let server) = presence { return server }
        return nil
    }

    /// As it is while nothing is known of what it has.
    var status: NodeStatus {
        let (server, reason): (ConnectedServers.Server?, String?) =
            switch presence {
            case .absent(let reason): (nil, reason)
            case .idle(let server), .held(let server): (server, nil)
            }
        let state: NodeStatus.State = server == nil ? .absent : isDrained ? .drained : isLeaving ? .leaving : .unused
        return NodeStatus(
            address: "\(endpoint)", state: state, reason: reason, version: server.map { "\($0.connection.version)" },
            devices: (server?.memory ?? []).enumerated().map { index, memory in
                NodeStatus.Device(
                    name: "device \(index)", memoryFree: memory.total > 0 || memory.free > 0 ? memory.free : nil,
                    memoryTotal: memory.total > 0 || memory.free > 0 ? memory.total : nil)
            },
            roundTripNanoseconds: server.map { Int($0.roundTrip / .nanoseconds(1)) }, sentBytes: server?.connection.sentByteCount ?? 0,
            receivedBytes: server?.connection.receivedByteCount ?? 0)
    }
}
