internal import RPCProto
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The tunnels that this node has made and somebody holds, by who is at their other end, so that they can be ended when that one is
/// revoked.
final class OpenTunnels: Sendable {
    /// A descriptor of its own for the same connection: the tunnel's own is closed by whoever holds it, and its number given to another.
    private final class Line: Sendable {
        let descriptor: Int32

        init?(_ tunnel: Int32) {
            descriptor = fcntl(tunnel, F_DUPFD_CLOEXEC, 0)
            if descriptor < 0 { return nil }
        }

        deinit { SocketDialer.close(descriptor) }
    }

    private struct State {
        var lines: [Int: (id: String, line: Line)] = [:]
        var next = 0
    }

    private let state = Mutex(State())

    /// - Returns: what ``remove(_:)`` takes; nil if the system has no descriptor for it, and the tunnel should not be.
    func add(_ descriptor: Int32, to id: String) -> Int? {
        guard let line = Line(descriptor) else { return nil }
        return state.withLock { state in
            state.next += 1
            state.lines[state.next] = (id, line)
            return state.next
        }
    }

    /// The tunnel is held no more.
    func remove(_ number: Int) { _ = state.withLock { $0.lines.removeValue(forKey: number) } }

    /// Breaks off those to these nodes: whoever uses them finds them closed.
    ///
    /// - Returns: the nodes to which there was one.
    func end(_ ids: Set<String>) -> Set<String> {
        let due = state.withLock { state in state.lines.values.filter { ids.contains($0.id) } }
        for (_, line) in due { _ = shutdown(line.descriptor, Int32(SHUT_RDWR)) }
        return Set(due.map(\.id))
    }
}
