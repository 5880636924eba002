internal import Base
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Makes connections: looks a name up, tries every address it stands for, all within one limit.
package enum SocketDialer {
    /// Why there is no connection.
    package struct Failure: Error {
        package var message: String
    }

    /// The addresses that an endpoint stands for.
    static func addresses(of endpoint: Endpoint, until deadline: UInt64) throws(Failure) -> [SocketAddress] {
        try NameLookup.addresses(of: endpoint, until: deadline)
    }

    /// A connected, blocking socket. The caller owns it.
    ///
    /// - Parameter port: of this machine, which other connections may have at the same time, if they lead elsewhere; 0 for a free one
    ///   that can be used so later; nil for one of its own.
    package static func connect(to endpoint: Endpoint, within seconds: Double, from port: Int? = nil) throws(Failure) -> Int32 {
        let deadline = MonotonicClock.moment(in: seconds)
        let addresses = try NameLookup.addresses(of: endpoint, until: deadline)
        var reasons: [String] = []
        for (index, address) in addresses.enumerated() {
            let now = MonotonicClock.nanoseconds()
            let left = deadline > now ? Double(deadline - now) / 1e9 : 0
            do throws(Failure) {
                // The rest of the time is shared, so that an address behind a wall does not take that of the others.
                return try connect(to: address, within: left / Double(addresses.count - index), from: port)
            } catch {
                if !reasons.contains(error.message) { reasons.append(error.message) }
            }
        }
        throw Failure(message: reasons.joined(separator: "; "))
    }

    /// Closes a socket that nobody uses any more.
    package static func close(_ descriptor: Int32) {
        #if canImport(Glibc)
            _ = Glibc.close(descriptor)
        #else
            _ = Darwin.close(descriptor)
        #endif
    }

    /// The port that a socket has at this end; nil if it has none.
    package static func localPort(_ descriptor: Int32) -> Int? { SocketListener.localPort(descriptor) }

    static func connect(to address: SocketAddress, within seconds: Double, from port: Int? = nil) throws(Failure) -> Int32 {
        let descriptor = SystemSocket.open(address.family)
        guard descriptor >= 0 else { throw Failure(message: text(errno)) }
        do throws(Failure) {
            if let port { try share(descriptor, address.family, port) }
            let flags = fcntl(descriptor, F_GETFL)
            _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
            if address.withPointer({ systemConnect(descriptor, $0, $1) }) != 0 {
                guard errno == EINPROGRESS || errno == EINTR else { throw Failure(message: text(errno)) }
                try finish(descriptor, within: seconds)
            }
            _ = fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK)
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func share(_ descriptor: Int32, _ family: Int32, _ port: Int) throws(Failure) {
        SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1)
        let bits = in_port_t(truncatingIfNeeded: port).bigEndian
        var status: Int32 = -1
        if family == AF_INET6 {
            var own = sockaddr_in6()
            own.sin6_family = sa_family_t(AF_INET6)
            own.sin6_port = bits
            status = withUnsafePointer(to: &own) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        } else {
            var own = sockaddr_in()
            own.sin_family = sa_family_t(AF_INET)
            own.sin_port = bits
            status = withUnsafePointer(to: &own) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        if status != 0 { throw Failure(message: text(errno)) }
    }

    /// Waits for a connection that was begun.
    private static func finish(_ descriptor: Int32, within seconds: Double) throws(Failure) {
        let deadline = MonotonicClock.moment(in: seconds)
        while true {
            let now = MonotonicClock.nanoseconds()
            let left = deadline > now ? (deadline - now) / 1_000_000 : 0
            var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let count = poll(&entry, 1, Int32(clamping: left))
            if count > 0 { break }
            if count < 0, errno != EINTR { throw Failure(message: text(errno)) }
            if left == 0 { throw Failure(message: "no answer") }
        }
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { throw Failure(message: text(errno)) }
        guard code == 0 else { throw Failure(message: text(code)) }
    }

    private static func systemConnect(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 {
        #if canImport(Glibc)
            Glibc.connect(descriptor, address, length)
        #else
            Darwin.connect(descriptor, address, length)
        #endif
    }

    private static func text(_ code: Int32) -> String { String(cString: strerror(code)).lowercased() }
}

/// An address with a port, as the system has it.
struct SocketAddress: Hashable, Sendable {
    let family: Int32
    let bytes: [UInt8]

    init(family: Int32, bytes: UnsafeRawBufferPointer) {
        self.family = family
        self.bytes = Array(bytes)
    }

    func withPointer(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: bytes.prefix($0.count)) }
        return withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(bytes.count)) }
        }
    }
}

/// Questions to the system's resolver, each on a thread of its own: it can take longer than anybody wants to wait, and knows
/// no limit.
private enum NameLookup {
    static func addresses(of endpoint: Endpoint, until deadline: UInt64) throws(SocketDialer.Failure) -> [SocketAddress] {
        // Addresses need no resolver, so no thread.
        if case .success(let addresses) = ask(endpoint, AI_NUMERICHOST) { return addresses }
        let answer = Monitor<Result<[SocketAddress], SocketDialer.Failure>?>(nil)
        do throws(ThreadError) {
            try SystemThread.start(name: "resolver") {
                let found = ask(endpoint, 0)
                answer.change { $0 = found }
            }
        } catch {
            throw SocketDialer.Failure(message: "the name cannot be resolved: \(error)")
        }
        guard let found = answer.wait(until: deadline, { $0 }) else {
            throw SocketDialer.Failure(message: "the name is not resolved in time")
        }
        return try found.get()
    }

    private static func ask(_ endpoint: Endpoint, _ flags: Int32) -> Result<[SocketAddress], SocketDialer.Failure> {
        var hints = addrinfo()
        hints.ai_flags = flags
        hints.ai_socktype = SystemSocket.streamType
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(endpoint.host, String(endpoint.port), &hints, &found)
        guard code == 0 else {
            return .failure(SocketDialer.Failure(message: String(cString: gai_strerror(code)).lowercased()))
        }
        defer { freeaddrinfo(found) }
        var addresses: [SocketAddress] = []
        var next = found
        while let entry = next {
            next = entry.pointee.ai_next
            guard let address = entry.pointee.ai_addr else { continue }
            let bytes = UnsafeRawBufferPointer(start: address, count: Int(entry.pointee.ai_addrlen))
            addresses.append(SocketAddress(family: entry.pointee.ai_family, bytes: bytes))
        }
        if addresses.isEmpty { return .failure(SocketDialer.Failure(message: "the name has no address")) }
        return .success(addresses)
    }
}
