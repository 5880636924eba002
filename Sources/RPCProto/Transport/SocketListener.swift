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

    /// - Parameters:
    ///   - host: an address or a name of this machine's; the first of its addresses that can be bound is taken.
    ///   - port: 0 for any that is free.
    /// - Throws: `address` if nothing of it can be listened on, with the system's reason.
    public init(host: String, port: Int) throws(StreamError) {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_socktype = SocketListener.stream
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0 else { throw StreamError(.address, String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(found) }
        var reason = "no address"
        var next = found
        while let candidate = next?.pointee {
            next = candidate.ai_next
            let socket = socket(candidate.ai_family, candidate.ai_socktype, candidate.ai_protocol)
            if socket < 0 {
                reason = String(cString: strerror(errno))
                continue
            }
            SocketOption.set(socket, SOL_SOCKET, SO_REUSEADDR, 1)
            _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
            if bind(socket, candidate.ai_addr, candidate.ai_addrlen) == 0, listen(socket, 256) == 0 {
                descriptor = socket
                self.port = SocketListener.localPort(socket) ?? port
                return
            }
            reason = String(cString: strerror(errno))
            close(socket)
        }
        throw StreamError(.address, reason)
    }

    deinit { close(descriptor) }

    /// Waits for a connection; nil once ``stop()`` was called.
    public func accept() throws(StreamError) -> SocketStream? {
        while true {
            var address = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let socket = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { acceptOne($0, &length) }
            }
            if socket >= 0 {
                _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
                return SocketStream(descriptor: socket, peer: SocketListener.name(of: address, length))
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

    private func acceptOne(_ address: UnsafeMutablePointer<sockaddr>, _ length: inout socklen_t) -> Int32 {
        #if canImport(Glibc)
        Glibc.accept(descriptor, address, &length)
        #else
        Darwin.accept(descriptor, address, &length)
        #endif
    }

    private static func localPort(_ socket: Int32) -> Int? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
        }
        return code == 0 ? names(of: address, length).flatMap { Int($0.port) } : nil
    }

    private static func name(of address: sockaddr_storage, _ length: socklen_t) -> String {
        guard let (host, port) = names(of: address, length) else { return "somebody" }
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
