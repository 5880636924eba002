internal import Base
internal import Foundation
package import NodeEngine
internal import RPCProto
internal import Synchronization
internal import Tensor

/// The workers that a head may use, as they come and go: each looked for, watched, and shared by all models.
///
/// What is decided is decided by ``Membership``, a value; here are its lock, the connections, and a few threads that take the looks which
/// are due. Who uses workers is told of changes.
package final class NodePool: Sendable {
    struct State {
        var membership = Membership()
        var peers: [NodeID: Peer] = [:]
        /// Open connections by number.
        var links: [Membership.Link: ConnectedServers.Server] = [:]
        var linkCount = 0
        /// By what each worker is known that is there, or just came: one that is listed by two names is used by the first.
        var identities: [NodeID: Set<ServerIdentity>] = [:]
        /// What was learnt of each worker when it was last connected to, for listings.
        var facts: [NodeID: NodeFacts] = [:]
        var observers: [Membership.User: @Sendable () -> Void] = [:]
        /// Threads that look, and those of them that are at it.
        var watcherCount = 0
        var busyWatcherCount = 0
        /// Whose turn it is to find places, the first in line.
        var turns: [Membership.User] = []
        /// Workers that turned out to be unable to pick the likeliest tokens themselves.
        var needingAllLogits: Set<NodeID> = []
    }

    let monitor: Monitor<State>
    let limits: ClientLimits
    let events: EventFeed
    private let discovery: any Discovery
    private let dialer: any Dialer
    private let lifeLines = LifeLines()
    private let start = ContinuousClock.now

    /// Threads that look at workers, at most: a look at one that does not answer takes seconds.
    private static let watcherLimit = 8
    /// Threads that are kept where nothing is to be done at the moment: one to look, one to be there meanwhile.
    private static let watchersKept = 2
    /// Without anything to wait for, a thread looks after this time whether the pool is still there.
    private static let idleTime = Duration.seconds(20)

    /// The workers that the options name, and those of a network.
    ///
    /// - Throws: ``HeadError`` for names that are none, or stand twice.
    package convenience init(
        _ options: HeadOptions, network: (any WorkerNetwork)? = nil, events: EventFeed
    ) throws(HeadError) {
        let list = try StaticList(options.workers)
        if let network {
            self.init(JoinedDiscovery([list, network]), JoinedDialer(network), options, events: events)
        } else {
            self.init(list, TCPDialer(), options, events: events)
        }
    }

    package init(_ discovery: any Discovery, _ dialer: any Dialer, _ options: HeadOptions, events: EventFeed) {
        self.discovery = discovery
        self.dialer = dialer
        self.events = events
        limits = options.watchfulLimits
        monitor = Monitor(State())
        discovery.start { [weak self] in self?.list($0) }
    }

    deinit { stop() }

    /// Ends all connections.
    package func stop() {
        discovery.stop()
        apply { $0.stop() }
    }

    private var now: Membership.Time { ContinuousClock.now - start }

    /// Has the membership changed, and does what follows from it.
    private func apply(_ change: (inout Membership) -> [Membership.Effect]) {
        let (effects, closed, observers) = monitor.change { state in
            let effects = change(&state.membership)
            var closed: [ConnectedServers.Server] = []
            for case .close(let link) in effects {
                if let server = state.links.removeValue(forKey: link) { closed.append(server) }
            }
            return (effects, closed, Array(state.observers.values))
        }
        for server in closed { server.connection.close() }
        for case .tell(let kind, let id, let message) in effects { tell(kind, id, message) }
        if effects.contains(.changed) {
            for call in observers { call() }
        }
        hireWatchers()
    }

    /// Messages about a worker whose id says little begin with its name.
    private func tell(_ kind: NodeEvent.Kind, _ id: NodeID, _ message: String) {
        let name = monitor.read { $0.peers[id]?.name }
        let label = NodeStatus.label("\(id)", name: name)
        let rest = message.hasPrefix("\(label) ") ? String(message.dropFirst(label.count + 1)) : message
        events.tell(NodeEvent(kind, node: "\(id)", name: name, name.map { "\($0) \(rest)" } ?? message))
    }

    /// What a worker is called in texts for people.
    private func label(_ id: NodeID) -> String { NodeStatus.label("\(id)", name: monitor.read { $0.peers[id]?.name }) }

    private func list(_ peers: [Peer]) {
        let now = now
        let ids = Set(peers.map(\.id))
        let moved = monitor.change { state in
            var moved: [NodeID] = []
            for peer in peers {
                guard let old = state.peers.updateValue(peer, forKey: peer.id) else { continue }
                if !Set(peer.routes).isSubset(of: old.routes) || (peer.way != nil && peer.way != old.way) { moved.append(peer.id) }
            }
            return moved
        }
        apply { membership in
            var effects: [Membership.Effect] = []
            for entry in membership.entries where !ids.contains(entry.id) { effects += membership.unlist(entry.id) }
            for peer in peers { effects += membership.list(peer.id, at: now) }
            for id in moved { membership.moved(id, at: now) }
            return effects
        }
        monitor.change { state in
            state.peers = state.peers.filter { state.membership[$0.key] != nil }
            state.facts = state.facts.filter { state.membership[$0.key] != nil }
            state.identities = state.identities.filter { state.membership[$0.key] != nil }
        }
    }

    // MARK: For any thread

    var entries: [Membership.Entry] { monitor.read { $0.membership.entries } }

    /// Why workers cannot be used; nil if all can.
    var absence: String? {
        let reasons = entries.compactMap { entry -> String? in
            if case .absent(let reason) = entry.presence { return reason }
            return entry.isWelcome ? nil : "\(label(entry.id)) is \(entry.isDrained ? "emptied" : "about to stop")"
        }
        return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
    }

    /// Waits until every worker was looked for once.
    func waitUntilKnown(atMost patience: Duration) {
        _ = monitor.wait(atMost: patience) { state in
            state.membership.isStopped || state.membership.entries.allSatisfy(\.isKnown) ? true : nil
        }
    }

    /// Waits until a worker that was lost is there again, so that it counts where the next places are found.
    func waitUntilBack(_ id: NodeID, atMost patience: Duration, _ isInVain: () -> Bool) {
        let end = now + patience
        while !isInVain(), now < end {
            let isBack: Bool? = monitor.wait(atMost: .milliseconds(100)) { state in
                guard let entry = state.membership[id], !state.membership.isStopped else { return true }
                return entry.isThere ? true : nil
            }
            if isBack == true { return }
        }
    }

    /// Notes that a worker cannot pick the likeliest tokens itself.
    ///
    /// - Returns: false if that was known.
    func noteNeedsAllLogits(_ id: NodeID) -> Bool { monitor.change { $0.needingAllLogits.insert(id).inserted } }

    /// Whether a worker turned out to be unable to pick the likeliest tokens itself.
    func needsAllLogits(_ id: NodeID) -> Bool { monitor.read { $0.needingAllLogits.contains(id) } }

    /// The one worker that calls itself so.
    private func id(named name: String) -> NodeID? {
        let named = monitor.read { state in state.peers.values.filter { $0.name == name }.map(\.id) }
        return named.count == 1 ? named[0] : nil
    }

    /// Empties a worker, or lets it be used again.
    ///
    /// - Parameter address: its id, or what it calls itself where no other does.
    /// - Returns: false if there is none of that name.
    package func setDrained(_ address: String, _ isDrained: Bool) -> Bool {
        guard let id = entries.first(where: { "\($0.id)" == address })?.id ?? id(named: address) else { return false }
        apply { $0.setDrained(id, isDrained) }
        return true
    }

    /// How each worker is, as far as is known without a model.
    package var statuses: [NodeStatus] {
        monitor.read { state in
            state.membership.entries.map { entry in
                var connection: ServerConnection?
                if let link = entry.link { connection = state.links[link]?.connection }
                var status = entry.status(state.facts[entry.id], connection)
                if let peer = state.peers[entry.id], let name = peer.name {
                    status.name = name
                    status.route = peer.way ?? peer.routes.first.map { "\($0)" }
                }
                return status
            }
        }
    }

    // MARK: Using

    /// A new user, who is one until it leaves or is let go of.
    ///
    /// - Parameter call: called after each change, from threads that must not be kept waiting.
    func join(_ call: @escaping @Sendable () -> Void) -> PoolUser {
        let number = monitor.change { state in
            let user = state.membership.join()
            state.observers[user] = call
            return user
        }
        return PoolUser(number, of: self)
    }

    fileprivate func leave(_ user: Membership.User) {
        monitor.change { state in
            state.observers[user] = nil
            state.turns.removeAll { $0 == user }
        }
        let now = now
        apply { $0.leave(user, at: now) }
    }

    /// Runs `body` while no other user does so.
    ///
    /// - Parameter isInVain: asked while waiting, whether to give up.
    /// - Returns: nil if it was given up.
    fileprivate func inTurn<Value>(_ user: Membership.User, _ isInVain: () -> Bool, _ body: () throws -> Value) rethrows -> Value? {
        monitor.change { $0.turns.append(user) }
        defer { monitor.change { $0.turns.removeAll { $0 == user } } }
        while true {
            if isInVain() { return nil }
            let isFirst: Bool? = monitor.wait(atMost: .milliseconds(100)) { $0.turns.first == user ? true : nil }
            if isFirst == true { return try body() }
        }
    }

    fileprivate func gather(for user: Membership.User, includesIdle: Bool) -> ConnectedServers {
        let candidates = monitor.change { $0.membership.gather(for: user, includesIdle: includesIdle) }
        let found = Parallel.map(candidates) { [self] candidate -> ConnectedServers.Server? in
            let (id, link): (NodeID, Membership.Link)
            switch candidate {
            case .held(let held, let number): (id, link) = (held, number)
            case .connect(let wanted, let attempt):
                connect(wanted, attempt: attempt)
                return heldServer(wanted)
            case .wait(let wanted):
                _ = monitor.wait(atMost: .seconds(2 * limits.connect + 3 * limits.answer)) { state in
                    state.membership[wanted]?.isConnecting == true ? nil : true
                }
                return heldServer(wanted)
            }
            return ask(id, link)
        }
        return ConnectedServers(
            servers: monitor.read { state in
                found.compactMap { server in
                    guard var server else { return nil }
                    server.memory = state.membership.available(server.memory, of: server.id, for: user)
                    server.doubts = state.membership.doubts(of: server.id)
                    return server
                }
            })
    }

    private func heldServer(_ id: NodeID) -> ConnectedServers.Server? {
        monitor.read { state in
            guard let link = state.membership[id]?.link else { return nil }
            return state.links[link]
        }
    }

    fileprivate func settle(_ user: Membership.User, on ids: Set<NodeID>, isInPlace: Bool) {
        let now = now
        apply { $0.settle(user, on: ids, isInPlace: isInPlace, at: now) }
    }

    fileprivate func breakOff(_ user: Membership.User) {
        let servers = monitor.read { state in state.membership.linksOnlyOf(user).compactMap { link in state.links[link] } }
        for server in servers { server.connection.close() }
    }

    /// Notes that a worker is lost, or could not do what was asked of it.
    func lose(_ server: ConnectedServers.Server, _ loss: Membership.Loss) {
        let now = now
        monitor.change { state in
            if state.membership[server.id]?.link == server.link { state.identities[server.id] = nil }
        }
        apply { $0.lost(server.id, link: server.link, loss, at: now) }
    }

    /// Notes that a worker gave no sign of life any more, for which its connection was broken off.
    private func loseSilent(_ link: Membership.Link) {
        guard let server = monitor.read({ $0.links[link] }) else { return }
        lose(server, .connection(server.connection.failure ?? "\(server.label) gave no sign of life"))
    }

    /// Notes that a device had no room for so many bytes.
    ///
    /// - Parameter own: bytes that the model has there.
    func doubt(_ server: ConnectedServers.Server, device: Int, needed: Int, own: Int) {
        let now = now
        monitor.change { $0.membership.doubt(server.id, device: device, needed: needed, own: own, at: now) }
    }

    // MARK: Looking

    /// Sees to it that there is a thread for the next look.
    private func hireWatchers() {
        let isNeeded = monitor.change { state in
            guard !state.membership.isStopped, state.watcherCount == state.busyWatcherCount,
                state.watcherCount < NodePool.watcherLimit, state.membership.nextLook != nil
            else { return false }
            state.watcherCount += 1
            return true
        }
        guard isNeeded else { return }
        do throws(ThreadError) {
            try SystemThread.start(name: "nodes") { [weak self, monitor] in NodePool.watch(monitor) { self } }
        } catch {
            // The others take this look too, later.
            monitor.change { $0.watcherCount -= 1 }
        }
    }

    /// A watcher's life: it holds the pool only while it looks.
    private static func watch(_ monitor: Monitor<State>, _ pool: () -> NodePool?) {
        while true {
            guard let now = pool()?.now else { break }
            let look = monitor.change { state -> Membership.Look? in
                let look = state.membership.nextDueLook(at: now)
                if look != nil { state.busyWatcherCount += 1 }
                return look
            }
            if let look {
                if let pool = pool() {
                    // Somebody has to be there for the next.
                    pool.hireWatchers()
                    pool.take(look)
                }
                monitor.change { $0.busyWatcherCount -= 1 }
                continue
            }
            // Counted out in the same moment, so that never all think that there are others.
            let (isOver, next) = monitor.change { state in
                let isOver = state.membership.isStopped || state.watcherCount - state.busyWatcherCount > watchersKept
                if isOver { state.watcherCount -= 1 }
                return (isOver, state.membership.nextLook)
            }
            if isOver { return }
            let pause = next.map { max(.milliseconds(1), $0 - now) } ?? idleTime
            _ = monitor.wait(atMost: min(pause, idleTime)) { state in
                state.membership.isStopped || state.membership.nextLook != next ? true : nil
            }
        }
        monitor.change { $0.watcherCount -= 1 }
    }

    private func take(_ look: Membership.Look) {
        switch look {
        case .connect(let id, let attempt): connect(id, attempt: attempt)
        case .ask(let id, let link):
            guard let server = monitor.read({ $0.links[link] }) else { return }
            if let failure = server.connection.failure { return lose(server, .connection(failure)) }
            if server.connection.peerHasLeft { return lose(server, .connection("\(server.label) has closed the connection")) }
            // Who takes a step there looks after it: waiting for its end would keep this thread from others.
            let now = now
            if server.connection.isExchanging, monitor.change({ $0.membership.wasBusy(id, link: link, at: now) }) { return }
            _ = ask(id, link)
        }
    }

    private func ask(_ id: NodeID, _ link: Membership.Link) -> ConnectedServers.Server? {
        guard var server = monitor.read({ $0.links[link] }) else { return nil }
        do throws(BackendError) {
            server.memory = try server.askMemory()
        } catch {
            lose(server, .connection("\(error)"))
            return nil
        }
        let now = now
        let memory = server.memory
        apply { $0.answered(id, link: link, memory, at: now) }
        return server
    }

    private func connect(_ id: NodeID, attempt: Int) {
        let peer = monitor.read { $0.peers[id] }
        let outcome = Result { () throws(BackendError) -> ConnectedServers.Server in
            guard let peer else { throw BackendError(.connection, "\(id) is listed no more") }
            let connection = try dialer.connect(to: peer, limits)
            if let twin = twin(of: id, connection) {
                connection.close()
                throw BackendError(.connection, "\(label(id)) is the same worker as \(label(twin)), by which it is used")
            }
            return try ConnectedServers.Server(id, name: peer.name, connection)
        }
        let now = now
        switch outcome {
        case .success(var server):
            monitor.change { state in
                state.linkCount += 1
                server.link = state.linkCount
                state.links[server.link] = server
                if state.membership[id] != nil {
                    state.facts[id] = NodeFacts(version: "\(server.connection.version)", roundTrip: server.roundTrip)
                }
            }
            let (link, memory) = (server.link, server.memory)
            apply { $0.connected(id, attempt: attempt, link: link, memory, at: now) }
            // One that nobody uses is closed again by now.
            if server.connection.failure == nil { lifeLines.watch(server.connection) { [weak self] in self?.loseSilent(link) } }
        case .failure(let error):
            monitor.change { $0.identities[id] = nil }
            apply { $0.failed(id, attempt: attempt, "\(error)", at: now) }
        }
    }

    /// Another worker of the list that a connection leads to as well. If there is none, the worker is known by this one from here on.
    private func twin(of id: NodeID, _ connection: ServerConnection) -> NodeID? {
        let identities = connection.identities(asks: monitor.read { $0.peers.count } > 1)
        return monitor.change { state in
            if let twin = state.identities.first(where: { $0.key != id && !$0.value.isDisjoint(with: identities) }) { return twin.key }
            state.identities[id] = identities
            return nil
        }
    }
}

