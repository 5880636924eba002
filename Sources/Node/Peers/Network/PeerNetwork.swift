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
        client = TunnelClient(
            credentials, ownCard: ownCard, isRevoked: { revocations.contains($0) }, revoked: { revocations.ids })
        monitor = Monitor(State(table: PeerTable(ownID: credentials.node.id)))
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
    package func name(_ route: Endpoint) {
        let now = now
        monitor.change { $0.table.name(route, at: now) }
    }

    /// A record says that a node is at these places.
    package func hint(_ source: PeerTable.Source, id: String, _ routes: [Endpoint]) {
        let now = now
        monitor.change { $0.table.hint(source, id: id, routes, at: now) }
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
            for call in calls { call(revoked) }
        }
        if let tell { self.tell(tell) }
    }

    private func tell(_ tell: @Sendable ([Peer]) -> Void) {
        telling.withLock { _ in
            let news: [Peer]? = monitor.change { state in
                let peers = state.listed.filter { $0.card.role == .worker || $0.card.role == .tunnel }
                    .map { Peer(id: .key($0.card.id), routes: $0.routes, name: $0.card.name) }
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
            let tunnel = try client.open(probe.route, .look, expecting: probe.id, within: PeerNetwork.lookTime)
            SocketDialer.close(tunnel.stream.descriptor)
            _ = revocations.merge(tunnel.revoked, from: tunnel.card)
            let now = now
            monitor.change { $0.table.found(probe, tunnel.card, at: now) }
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

    /// Looks at a node that is listed, and tells it who is revoked. Blocks.
    ///
    /// - Returns: what it says of itself, where it is, and the seconds to it and back, where the system knows.
    package func visit(_ node: PeerTable.Listed) throws(TunnelError) -> (card: NodeCard, route: Endpoint, roundTrip: Double?) {
        var failure = TunnelError("no address of it is known")
        for route in node.routes {
            do throws(TunnelError) {
                let tunnel = try client.open(route, .look, expecting: node.card.id, within: PeerNetwork.lookTime)
                defer { SocketDialer.close(tunnel.stream.descriptor) }
                _ = revocations.merge(tunnel.revoked, from: tunnel.card)
                return (tunnel.card, route, SocketWait.roundTrip(tunnel.stream.descriptor))
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// A tunnel to a node's worker, which counts as a sign of it for as long as its stream is held.
    package func open(_ id: String, _ routes: [Endpoint], within seconds: Double) throws(StreamError) -> OpenedStream {
        var reasons: [String] = []
        for (index, route) in routes.enumerated() {
            do throws(TunnelError) {
                // The first has most of the time, so that one which leads nowhere leaves some to the others.
                let tunnel = try client.open(route, .rpc, expecting: id, within: index == 0 ? seconds : max(0.5, seconds / 2))
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
        guard case .key(let id) = peer.id, let route = peer.routes.first else {
            throw BackendError(.connection, "\(peer.id) is no node of the network")
        }
        return try ServerConnection.connect(to: route, through: Opener(network: self, id: id, routes: peer.routes), limits: limits)
    }

    private struct Opener: StreamOpener {
        let network: PeerNetwork
        let id: String
        let routes: [Endpoint]

        func open(within seconds: Double) throws(StreamError) -> OpenedStream { try network.open(id, routes, within: seconds) }
    }
}
