internal import Base
package import Logging
package import RPCProto
internal import Synchronization
internal import Tensor

/// A server of ggml's RPC that knows nothing of the network, and is put into it: each tunnel that is let in is joined to a connection to
/// it. Where it cannot be reached the tunnel is refused, with the reason, and the next one tries again.
package final class ExposedServer: Sendable {
    package let endpoint: Endpoint
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var streams: [Int: SocketStream] = [:]
        var next = 0
    }

    /// Seconds that a connection to the server may take.
    private static let connectTime = 3.0

    package init(_ endpoint: Endpoint, logger: Logger) {
        self.endpoint = endpoint
        self.logger = logger
    }

    /// Tunnels that may be open, in all and with one node. A stock server serves one at a time, and others wait.
    private static let tunnelLimit = 256
    private static let tunnelsPerNode = 64

    /// Tunnels that are open.
    package var count: Int { state.withLock { $0.streams.count } }

    /// Connects to the server, for a node that wants in (``TunnelDoor/House/receiver``).
    ///
    /// - Throws: why it cannot be reached.
    package func receive(_ card: NodeCard) throws(TunnelError) -> @Sendable (SocketStream) -> Void {
        let (all, own) = state.withLock { state in
            (state.streams.count, state.streams.values.count { $0.identity == card.id })
        }
        if all >= ExposedServer.tunnelLimit || own >= ExposedServer.tunnelsPerNode {
            throw TunnelError("\(all) tunnels to its server are open, \(own) of them to this node")
        }
        let server: OwnedDescriptor
        do throws(SocketDialer.Failure) {
            server = OwnedDescriptor(try SocketDialer.connect(to: endpoint, within: ExposedServer.connectTime))
        } catch {
            throw TunnelError("its server at \(endpoint) cannot be reached: \(error.message)")
        }
        return { [self] stream in join(stream, server) }
    }

    private func join(_ stream: SocketStream, _ server: OwnedDescriptor) {
        let number = state.withLock { state in
            state.next += 1
            state.streams[state.next] = stream
            return state.next
        }
        do throws(ThreadError) {
            try SystemThread.start(name: "relay \(number)", stackSize: 1 << 20) { [self] in
                logger.debug("\(stream.peer) is joined to \(endpoint)")
                let end = Relay(plain: server.number, tunnel: stream.underlying)?.run() ?? .broken("it is no tunnel")
                leave(number)
                switch end {
                case .closed: logger.debug("\(stream.peer) has left")
                case .broken(let reason): logger.info("\(stream.peer) is lost: \(reason)")
                }
            }
        } catch {
            leave(number)
            logger.warning("\(stream.peer) turned away: \(error)")
            stream.interrupt()
        }
    }

    private func leave(_ number: Int) { _ = state.withLock { $0.streams.removeValue(forKey: number) } }

    /// Breaks off what is open with these nodes.
    package func end(_ ids: Set<String>) {
        for stream in state.withLock({ Array($0.streams.values) }) where stream.identity.map(ids.contains) ?? false {
            logger.warning("\(stream.peer) is revoked: its tunnel is closed")
            stream.interrupt()
        }
    }

    /// Breaks off all.
    package func endAll() { for stream in state.withLock({ Array($0.streams.values) }) { stream.interrupt() } }

    /// What the server says of its devices, a line each. A stock server serves one client at a time, so that it is asked briefly, and never
    /// while a tunnel is open.
    ///
    /// - Returns: nil if it does not answer.
    package func devices() -> [String]? {
        guard count == 0 else { return nil }
        do throws(BackendError) {
            let connection = try ServerConnection.connect(to: endpoint, limits: ClientLimits(connect: 2, answer: 2, step: 2))
            defer { connection.close() }
            return try connection.devices.enumerated().map { index, device throws(BackendError) in
                let memory = try device.memory()
                return "device \(index) of \(endpoint): \(memory.total >> 20) MiB"
            }
        } catch {
            logger.debug("the devices of \(endpoint) are not known: \(error)")
            return nil
        }
    }
}