/// One who uses a pool's workers. When it is let go of, nothing is held for it any more.
final class PoolUser: Sendable {
    private let number: Membership.User
    private let pool: NodePool

    fileprivate init(_ number: Membership.User, of pool: NodePool) {
        self.number = number
        self.pool = pool
    }

    deinit { leave() }

    /// Uses nothing any more.
    func leave() { pool.leave(number) }

    /// Runs `body` while no other user of the pool does so: two that count on the same free memory would both be wrong.
    ///
    /// - Parameter isInVain: asked while others have their turn, whether to give up.
    /// - Returns: nil if it was given up.
    func inTurn<Value>(_ isInVain: () -> Bool, _ body: () throws -> Value) rethrows -> Value? { try pool.inTurn(number, isInVain, body) }

    /// The workers that may be used now, with what memory each has for this user at this moment; they stay connected until
    /// ``settle(on:isInPlace:)`` says which of them are. Blocks.
    ///
    /// - Parameter includesIdle: those too to which no connection is held: finding out whether one is still there can take seconds.
    func gather(includesIdle: Bool) -> ConnectedServers { pool.gather(for: number, includesIdle: includesIdle) }

    /// Notes where a model is now, and lets go of workers that nothing is on.
    func settle(on ids: Set<NodeID>, isInPlace: Bool = false) { pool.settle(number, on: ids, isInPlace: isInPlace) }

    /// Notes what is about to be taken of devices' memory, in the place of what was noted before.
    func reserve(_ bytes: [DeviceID: Int]) { pool.monitor.change { $0.membership.reserve(bytes, for: number) } }

    /// What this user may count on, of what this machine's devices say.
    func available(_ memory: [DeviceMemory]) -> [DeviceMemory] { pool.monitor.read { $0.membership.available(memory, for: number) } }

    /// Notes that some of it has been taken.
    func take(_ bytes: Int, of id: NodeID, device: Int) {
        pool.monitor.change { $0.membership.take(bytes, of: id, device: device, for: number) }
    }

    /// Ends the connections that only this user has, for when an answer is not worth waiting for any more.
    func breakOff() { pool.breakOff(number) }
}
