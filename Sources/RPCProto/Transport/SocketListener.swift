#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A TCP port that takes connections.
public final class SocketListener: Sendable {
    /// The port, also where 0 asked for a free one.
    public let port: Int
    private let descriptor: Int32

    #if canImport(Glibc)
        private static let stream = Int32(SOCK_STREAM.rawValue)
    #else
        private static let stream = SOCK_STREAM
    #endif

    /// Listens on every address that a name stands for.
    ///
    /// - Parameters:
    ///   - host: an address or a name of this machine's. `0.0.0.0` is every IPv4 address, `::` every address.
    ///   - port: 0 for any that is free, the same for all addresses.
    /// - Returns: at least one.
    /// - Throws: `addressInUse` if any of it is taken, `address` if nothing of it can be listened on.
    public static func listen(host: String, port: Int) throws(StreamError) -> [SocketListener] {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_socktype = SocketListener.stream
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0 else { throw StreamError(.address, String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(found) }
        var listeners: [SocketListener] = []
        var reason = "no address"
        var next = found
        while let candidate = next {
            next = candidate.pointee.ai_next
            do throws(StreamError) {
                listeners.append(try SocketListener(candidate, port: listeners.first?.port ?? port))
            } catch {
                // A family that this machine does not have is left out; a place that is taken would be missed.
                if error.code == .addressInUse { throw error }
                reason = error.message
            }
        }
        if listeners.isEmpty { throw StreamError(.address, reason) }
        return listeners
    }

    private init(_ info: UnsafeMutablePointer<addrinfo>, port: Int) throws(StreamError) {
        let address = info.pointee
        let socket = SystemSocket.open(address.ai_family)
        guard socket >= 0 else { throw StreamError(.address, String(cString: strerror(errno))) }
        SocketOption.set(socket, SOL_SOCKET, SO_REUSEADDR, 1)
        if address.ai_family == AF_INET6 {
            // `::` takes IPv4 clients too; every other address is what it says.
            SocketOption.set(socket, Int32(IPPROTO_IPV6), IPV6_V6ONLY, SocketListener.isWildcard(address) ? 0 : 1)
        }
        SocketListener.setPort(port, of: address)
        guard bind(socket, address.ai_addr, address.ai_addrlen) == 0, beginListening(socket, 256) == 0 else {
            let code = errno
            close(socket)
            throw StreamError(code == EADDRINUSE ? .addressInUse : .address, String(cString: strerror(code)))
        }
        descriptor = socket
        self.port = SocketListener.localPort(socket) ?? port
    }

    private static func isWildcard(_ info: addrinfo) -> Bool {
        info.ai_addr?.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
            withUnsafeBytes(of: address.pointee.sin6_addr) { $0.allSatisfy { $0 == 0 } }
        } ?? false
    }

    /// The first address got the port that was free; the others are to have the same.
    private static func setPort(_ port: Int, of info: addrinfo) {
        guard let address = info.ai_addr else { return }
        let bits = in_port_t(truncatingIfNeeded: port).bigEndian
        switch info.ai_family {
        case AF_INET: address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_port = bits }
        case AF_INET6: address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { $0.pointee.sin6_port = bits }
        default: break
        }
    }

    deinit { close(descriptor) }

    /// Waits for a connection; nil once ``stop()`` was called.
    public func accept() throws(StreamError) -> SocketStream? {
        guard let stranger = try acceptStranger() else { return nil }
        return SocketStream(descriptor: stranger.descriptor, peer: stranger.peer, address: stranger.address)
    }

    /// A connection that was accepted.
    package struct Stranger: Sendable {
        /// Whoever takes it closes it.
        package let descriptor: Int32
        /// For people: `10.0.0.7:41234`.
        package let peer: String
        package let address: NetworkAddress?

        package init(descriptor: Int32, peer: String, address: NetworkAddress?) {
            self.descriptor = descriptor
            self.peer = peer
            self.address = address
        }
    }

    /// Waits for a connection, which is only accepted; nil once ``stop()`` was called.
    package func acceptStranger() throws(StreamError) -> Stranger? {
        while true {
            var address = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let socket = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { SystemSocket.accept(descriptor, $0, &length) }
            }
            if socket >= 0 {
                return Stranger(
                    descriptor: socket, peer: SocketListener.name(of: address, length), address: NetworkAddress(address))
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EINVAL, EBADF: return nil
            default: throw StreamError(.failed, "accepting failed: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Takes no more connections; a call of ``accept()`` that waits comes back.
    public func stop() {
        _ = shutdown(descriptor, Int32(SHUT_RDWR))
    }

    static func localPort(_ socket: Int32) -> Int? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
        }
        return code == 0 ? names(of: address, length).flatMap { Int($0.port) } : nil
    }

    private static func name(of address: sockaddr_storage, _ length: socklen_t) -> String {
        guard let (host, port) = names(of: address, length) else { return "somebody" }
        // One that listens at `::` sees IPv4 addresses in IPv6 clothing.
        if let plain = NetworkAddress(address), plain.bytes.count == 4 { return "\(plain):\(port)" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    private static func names(of address: sockaddr_storage, _ length: socklen_t) -> (host: String, port: String)? {
        var address = address
        var host = [CChar](repeating: 0, count: 256)
        var port = [CChar](repeating: 0, count: 32)
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getnameinfo($0, length, &host, socklen_t(host.count), &port, socklen_t(port.count), NI_NUMERICHOST | NI_NUMERICSERV)
            }
        }
        guard code == 0 else { return nil }
        return (text(host), text(port))
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The system's `listen`, which the type's own hides.
private func beginListening(_ socket: Int32, _ backlog: Int32) -> Int32 { listen(socket, backlog) }
