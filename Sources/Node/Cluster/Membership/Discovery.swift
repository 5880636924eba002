internal import Foundation
package import RPCProto
internal import Synchronization
package import Tensor

/// A worker as a list of workers names it: who it is, and where it can be reached.
package struct Peer: Hashable, Sendable {
    package var id: NodeID
    /// Where to try, the best first.
    package var routes: [Endpoint]
    /// What it calls itself, for people; nil for one of which nothing is known but where it listens.
    package var name: String?
    /// How it is reached, for people; nil if that is the first of the routes.
    package var way: String?

    package init(id: NodeID, routes: [Endpoint], name: String? = nil, way: String? = nil) {
        self.id = id
        self.routes = routes
        self.name = name
        self.way = way
    }

    /// A worker of which nothing is known but where it listens.
    package init(_ endpoint: Endpoint) { self.init(id: .endpoint(endpoint), routes: [endpoint]) }
}

/// Where workers are learnt of. Entries come and go while a head runs.
package protocol Discovery: Sendable {
    /// Calls `tell` with the workers that there are, and again with all of them whenever they change, from any thread, one call at
    /// a time; the first call is made before this returns.
    func start(_ tell: @escaping @Sendable ([Peer]) -> Void)

    /// Makes no further calls.
    func stop()
}

/// Makes connections to workers.
package protocol Dialer: Sendable {
    /// Connects and greets. Blocks, for no longer than the limits say.
    func connect(to peer: Peer, _ limits: ClientLimits) throws(BackendError) -> ServerConnection
}

/// A list that somebody writes, and may write anew.
package final class StaticList: Discovery {
    private struct State {
        var peers: [Peer]
        var tell: (@Sendable ([Peer]) -> Void)?
    }

    private let state: Mutex<State>
    /// Held while telling, so that calls follow each other.
    private let telling = Mutex<Void>(())

    /// - Throws: ``HeadError`` for names that are none, or stand twice.
    package init(_ names: [String]) throws(HeadError) {
        state = Mutex(State(peers: try ConnectedServers.endpoints(names).map { Peer($0) }))
    }

    /// Puts other names in the place of those that were there.
    ///
    /// - Throws: ``HeadError`` for names that are none, or stand twice; nothing changes then.
    package func replace(with names: [String]) throws(HeadError) {
        let peers = try ConnectedServers.endpoints(names).map { Peer($0) }
        telling.withLock { _ in
            let tell = state.withLock { state in
                state.peers = peers
                return state.tell
            }
            tell?(peers)
        }
    }

    package func start(_ tell: @escaping @Sendable ([Peer]) -> Void) {
        telling.withLock { _ in
            let peers = state.withLock { state in
                state.tell = tell
                return state.peers
            }
            tell(peers)
        }
    }

    package func stop() { state.withLock { $0.tell = nil } }
}

/// Connections over TCP, as ggml's own.
package struct TCPDialer: Dialer {
    package init() {}

    package func connect(to peer: Peer, _ limits: ClientLimits) throws(BackendError) -> ServerConnection {
        var last = BackendError(.connection, "\(peer.id) has no address")
        for route in peer.routes {
            do throws(BackendError) {
                return try ServerConnection.connect(to: route, limits: limits)
            } catch {
                last = error
            }
        }
        throw last
    }
}
