internal import Base
package import Logging
package import NodeCluster
package import RPCProto
internal import Synchronization

/// A port of this machine for each node of a network that lends devices: who connects to it is joined to a tunnel to that node. For
/// programs that know nothing of the network, as stock llama.cpp.
package final class NetworkPorts: Sendable {
    /// How tunnels are made: to a node, at places where it may be.
    package typealias Opening = @Sendable (_ id: String, _ routes: [Endpoint], _ seconds: Double) throws(StreamError) -> OpenedStream

    private struct State {
        var list = PortList()
        var routes: [String: [Endpoint]] = [:]
        var listeners: [SocketListener] = []
        var isStopped = false
    }

    package let host: String
    /// When bytes last went through any of them.
    package let traffic = Traffic()
    private let open: Opening
    private let logger: Logger
    private let state: Monitor<State>
    private let start = ContinuousClock.now

    /// Seconds that a tunnel may take.
    private static let openTime = 5.0

    /// - Parameter host: the address at which the ports are.
    package init(host: String, logger: Logger, open: @escaping Opening) {
        self.host = host
        self.logger = logger
        self.open = open
        state = Monitor(State())
    }

    private var now: PortList.Time { ContinuousClock.now - start }

    /// The nodes that are there now. A node that comes back has the port that it had.
    package func show(_ peers: [Peer]) {
        var routes: [String: [Endpoint]] = [:]
        var ids: [String] = []
        for peer in peers {
            guard case .key(let id) = peer.id else { continue }
            routes[id] = peer.routes
            ids.append(id)
        }
        let now = now
        let new = state.change { state in
            state.routes.merge(routes) { $1 }
            return state.list.show(ids, at: now)
        }
        for id in new { listen(for: id) }
    }

    private func listen(for id: String) {
        do throws(StreamError) {
            let listeners = try SocketListener.listen(host: host, port: 0)
            guard let port = listeners.first?.port else { return }
            for listener in listeners {
                do throws(ThreadError) {
                    try SystemThread.start(name: "port \(port)", stackSize: 1 << 20) { [self] in take(listener, for: id) }
                } catch {
                    for listener in listeners { listener.stop() }
                    throw StreamError(.failed, "\(error)")
                }
            }
            let now = now
            let isLate = state.change { state in
                state.list.give(port, to: id, at: now)
                state.listeners += listeners
                return state.isStopped
            }
            logger.info("node \(id) is reached at \(Endpoint(host: host, port: port))")
            if isLate { for listener in listeners { listener.stop() } }
        } catch {
            logger.warning("there is no port for node \(id): \(error)")
        }
    }

    private func take(_ listener: SocketListener, for id: String) {
        var rest = AcceptingRest()
        while true {
            do throws(StreamError) {
                guard let stranger = try listener.acceptStranger() else { return }
                let program = OwnedDescriptor(stranger.descriptor)
                do throws(ThreadError) {
                    // A tunnel takes its time, and nobody else's.
                    try SystemThread.start(name: "relay", stackSize: 1 << 20) { [self] in join(program, stranger.peer, to: id) }
                } catch {
                    throw StreamError(.failed, "\(error)")
                }
            } catch {
                if rest.isNews() { logger.warning("\(error)") }
                SystemThread.sleep(for: AcceptingRest.time)
            }
        }
    }

    private func join(_ program: OwnedDescriptor, _ peer: String, to id: String) {
        // A node that nobody can connect to has no address, and is met or called all the same.
        let routes = state.read { $0.list.isSaid(id) ? $0.routes[id] ?? [] : nil }
        let tunnel: OpenedStream
        do throws(StreamError) {
            guard let routes else { throw StreamError(.failed, "it is not there at present") }
            tunnel = try open(id, routes, NetworkPorts.openTime)
            let now = now
            state.change { $0.list.reach(id, at: now) }
        } catch {
            let now = now
            state.change { $0.list.miss(id, at: now) }
            logger.warning("\(peer) gets no tunnel to node \(id): \(error.message)")
            return
        }
        let wire = OwnedDescriptor(tunnel.descriptor)
        logger.debug("\(peer) is joined to node \(id)")
        let end = Relay(plain: program.number, tunnel: tunnel, isClient: true, traffic: traffic)?.run() ?? .broken("it is no tunnel")
        withExtendedLifetime((wire, program)) {
            switch end {
            case .closed: logger.debug("\(peer) is done with node \(id)")
            case .broken(let reason): logger.info("the tunnel of \(peer) to node \(id) is lost: \(reason)")
            }
        }
    }

    /// Waits for a settled list that is another than the last one; nil after so long.
    package func news(within patience: Duration) -> [Int]? {
        let end = ContinuousClock.now + patience
        while true {
            let now = now
            let (news, next) = state.change { state in (state.list.news(at: now), state.list.nextTime) }
            if let news { return news }
            let left = end - ContinuousClock.now
            if left <= .zero { return nil }
            SystemThread.sleep(for: min(left, max(.milliseconds(5), min(.milliseconds(100), (next ?? .seconds(1000)) - now))))
        }
    }

    /// `127.0.0.1:40001,127.0.0.1:40002`, as llama.cpp's `--rpc` takes it.
    package func text(_ ports: [Int]) -> String { ports.map { Endpoint(host: host, port: $0).description }.joined(separator: ",") }

    /// Takes no more connections.
    package func stop() {
        let listeners = state.change { state in
            state.isStopped = true
            return state.listeners
        }
        for listener in listeners { listener.stop() }
    }
}
