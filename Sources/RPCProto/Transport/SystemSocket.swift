#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The calls for sockets in which systems differ. What is made here is closed in programs that this one starts: a child that had an
/// inherited copy of a connection would keep it open.
package enum SystemSocket {
    #if canImport(Glibc)
        package static let streamType = Int32(SOCK_STREAM.rawValue)
        private static let withoutWaiting = Int32(MSG_DONTWAIT)
        private static let withoutSignal = Int32(MSG_NOSIGNAL)
    #else
        package static let streamType = SOCK_STREAM
        private static let withoutWaiting = MSG_DONTWAIT
        private static let withoutSignal: Int32 = 0
    #endif

    /// A stream socket; below 0 with `errno` if there is none.
    static func open(_ family: Int32) -> Int32 { prepared(socket(family, streamType, 0)) }

    /// The next connection of a listening socket; below 0 with `errno` if there is none.
    static func accept(_ listener: Int32, _ address: UnsafeMutablePointer<sockaddr>, _ length: inout socklen_t) -> Int32 {
        #if canImport(Glibc)
            prepared(Glibc.accept(listener, address, &length))
        #else
            prepared(Darwin.accept(listener, address, &length))
        #endif
    }

    /// Both ends of a pipe, neither of which waits; nil with `errno` if there are none.
    package static func openPipe() -> (reading: Int32, writing: Int32)? {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        return (ends[0], ends[1])
    }

    /// Sends what fits, without a signal where the peer has closed.
    ///
    /// - Parameter waits: whether a blocking socket waits until something fits.
    /// - Returns: how many bytes; below 0 with `errno` for none.
    package static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, waits: Bool = true) -> Int {
        let flags = withoutSignal | (waits ? 0 : withoutWaiting)
        #if canImport(Glibc)
            return Glibc.send(descriptor, bytes.baseAddress, bytes.count, flags)
        #else
            return Darwin.send(descriptor, bytes.baseAddress, bytes.count, flags)
        #endif
    }

    private static func prepared(_ descriptor: Int32) -> Int32 {
        if descriptor < 0 { return descriptor }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        #if canImport(Darwin)
            SocketOption.set(descriptor, SOL_SOCKET, SO_NOSIGPIPE, 1)
        #endif
        return descriptor
    }
}
