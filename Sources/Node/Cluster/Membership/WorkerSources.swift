package import RPCProto
internal import Synchronization
package import Tensor

/// Where workers are learnt of beside a list, and how these are connected to: a network of peers.
package typealias WorkerNetwork = Discovery & Dialer

/// Workers of a list and those of a network, as one.
package final class JoinedDiscovery: Discovery {
    private struct State {
        var peers: [[Peer]]
        var tell: (@Sendable ([Peer]) -> Void)?
    }

    private let parts: [any Discovery]
    private let state: Mutex<State>
    /// Held while telling, so that calls follow each other.
    private let telling = Mutex<Void>(())

    /// - Parameter parts: those of the first are in front.
    package init(_ parts: [any Discovery]) {
        self.parts = parts
        state = Mutex(State(peers: parts.map { _ in [] }))
    }

    package func start(_ tell: @escaping @Sendable ([Peer]) -> Void) {
        for (index, part) in parts.enumerated() {
            part.start { [weak self] peers in self?.take(peers, from: index) }
        }
        telling.withLock { _ in
            let all = state.withLock { state in
                state.tell = tell
                return state.peers.flatMap { $0 }
            }
            tell(all)
        }
    }

    private func take(_ peers: [Peer], from index: Int) {
        telling.withLock { _ in
            let (tell, all) = state.withLock { state in
                state.peers[index] = peers
                return (state.tell, state.peers.flatMap { $0 })
            }
            tell?(all)
        }
    }

    package func stop() {
        for part in parts { part.stop() }
        state.withLock { $0.tell = nil }
    }
}

/// Connects to workers that prove who they are by their network, and to all others by TCP.
package struct JoinedDialer: Dialer {
    private let network: any Dialer

    package init(_ network: any Dialer) { self.network = network }

    package func connect(to peer: Peer, _ limits: ClientLimits) throws(BackendError) -> ServerConnection {
        switch peer.id {
        case .endpoint: try TCPDialer().connect(to: peer, limits)
        case .key: try network.connect(to: peer, limits)
        }
    }
}
