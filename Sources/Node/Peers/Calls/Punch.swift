internal import Base
internal import RPCProto

/// Connects two nodes behind routers by having both connect to each other at the same time, from ports at which their routers expect
/// answers already: TCP's simultaneous open (RFC 9293, section 3.5; RFC 5128, section 3.4). It works where routers give a port the same
/// outside number whatever it talks to, as most do.
enum Punch {
    /// Seconds after which it is tried anew: the other end's first word may have come when this one's router did not expect it yet.
    private static let attemptTime = 1.2
    private static let pause = Duration.milliseconds(40)

    /// - Parameters:
    ///   - meeting: the tunnel in which this node was told where the other one came from, made from a port that can be shared; it is closed.
    ///   - deadline: of the monotonic clock.
    /// - Returns: a connection with whoever is there, which has to show who it is.
    static func connect(asToldIn meeting: TunnelClient.Tunnel, until deadline: UInt64) throws(TunnelError) -> Int32 {
        // Held until the end, so that routers keep what they have of it.
        let line = OwnedDescriptor(meeting.stream.descriptor)
        defer { withExtendedLifetime(line) {} }
        guard let text = meeting.place, let place = try? Endpoint(parsing: text), let port = SocketDialer.localPort(line.number) else {
            throw TunnelError("it does not say where the other node came from")
        }
        var reason = "there was no time for it"
        while true {
            let left = MonotonicClock.seconds(until: deadline)
            if left <= 0 { throw TunnelError("no way half-way to \(place): \(reason)") }
            do throws(SocketDialer.Failure) {
                return try SocketDialer.connect(to: place, within: min(left, attemptTime), from: port)
            } catch {
                reason = error.message
                SystemThread.sleep(for: pause)
            }
        }
    }
}
