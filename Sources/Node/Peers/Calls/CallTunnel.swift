internal import Base
internal import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Either end of a tunnel by which a node waits at another to be called. Both ends ask each other every few seconds whether they are there,
/// which also keeps open what routers between them would forget. One thread uses it.
final class CallTunnel {
    private let wire: OwnedDescriptor
    private let seal: TLSSeal
    private var received: ArraySlice<UInt8> = []
    private var lastSign = MonotonicClock.nanoseconds()
    private var nextQuestion = MonotonicClock.nanoseconds()

    /// What this end is called for.
    struct Call {
        let ticket: CallTicket
        /// Whether the caller is to be met half-way.
        let isPunch: Bool
    }

    /// Nanoseconds between two questions, and without any sign of the other end after which it counts as gone.
    private static let period: UInt64 = 3_000_000_000
    private static let patience: UInt64 = 9_000_000_000
    /// Seconds that it may take to send a message.
    private static let sendTime = 3.0

    init(_ wire: OwnedDescriptor, _ seal: TLSSeal) {
        self.wire = wire
        self.seal = seal
    }

    func send(_ message: CallMessage) throws(TunnelError) {
        try TunnelBeginning(descriptor: wire.number, seal: seal, deadline: MonotonicClock.moment(in: CallTunnel.sendTime))
            .send(message.encoded)
    }

    /// Waits until the other end calls, or somebody wakes the pipe, or for a while.
    ///
    /// - Returns: the calls that came.
    /// - Throws: when the other end is gone.
    func wait(_ pipe: WakePipe) throws(TunnelError) -> [Call] {
        // What came with the greeting is here already.
        let early = try take()
        if !early.isEmpty { return early }
        let now = MonotonicClock.nanoseconds()
        if now &- lastSign > CallTunnel.patience { throw TunnelError("it gives no sign of life") }
        if now >= nextQuestion {
            nextQuestion = now + CallTunnel.period
            try send(.question)
        }
        if pipe.wait(for: [wire.number], until: nextQuestion, at: now).isEmpty { return [] }
        let count: Int
        do throws(StreamError) {
            count = try seal.unwrap { recv(wire.number, $0.baseAddress, $0.count, SocketWait.withoutWaiting) }
        } catch {
            throw TunnelError(TunnelBeginning.words(for: error.message))
        }
        if count == 0 { throw TunnelError("it has closed the tunnel") }
        if count < 0 {
            if errno == EAGAIN || errno == EINTR { return [] }
            throw TunnelError(String(cString: strerror(errno)).lowercased())
        }
        lastSign = MonotonicClock.nanoseconds()
        return try take()
    }

    /// Answers questions, and gives the calls.
    private func take() throws(TunnelError) -> [Call] {
        let count = seal.withPlain { bytes in
            received.append(contentsOf: bytes)
            return bytes.count
        }
        if count > 0 { seal.dropPlain(count) }
        var calls: [Call] = []
        while let message = try CallMessage.take(from: &received) {
            switch message {
            case .question: try send(.answer)
            case .answer: break
            case .call(let ticket): calls.append(Call(ticket: ticket, isPunch: false))
            case .punch(let ticket): calls.append(Call(ticket: ticket, isPunch: true))
            }
        }
        return calls
    }
}
