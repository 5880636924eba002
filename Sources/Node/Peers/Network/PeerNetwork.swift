package import Base
package import Logging
package import NodeCluster
package import RPCProto
internal import Synchronization
package import Tensor

/// One node's part in a network: it knows who else is there, keeps track of them, and makes tunnels to them. For a head it is where
/// workers are learnt of (``Discovery``) and how they are connected to (``Dialer``).
package final class PeerNetwork: Sendable {
    private struct State {
        var table: PeerTable
        var listed: [PeerTable.Listed] = []
        var tell: (@Sendable ([Peer]) -> Void)?
        var told: [Peer]?
        var isStopped = false
        var onRevoked: [@Sendable (Set<String>) -> Void] = []
    }

    package let credentials: TunnelCredentials
    /// Where nodes wait for this one to call them.
    package let desk: CallDesk
    private let client: TunnelClient
    private let revocations: any Revocations
    private let monitor: Monitor<State>
    private let tunnels = OpenTunnels()
    /// Held while telling, so that calls follow each other.
    private let telling = Mutex<Void>(())
    private let logger: Logger
    private let start = ContinuousClock.now

    /// Seconds that a look at a node may take.
    private static let lookTime = 3.0
    /// Between two looks at whether somebody was revoked.
    private static let revocationPeriod = Duration.seconds(1)

    /// - Parameters:
    ///   - ownCard: what this node says of itself.
    ///   - revocations: who is to be had nothing to do with.
    package init(
        _ credentials: TunnelCredentials, ownCard: @escaping @Sendable () -> NodeCard, _ revocations: any Revocations, logger: Logger
    ) {
        self.credentials = credentials
        self.revocations = revocations
        self.logger = logger
        desk = CallDesk(logger: logger)
        client = TunnelClient(
            credentials, ownCard: ownCard, isRevoked: { revocations.contains($0) }, revoked: { revocations.ids })
        monitor = Monitor(State(table: PeerTable(ownID: credentials.node.id)))
        desk.onChange { [weak self] ids in self?.noteWaiting(ids, at: credentials.node.id) }
    }

    private var now: PeerTable.Time { ContinuousClock.now - start }

    /// Begins to look for others.
    ///
    /// - Throws: if the system has no thread for it.
    package func begin() throws(ThreadError) {
        try SystemThread.start(name: "peers") { [weak self, monitor] in PeerNetwork.watch(monitor) { self } }
    }

    /// Looks for nobody any more. Tunnels that are open stay.
    package func end() {
        monitor.change { state in
            state.isStopped = true
            state.tell = nil
        }
    }

    deinit { end() }

    // MARK: What is heard

    /// A user named a place where a node is.
    package func name(_ place: Endpoint) {
        let now = now
        monitor.change { $0.table.name(.direct(place), at: now) }
    }

    /// A list to which anybody can add has a place where a node may be.
    package func suggest(_ place: Endpoint) {
        let now = now
        monitor.change { $0.table.suggest(.direct(place), at: now) }
    }

    private func noteWaiting(_ ids: [String], at host: String) {
        let now = now
        monitor.change { $0.table.wait(ids, at: host, now: now) }
    }

    /// A record says that a node is at these places.
    package func hint(_ source: PeerTable.Source, id: String, _ places: [Endpoint]) {
        let now = now
        monitor.change { $0.table.hint(source, id: id, places.map(Route.direct), at: now) }
    }

    /// A record is no more.
    package func unhint(_ source: PeerTable.Source) {
        let now = now
        monitor.change { $0.table.unhint(source, at: now) }
    }

    /// Nodes that another one knows to be revoked.
    package func noteRevoked(_ ids: [String], from node: NodeCard) {
        if revocations.merge(ids, from: node) { monitor.change { _ in } }
    }

    /// Has something called with the nodes that are revoked, every second or so while there are any, so that what is open with them ends.
    package func onRevoked(_ call: @escaping @Sendable (Set<String>) -> Void) { monitor.change { $0.onRevoked.append(call) } }

    /// The nodes that are there, this one not among them.
    package var nodes: [PeerTable.Listed] { monitor.read { $0.listed } }

    /// Seconds since a node was seen last.
    package func age(of listed: PeerTable.Listed) -> Double { max(0, (now - listed.seen) / .seconds(1)) }

    /// What was tried in vain, a line each.
    package var misses: [String] { monitor.read { $0.table.misses.map { "\($0.probe.route): \($0.reason)" } } }

    /// Waits until nobody new has been found for a while, or for so long.
    package func settle(quiet: Duration, atMost patience: Duration) {
        let end = ContinuousClock.now + patience
        var known: [String] = []
        var since = ContinuousClock.now
        while ContinuousClock.now < end, ContinuousClock.now - since < quiet || known.isEmpty {
            let ids = nodes.map(\.card.id)
            if ids != known { (known, since) = (ids, .now) }
            SystemThread.sleep(for: .milliseconds(20))
        }
    }

    // MARK: The thread that looks after it

    private static func watch(_ monitor: Monitor<State>, _ network: () -> PeerNetwork?) {
        while true {
            guard let now = network()?.now else { return }
            network()?.refresh()
            let (isOver, probes) = monitor.change { state in (state.isStopped, state.isStopped ? [] : state.table.probes(at: now)) }
            if isOver { return }
            for probe in probes { network()?.take(probe) }
            if !probes.isEmpty { continue }
            let next = monitor.read { $0.table.nextTime(at: now) }
            let pause = min(revocationPeriod, next.map { max(.milliseconds(5), $0 - now) } ?? revocationPeriod)
            _ = monitor.wait(atMost: pause) { state in
                // Also when the first look along a new route became due.
                state.isStopped || state.table.nextTime(at: now) != next ? true : nil
            }
        }
    }

    /// Finds out who counts now, and tells if that is others than before.
    private func refresh() {
        let now = now
        let revoked = Set(revocations.ids)
        let (tell, calls) = monitor.change { state in
            _ = state.table.revoke(revoked)
            state.table.expire(at: now)
            state.listed = state.table.listed(at: now)
            return (state.tell, state.onRevoked)
        }
        if !revoked.isEmpty {
            for id in tunnels.end(revoked) { logger.warning("node \(id) is revoked: the tunnels to it are closed") }
            desk.end(revoked)
            for call in calls { call(revoked) }
        }
        if let tell { self.tell(tell) }
    }

    private func tell(_ tell: @Sendable ([Peer]) -> Void) {
        telling.withLock { _ in
            let news: [Peer]? = monitor.change { state in
                let peers = state.listed.filter { $0.card.role == .worker || $0.card.role == .tunnel }
                    .map { listed in
                        Peer(
                            id: .key(listed.card.id), routes: listed.routes.compactMap(\.place), name: listed.card.name,
                            way: listed.routes.first.map { "\($0)" })
                    }
                if state.told == peers { return nil }
                state.told = peers
                return peers
            }
            if let news { tell(news) }
        }
    }

    private func take(_ probe: PeerTable.Probe) {
        do throws(ThreadError) {
            try SystemThread.start(name: "look", stackSize: 1 << 20) { [weak self] in self?.look(probe) }
        } catch {
            miss(probe, "\(error)")
        }
    }

    private func look(_ probe: PeerTable.Probe) {
        do throws(TunnelError) {
            let tunnel = try open(along: probe.route, .look, expecting: probe.id, within: PeerNetwork.lookTime)
            SocketDialer.close(tunnel.stream.descriptor)
            _ = revocations.merge(tunnel.revoked, from: tunnel.card)
            let now = now
            monitor.change { state in
                state.table.found(probe, tunnel.card, at: now)
                if tunnel.card.relays { state.table.wait(tunnel.attending, at: tunnel.card.id, now: now) }
            }
        } catch {
            logger.debug("\(probe.route): \(error)")
            miss(probe, "\(error)")
        }
    }

    private func miss(_ probe: PeerTable.Probe, _ reason: String) {
        let now = now
        monitor.change { $0.table.missed(probe, reason, at: now) }
    }

    // MARK: Tunnels

    /// What kind of way it is: `direct`; `called`, where the node connects to this one; `relayed`, where another joins them.
    package func kind(of route: Route) -> String {
        switch route {
        case .direct: "direct"
        case .punched: "punched"
        case .called(credentials.node.id): "called"
        case .called: "relayed"
        }
    }

    /// Looks at a node that is listed, and tells it who is revoked. Blocks.
    ///
    /// - Returns: what it says of itself, where it is, and the seconds to it and back, where the system knows.
    package func visit(_ node: PeerTable.Listed) throws(TunnelError) -> (card: NodeCard, route: Route, roundTrip: Double?) {
        var failure = TunnelError("no address of it is known")
        for route in node.routes {
            do throws(TunnelError) {
                let tunnel = try open(along: route, .look, expecting: node.card.id, within: PeerNetwork.lookTime)
                defer { SocketDialer.close(tunnel.stream.descriptor) }
                _ = revocations.merge(tunnel.revoked, from: tunnel.card)
                // The system knows of the way to who joins them, not of the rest.
                return (tunnel.card, route, route.isDirect ? HostWatch.roundTrip(tunnel.stream.descriptor) : nil)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// A tunnel along a way that is known. Blocks.
    package func open(
        along route: Route, _ purpose: TunnelGreeting.Purpose, expecting id: String?, within seconds: Double
    ) throws(TunnelError) -> TunnelClient.Tunnel {
        let deadline = MonotonicClock.moment(in: seconds)
        switch route {
        case .direct(let place): return try client.open(place, TunnelClient.Request(purpose), expecting: id, until: deadline)
        case .called(let host):
            guard let id else { throw TunnelError("nobody is called that way") }
            let connection =
                host == credentials.node.id
                ? try desk.call(id, until: deadline).released()
                : try openDirectly(host, .reach, target: id, within: seconds).stream.descriptor
            return try client.open(over: connection, TunnelClient.Request(purpose), expecting: id, until: deadline)
        case .punched(let host):
            guard let id else { throw TunnelError("nobody is met that way") }
            let meeting = try openDirectly(host, .punch, target: id, sharesPort: true, within: seconds)
            let connection = try Punch.connect(asToldIn: meeting, until: deadline)
            return try client.open(over: connection, TunnelClient.Request(purpose), expecting: id, until: deadline)
        }
    }

    /// A tunnel to a node at an address of its own. Blocks.
    ///
    /// - Parameter sharesPort: whether the port from which it is made can be used for other connections too.
    func openDirectly(
        _ id: String, _ purpose: TunnelGreeting.Purpose, target: String? = nil, ticket: CallTicket? = nil, sharesPort: Bool = false,
        within seconds: Double
    ) throws(TunnelError) -> TunnelClient.Tunnel {
        let deadline = MonotonicClock.moment(in: seconds)
        let request = TunnelClient.Request(purpose, target: target, ticket: ticket)
        var failure = TunnelError("no address of node \(id) is known")
        for place in monitor.read({ $0.table.routes(to: id) }).compactMap(\.place) {
            do throws(TunnelError) {
                return try client.open(place, request, expecting: id, until: deadline, sharesPort: sharesPort)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// A tunnel to a node's worker, which counts as a sign of it for as long as its stream is held.
    ///
    /// - Parameter places: to be tried beside the ways that led to it lately.
    package func open(_ id: String, _ places: [Endpoint], within seconds: Double) throws(StreamError) -> OpenedStream {
        var reasons: [String] = []
        var routes = monitor.read { $0.table.routes(to: id) }
        routes += places.map(Route.direct).filter { !routes.contains($0) }
        routes = routes.directFirst
        for (index, route) in routes.enumerated() {
            do throws(TunnelError) {
                // The first has most of the time, so that one which leads nowhere leaves some to the others.
                let tunnel = try open(along: route, .rpc, expecting: id, within: index == 0 ? seconds : max(0.5, seconds / 2))
                _ = revocations.merge(tunnel.revoked, from: tunnel.card)
                guard let seal = tunnel.stream.seal as? TLSSeal, let number = tunnels.add(tunnel.stream.descriptor, to: id) else {
                    // One that could not be ended when its node is revoked is not to be.
                    SocketDialer.close(tunnel.stream.descriptor)
                    throw TunnelError("there are no descriptors left for it")
                }
                let now = now
                monitor.change { $0.table.opened(tunnel.card, along: route, at: now) }
                seal.onInterrupt { [weak self] in self?.tunnels.remove(number) }
                seal.onEnd { [weak self] in
                    guard let self else { return }
                    self.tunnels.remove(number)
                    let now = self.now
                    self.monitor.change { $0.table.closed(id, at: now) }
                }
                return tunnel.stream
            } catch {
                reasons.append(routes.count == 1 ? "\(error)" : "\(route): \(error)")
            }
        }
        throw StreamError(.failed, reasons.isEmpty ? "no address of it is known" : reasons.joined(separator: "; "))
    }
}

/// Who is to be had nothing to do with, whatever it proves.
package protocol Revocations: Sendable {
    func contains(_ id: String) -> Bool
    var ids: [String] { get }
    /// Adds those that another node knows.
    ///
    /// - Returns: whether there was a new one.
    func merge(_ ids: [String], from node: NodeCard) -> Bool
}

extension PeerNetwork: Discovery {
    package func start(_ tell: @escaping @Sendable ([Peer]) -> Void) {
        monitor.change { state in
            state.tell = tell
            state.told = nil
        }
        self.tell(tell)
    }

    package func stop() { monitor.change { $0.tell = nil } }
}

extension PeerNetwork: Dialer {
    package func connect(to peer: Peer, _ limits: ClientLimits) throws(BackendError) -> ServerConnection {
        guard case .key(let id) = peer.id else { throw BackendError(.connection, "\(peer.id) is no node of the network") }
        let place = peer.routes.first ?? Endpoint(host: peer.name ?? id, port: 0)
        return try ServerConnection.connect(to: place, through: Opener(network: self, id: id, places: peer.routes), limits: limits)
    }

    private struct Opener: StreamOpener {
        let network: PeerNetwork
        let id: String
        let places: [Endpoint]

        func open(within seconds: Double) throws(StreamError) -> OpenedStream { try network.open(id, places, within: seconds) }
    }
}
