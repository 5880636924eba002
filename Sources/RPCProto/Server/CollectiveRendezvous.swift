#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How two workers find each other: rank 0 listens, rank 1 dials, both only where the options allow it.
struct CollectiveRendezvous {
    let options: CollectiveOptions
    let interruption: CollectiveInterruption

    /// Seconds that whoever has connected has to say what it can do; then the next one is taken.
    private static let greetingSeconds = 5.0

    // MARK: Rank 0

    /// Waits for a partner that may come and greets as one; everybody else is dropped.
    func accept(port: Int) throws(CollectiveFailure) -> (socket: CollectiveSocket, peer: NetworkAddress) {
        let deadline = ContinuousClock.now + .seconds(options.acceptSeconds)
        let listeners = try listen(port)
        while ContinuousClock.now < deadline {
            let ready = try CollectiveSocket.poll(listeners, POLLIN, interruption)
            for (listener, isReady) in zip(listeners, ready) where isReady {
                guard let (socket, peer) = take(from: listener) else {
                    // Out of descriptors, the listener stays ready.
                    try CollectiveSocket.pause(interruption)
                    continue
                }
                let left = Double((deadline - ContinuousClock.now).components.seconds) + 1
                do throws(CollectiveFailure) {
                    try greet(socket, isFirst: false, silence: min(CollectiveRendezvous.greetingSeconds, left))
                } catch {
                    if error.isFinal { throw error }
                    continue
                }
                return (socket, peer)
            }
        }
        throw CollectiveFailure("nobody came to port \(port) for \(options.acceptSeconds) s")
    }

