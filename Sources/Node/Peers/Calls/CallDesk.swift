internal import Base
package import Logging
package import RPCProto
internal import Synchronization

/// Where nodes wait to be called that nobody can connect to: each keeps a tunnel open to this node, over which it is told that somebody
/// wants it, and then it connects here itself. What comes of that is a connection like any other, by which the caller makes a tunnel of its
/// own with the node: who calls for somebody else sees nothing of it.
package final class CallDesk: CallHost {
    private struct Line {
        let number: Int
        let card: NodeCard
        let pipe: WakePipe
        var calls: [CallMessage] = []
    }

    private struct Meeting {
        let id: String
        /// From where the caller came, if it is to be met half-way.
        let callerPlace: String?
        var connection: OwnedDescriptor?
        /// From where the node came.
        var place: String?
    }

    private struct State {
        var lines: [String: Line] = [:]
        var meetings: [CallTicket: Meeting] = [:]
        /// Connections that are joined, by the node that asked for it.
        var junctions: [String: Int] = [:]
        var next = 0
    }

    private let state = Monitor(State())
    private let logger: Logger
    private let change = Mutex<(@Sendable ([String]) -> Void)?>(nil)

    /// Nodes that may wait.
    package static let lineLimit = 512
    /// Calls that wait for an answer, in all and of one node.
    package static let callLimit = 256
    package static let callsPerNode = 64
    /// Connections that may be joined, in all and for one node.
    package static let junctionLimit = 256
    package static let junctionsPerNode = 64

    package init(logger: Logger) { self.logger = logger }

    /// The ids of the nodes that wait here.
    package var ids: [String] { state.read { $0.lines.keys.sorted() } }

    /// Has something called with those that wait whenever others do; from any thread, one call at a time.
    package func onChange(_ call: @escaping @Sendable ([String]) -> Void) { change.withLock { $0 = call } }

    private func tell() {
        // One at a time: who was told last was told the latest.
        change.withLock { $0?(ids) }
    }

    // MARK: Nodes that wait

    /// Whether there is room for it.
    package func hasRoom(for id: String) -> Bool {
        state.read { $0.lines[id] != nil || $0.lines.count < CallDesk.lineLimit }
    }

    /// Has a node wait here, in this thread, until it leaves or waits anew by another tunnel.
    package func attend(_ card: NodeCard, _ wire: OwnedDescriptor, _ seal: any StreamSeal) {
        guard let seal = seal as? TLSSeal else { return }
        let pipe: WakePipe
        do throws(DiscoveryError) {
            pipe = try WakePipe()
        } catch {
            return logger.warning("\(card.label) cannot wait here: \(error)")
        }
        let number: Int? = state.change { state in
            guard state.lines[card.id] != nil || state.lines.count < CallDesk.lineLimit else { return nil }
            state.next += 1
            // The one before it ends by itself.
            state.lines[card.id]?.pipe.wake()
            state.lines[card.id] = Line(number: state.next, card: card, pipe: pipe)
            return state.next
        }
        guard let number else { return }
        logger.debug("\(card.label) waits here to be called")
        tell()
        let tunnel = CallTunnel(wire, seal)
        do throws(TunnelError) {
            while let calls = takeCalls(of: card.id, number) {
                for call in calls { try tunnel.send(call) }
                _ = try tunnel.wait(pipe)
            }
        } catch {
            logger.debug("\(card.label) does not wait here any more: \(error)")
        }
        state.change { state in
            if state.lines[card.id]?.number == number { state.lines[card.id] = nil }
        }
        tell()
    }

    /// Nil once the line is not this one any more.
    private func takeCalls(of id: String, _ number: Int) -> [CallMessage]? {
        state.change { state in
            guard let line = state.lines[id], line.number == number else { return nil }
            state.lines[id]?.calls = []
            return line.calls
        }
    }

    // MARK: Calls

    /// Calls a node, and waits until it has come.
    ///
    /// - Parameter deadline: of the monotonic clock.
    /// - Returns: a connection with it, at whose other end it takes tunnels.
    func call(_ id: String, until deadline: UInt64) throws(TunnelError) -> OwnedDescriptor {
        try call(id, nil, until: deadline) { $0.connection }
    }

    /// Calls a node for one that wants to meet it half-way, and waits until it has come.
    ///
    /// - Parameter place: from where the caller came.
    /// - Returns: from where the node came.
    package func punch(_ id: String, from place: String, until deadline: UInt64) throws(TunnelError) -> String {
        try call(id, place, until: deadline) { $0.place }
    }

    private func call<Result>(
        _ id: String, _ callerPlace: String?, until deadline: UInt64, _ result: (Meeting) -> Result?
    ) throws(TunnelError) -> Result {
        let ticket = CallTicket()
        let refusal: String? = state.change { state in
            guard let line = state.lines[id] else { return "it does not wait here" }
            let calls = state.meetings.values.count { $0.id == id }
            if state.meetings.count >= CallDesk.callLimit || calls >= CallDesk.callsPerNode { return "too many calls wait for answers" }
            state.meetings[ticket] = Meeting(id: id, callerPlace: callerPlace)
            state.lines[id]?.calls.append(callerPlace == nil ? .call(ticket) : .punch(ticket))
            line.pipe.wake()
            return nil
        }
        if let refusal { throw TunnelError(refusal) }
        let now = MonotonicClock.nanoseconds()
        let patience = Duration.nanoseconds(Int64(clamping: deadline > now ? deadline - now : 0))
        let found = state.wait(atMost: patience) { $0.meetings[ticket].flatMap(result) }
        // One that comes in between is closed with the last reference.
        state.change { $0.meetings[ticket] = nil }
        guard let found else { throw TunnelError("it was called, and did not come") }
        return found
    }

    /// A node says that it was called with this ticket.
    ///
    /// - Parameter place: from where it comes.
    /// - Returns: from where its caller came, if that is to be met half-way; nil if it was not called.
    package func answer(_ id: String, _ ticket: CallTicket, from place: String) -> CallAnswer? {
        state.change { state in
            guard let meeting = state.meetings[ticket], meeting.id == id else { return nil }
            guard let callerPlace = meeting.callerPlace else { return .joined }
            state.meetings[ticket]?.place = place
            return .halfway(callerPlace)
        }
    }

    /// A node has come because it was called.
    package func meet(_ ticket: CallTicket, _ connection: OwnedDescriptor) {
        state.change { $0.meetings[ticket]?.connection = connection }
    }

    /// A node that was called for another one, and the place that joining them takes, which it keeps for as long as this is held.
    private final class Junction: CallJunction {
        private let called: OwnedDescriptor
        private let giveBack: @Sendable () -> Void

        fileprivate init(_ called: OwnedDescriptor, giveBack: @escaping @Sendable () -> Void) {
            self.called = called
            self.giveBack = giveBack
        }

        deinit { giveBack() }

        /// Joins them, in this thread, until one of them leaves.
        func run(with caller: OwnedDescriptor) {
            // Why it ended is what both of them are told by their connections.
            _ = try? Splice(caller.number, called.number).run()
            withExtendedLifetime((caller, called)) {}
        }
    }

    /// Calls a node for another one.
    package func reach(_ id: String, for caller: String, until deadline: UInt64) throws(TunnelError) -> any CallJunction {
        let isFull = state.change { state in
            let count = state.junctions.values.reduce(0, +)
            if count >= CallDesk.junctionLimit || state.junctions[caller, default: 0] >= CallDesk.junctionsPerNode { return true }
            state.junctions[caller, default: 0] += 1
            return false
        }
        if isFull { throw TunnelError("as many connections as may be are joined here already") }
        let giveBack: @Sendable () -> Void = { [state] in
            state.change { state in
                let left = state.junctions[caller, default: 1] - 1
                state.junctions[caller] = left > 0 ? left : nil
            }
        }
        do throws(TunnelError) {
            return Junction(try call(id, until: deadline), giveBack: giveBack)
        } catch {
            giveBack()
            throw error
        }
    }

    /// Sends these nodes away.
    package func end(_ ids: Set<String>) {
        state.change { state in
            for id in ids { state.lines.removeValue(forKey: id)?.pipe.wake() }
        }
    }

    /// Sends all away.
    package func endAll() {
        state.change { state in
            for line in state.lines.values { line.pipe.wake() }
            state.lines = [:]
        }
    }
}
