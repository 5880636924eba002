#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Whether the host at the other end of a TCP connection is still there.
///
/// The system's own limit (`TCP_USER_TIMEOUT`) also breaks off a connection whose peer is well and only does not read for a while, as a
/// worker that computes may. So a silent peer is asked by the system whether it is there, and one to which bytes are under way is judged
/// here, by what it confirms.
enum HostWatch {
    /// Seconds without a sign of it after which a host counts as gone.
    static let patience = 8

    static func begin(_ descriptor: Int32) {
        set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        #if canImport(Glibc)
            set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, 2)
        #else
            set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPALIVE, 2)
        #endif
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, 2)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, Int32((patience - 2) / 2))
        // Each piece is somebody's question or answer.
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// Whether bytes were sent, and sent again, and the host has confirmed nothing for too long.
    static func hasVanished(_ descriptor: Int32) -> Bool {
        #if canImport(Glibc)
            guard let info = SocketWait.information(descriptor), info.tcpi_last_ack_recv > patience * 1000 else { return false }
            return (info.tcpi_unacked > 0 && info.tcpi_retransmits > 0) || info.tcpi_probes >= 3
        #else
            return false
        #endif
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        _ = setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Has closing the connection tell the peer that it was broken off, not that all was said.
    static func breakOff(_ descriptor: Int32) {
        var value = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }
}