    private func listen(_ port: Int) throws(CollectiveFailure) -> [CollectiveSocket] {
        var listeners: [CollectiveSocket] = []
        var reason = CollectiveFailure("there is no address to listen on")
        for host in options.listenHosts {
            do throws(CollectiveFailure) {
                listeners.append(
                    try firstAddress(host, port, isPassive: true) { socket, address, length throws(CollectiveFailure) in
                        SocketOption.set(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
                        guard bind(socket.descriptor, address, length) == 0, Self.listen(socket.descriptor) == 0 else {
                            throw .system("listening on \(host), port \(port),")
                        }
                    })
            } catch {
                // Two names of one address are no reason to take partners on neither.
                reason = error
            }
        }
        if listeners.isEmpty { throw reason }
        return listeners
    }

    private static func listen(_ descriptor: Int32) -> Int32 {
        #if canImport(Glibc)
            Glibc.listen(descriptor, 8)
        #else
            Darwin.listen(descriptor, 8)
        #endif
    }

    /// Nil for a partner that may not come.
    private func take(from listener: CollectiveSocket) -> (CollectiveSocket, NetworkAddress)? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let descriptor = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { SystemSocket.accept(listener.descriptor, $0, &length) }
        }
        guard descriptor >= 0 else { return nil }
        let socket = CollectiveSocket(descriptor: descriptor, interruption)
        guard let peer = NetworkAddress(address), options.isAllowed(peer) else { return nil }
        return (socket, peer)
    }

    // MARK: Rank 1

    /// Dials until somebody answers and greets. Only addresses that are allowed are dialled.
    func connect(host: String, port: Int) throws(CollectiveFailure) -> (socket: CollectiveSocket, peer: NetworkAddress) {
        let deadline = ContinuousClock.now + .seconds(options.connectSeconds)
        while true {
            do throws(CollectiveFailure) {
                var peer: NetworkAddress?
                let socket = try firstAddress(host, port, isPassive: false) { socket, address, length throws(CollectiveFailure) in
                    guard let partner = NetworkAddress(address, length), options.isAllowed(partner) else {
                        throw CollectiveFailure("'\(host)' is not an address that partners may have", isFinal: true)
                    }
                    peer = partner
                    try dial(socket, address, length, deadline)
                    // Dialling a free port of one's own machine long enough can meet oneself.
                    guard Self.end(of: socket, getsockname) != Self.end(of: socket, getpeername) else {
                        throw CollectiveFailure("nobody listens at '\(host)', port \(port)")
                    }
                }
                // Rank 0 answers the greeting once it has taken the connection, which may be after another's.
                try greet(socket, isFirst: true, silence: options.acceptSeconds)
                guard let peer else { throw CollectiveFailure("'\(host)' has no address") }
                return (socket, peer)
            } catch {
                if error.isFinal || ContinuousClock.now >= deadline { throw error }
                try CollectiveSocket.pause(interruption)
            }
        }
    }

    private func dial(
        _ socket: CollectiveSocket, _ address: UnsafePointer<sockaddr>, _ length: socklen_t, _ deadline: ContinuousClock.Instant
    ) throws(CollectiveFailure) {
        #if canImport(Glibc)
            let code = Glibc.connect(socket.descriptor, address, length)
        #else
            let code = Darwin.connect(socket.descriptor, address, length)
        #endif
        if code == 0 { return }
        guard errno == EINPROGRESS || errno == EINTR else { throw .system("connecting") }
        let left = deadline - ContinuousClock.now
        try socket.wait(POLLOUT, max(0, Double(left.components.seconds) + Double(left.components.attoseconds) * 1e-18), "no connection")
        var status: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        _ = getsockopt(socket.descriptor, SOL_SOCKET, SO_ERROR, &status, &size)
        errno = status
        if status != 0 { throw .system("connecting") }
    }

    // MARK: Both

    /// Both say what they could use instead of TCP, rank 1 first. Zeros decline, whatever the other offers.
    private func greet(_ socket: CollectiveSocket, isFirst: Bool, silence: Double) throws(CollectiveFailure) {
        socket.sendAtOnce()
        var own = ConnectionCapabilities.none.bytes
        var failure: CollectiveFailure?
        own.withUnsafeMutableBytes { bytes in
            do throws(CollectiveFailure) {
                if isFirst { try socket.send(UnsafeRawBufferPointer(bytes), silence: silence) }
                try socket.receive(into: bytes, silence: silence, within: silence)
                bytes.initializeMemory(as: UInt8.self, repeating: 0)
                if !isFirst { try socket.send(UnsafeRawBufferPointer(bytes), silence: silence) }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// A socket of the first address of a host for which `use` succeeds.
    private func firstAddress(
        _ host: String, _ port: Int, isPassive: Bool,
        _ use: (CollectiveSocket, UnsafePointer<sockaddr>, socklen_t) throws(CollectiveFailure) -> Void
    ) throws(CollectiveFailure) -> CollectiveSocket {
        var hints = addrinfo()
        hints.ai_flags = isPassive ? AI_PASSIVE : 0
        hints.ai_socktype = SystemSocket.streamType
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0 else { throw CollectiveFailure("'\(host)': \(String(cString: gai_strerror(code)))") }
        defer { freeaddrinfo(found) }
        var reason: CollectiveFailure?
        var next = found
        while let candidate = next?.pointee {
            next = candidate.ai_next
            guard let address = candidate.ai_addr else { continue }
            let descriptor = SystemSocket.open(candidate.ai_family)
            guard descriptor >= 0 else {
                reason = reason ?? .system("a socket")
                continue
            }
            let socket = CollectiveSocket(descriptor: descriptor, interruption)
            do throws(CollectiveFailure) {
                try use(socket, address, candidate.ai_addrlen)
                return socket
            } catch {
                // An address that may be tried again says more than one that may not.
                if reason == nil || !error.isFinal { reason = error }
            }
        }
        throw reason ?? CollectiveFailure("'\(host)' has no address")
    }

    /// Address and port of one end, for comparison.
    private static func end(
        of socket: CollectiveSocket, _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> [UInt8] {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(socket.descriptor, $0, &length) }
        }
        return code == 0 ? withUnsafeBytes(of: &address) { Array($0.prefix(Int(length))) } : []
    }
}
