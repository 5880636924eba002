internal import Base
package import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Makes tunnels to other nodes, at addresses where they may be.
package final class TunnelClient: Sendable {
    /// A tunnel that was made, and who is at its other end.
    package struct Tunnel: Sendable {
        package var stream: OpenedStream
        package var card: NodeCard
        /// The nodes that the other end knows to be revoked.
        package var revoked: [String]
        /// The nodes that wait at the other end to be called.
        package var attending: [String]
        /// Where another node came from that is to be met half-way.
        package var place: String?
    }

    private let credentials: TunnelCredentials
    private let ownCard: @Sendable () -> NodeCard
    private let isRevoked: @Sendable (String) -> Bool
    private let revoked: @Sendable () -> [String]

    /// - Parameters:
    ///   - ownCard: what this node says of itself.
    ///   - isRevoked: whether a node is to be had nothing to do with.
    ///   - revoked: all of these.
    package init(
        _ credentials: TunnelCredentials, ownCard: @escaping @Sendable () -> NodeCard,
        isRevoked: @escaping @Sendable (String) -> Bool = { _ in false }, revoked: @escaping @Sendable () -> [String] = { [] }
    ) {
        self.credentials = credentials
        self.ownCard = ownCard
        self.isRevoked = isRevoked
        self.revoked = revoked
    }

    /// What a tunnel is wanted for.
    package struct Request: Sendable {
        package var purpose: TunnelGreeting.Purpose
        /// The node to be joined with, for ``TunnelGreeting/Purpose/reach``.
        package var target: String?
        /// The call that is answered, for ``TunnelGreeting/Purpose/meet``.
        package var ticket: CallTicket?

        package init(_ purpose: TunnelGreeting.Purpose, target: String? = nil, ticket: CallTicket? = nil) {
            self.purpose = purpose
            self.target = target
            self.ticket = ticket
        }
    }

    /// Connects, and finds out who is there. Blocks.
    ///
    /// - Parameters:
    ///   - id: who it must be; nil for anybody of the network.
    ///   - seconds: that all of it may take.
    /// - Throws: why there is no tunnel: nobody is there, or it is none of the network, or not who it should be, or does not want us.
    package func open(
        _ place: Endpoint, _ purpose: TunnelGreeting.Purpose, expecting id: String?, within seconds: Double
    ) throws(TunnelError) -> Tunnel {
        try open(place, Request(purpose), expecting: id, until: MonotonicClock.moment(in: seconds))
    }

    /// - Parameters:
    ///   - deadline: of the monotonic clock.
    ///   - sharesPort: whether the port from which it is made can be used for other connections too.
    package func open(
        _ place: Endpoint, _ request: Request, expecting id: String?, until deadline: UInt64, sharesPort: Bool = false
    ) throws(TunnelError) -> Tunnel {
        let descriptor: Int32
        do throws(SocketDialer.Failure) {
            descriptor = try SocketDialer.connect(
                to: place, within: MonotonicClock.seconds(until: deadline), from: sharesPort ? 0 : nil)
        } catch {
            throw TunnelError(error.message)
        }
        return try open(over: descriptor, request, expecting: id, until: deadline)
    }

    /// Over a connection that there is, and that is closed if it comes to nothing.
    func open(over descriptor: Int32, _ request: Request, expecting id: String?, until deadline: UInt64) throws(TunnelError) -> Tunnel {
        do throws(TunnelError) {
            return try begin(descriptor, request, id, deadline)
        } catch {
            close(descriptor)
            throw error
        }
    }

    private func begin(
        _ descriptor: Int32, _ request: Request, _ expected: String?, _ deadline: UInt64
    ) throws(TunnelError) -> Tunnel {
        SocketOption.sendAtOnce(descriptor)
        let side = try credentials.clientSeal()
        let beginning = TunnelBeginning(descriptor: descriptor, seal: side.seal, deadline: deadline)
        do throws(TunnelError) {
            try beginning.shakeHands()
        } catch {
            if case .failure(let fault)? = side.verdict.value { throw TunnelError("\(fault)") }
            throw error
        }
        guard case .success(let id)? = side.verdict.value else { throw TunnelError("\(CertificateFault.none)") }
        if let expected, id != expected { throw TunnelError("another node is there now: \(id)") }
        if isRevoked(id) { throw TunnelError("\(id) is revoked") }
        var greeting = TunnelGreeting(number: request.purpose.rawValue, card: ownCard(), revoked: revoked())
        greeting.target = request.target
        greeting.ticket = request.ticket
        try beginning.send(greeting)
        let answer = try beginning.receiveGreeting()
        guard answer.number == TunnelGreeting.Answer.welcome.rawValue else {
            throw TunnelError("it refuses this node: \(answer.reason ?? "it does not say why")")
        }
        // Nobody is who has not proven it.
        guard answer.card.id == id else { throw TunnelError("it says that it is \(answer.card.id), and is \(id)") }
        return Tunnel(
            stream: OpenedStream(descriptor: descriptor, seal: side.seal), card: answer.card, revoked: answer.revoked,
            attending: answer.attending, place: answer.place)
    }
}
