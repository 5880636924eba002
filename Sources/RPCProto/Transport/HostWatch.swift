#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Whether the host at the other end of a TCP connection is still there.
///
/// The system's own limit (`TCP_USER_TIMEOUT`) also breaks off a connection whose peer is well and only does not read for a while, as one
/// that computes may. So a silent peer is asked by the system whether it is there, and one to which bytes are under way is judged here, by
/// what it confirms.
package enum HostWatch {
    /// Seconds without a sign of it after which a host counts as gone, for those who have no other wish.
    package static let patience = 8

    package static func begin(_ descriptor: Int32, within seconds: Int = patience) {
        let seconds = Int32(clamping: max(2, seconds))
        let idle = max(1, seconds / 3)
        let interval = max(1, (seconds - idle) / 3)
        SocketOption.set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        #if canImport(Glibc)
            SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, idle)
        #else
            SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPALIVE, idle)
        #endif
        SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, interval)
        SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, max(1, (seconds - idle) / interval))
    }

    /// Whether bytes were sent, and sent again, and the host has confirmed nothing for too long. A host whose program does not read
    /// confirms that it is there.
    package static func hasVanished(_ descriptor: Int32, within seconds: Int = patience) -> Bool {
        #if canImport(Glibc)
            guard let info = information(descriptor), Int(info.tcpi_last_ack_recv) > max(2, seconds) * 1000 else { return false }
            return (info.tcpi_unacked > 0 && info.tcpi_retransmits > 0) || info.tcpi_probes >= 3
        #else
            return false
        #endif
    }

    #if canImport(Glibc)
        /// What the system knows of a TCP connection.
        private static func information(_ descriptor: Int32) -> tcp_info? {
            var info = tcp_info()
            var size = socklen_t(MemoryLayout<tcp_info>.size)
            return getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &size) == 0 ? info : nil
        }
    #endif

    /// Seconds to the host and back, as the system measures them; nil where it does not.
    package static func roundTrip(_ descriptor: Int32) -> Double? {
        #if canImport(Glibc)
            guard let info = information(descriptor), info.tcpi_rtt > 0 else { return nil }
            return Double(info.tcpi_rtt) / 1e6
        #else
            return nil
        #endif
    }

    /// Has closing the connection tell the peer that it was broken off, not that all was said.
    package static func breakOff(_ descriptor: Int32) { SocketOption.setResetting(descriptor, true) }
}
