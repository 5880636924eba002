package import Base
package import Logging
internal import RPCProto

/// Has this node wait at others to be called by those that cannot connect to it, and come when it is (``CallDesk``).
package final class Attendance: Sendable {
    private struct State {
        var plan = AttendancePlan()
        /// Where it waits, and what ends that.
        var lines: [String: WakePipe] = [:]
        var isStopped = false
        /// Connections that are being made because this node was called.
        var comings = 0
    }

    private let network: PeerNetwork
    private let door: TunnelDoor
    private let logger: Logger
    private let state = Monitor(State())
    private let start = ContinuousClock.now

    private static let period = Duration.milliseconds(500)
    /// Connections that are made at a time because this node was called: whoever calls it must not have it make any number.
    private static let comingLimit = 64
    /// Seconds that a tunnel may take.
    private static let openTime = 5.0

    package init(_ network: PeerNetwork, _ door: TunnelDoor, logger: Logger) {
        self.network = network
        self.door = door
        self.logger = logger
    }

    private var now: AttendancePlan.Time { ContinuousClock.now - start }

    /// A node has connected to this one.
    package func noteGuest(_ id: String) {
        let now = now
        state.change { $0.plan.noteGuest(id, at: now) }
    }

    /// - Throws: if the system has no thread for it.
    package func begin() throws(ThreadError) {
        try SystemThread.start(name: "attendance", stackSize: 1 << 20) { [weak self, state] in
            while let next = self {
                next.refresh()
                _ = state.wait(atMost: Attendance.period) { $0.isStopped ? true : nil }
                if state.read(\.isStopped) { return }
            }
        }
    }

    /// Waits nowhere any more. What came of calls stays.
    package func stop() {
        state.change { state in
            state.isStopped = true
            for pipe in state.lines.values { pipe.wake() }
            state.lines = [:]
        }
    }

    private func refresh() {
        let (cards, now) = (network.nodes.map(\.card), now)
        let new: Set<String> = state.change { state in
            if state.isStopped { return [] }
            let waiting = Set(state.lines.keys)
            let wanted = state.plan.wanted(cards, waiting: waiting, at: now)
            for id in waiting.subtracting(wanted) { state.lines.removeValue(forKey: id)?.wake() }
            return wanted.subtracting(waiting)
        }
        for id in new { begin(at: id) }
    }

    private func begin(at id: String) {
        do {
            let pipe = try WakePipe()
            let isOver = state.change { state in
                if !state.isStopped { state.lines[id] = pipe }
                return state.isStopped
            }
            if isOver { return }
            try SystemThread.start(name: "wait \(id.prefix(6))", stackSize: 1 << 20) { [self] in wait(at: id, pipe) }
        } catch {
            end(at: id, nil, wasIn: false, "\(error)")
        }
    }

    private func end(at id: String, _ pipe: WakePipe?, wasIn: Bool, _ reason: String) {
        let now = now
        logger.debug("does not wait to be called at \(id) any more: \(reason)")
        state.change { state in
            if pipe == nil || state.lines[id] === pipe { state.lines[id] = nil }
            state.plan.ended(id, wasIn: wasIn, at: now)
        }
    }

    private func wait(at id: String, _ pipe: WakePipe) {
        var isIn = false
        do throws(TunnelError) {
            let tunnel = try network.openDirectly(id, .attend, within: Attendance.openTime)
            guard let seal = tunnel.stream.seal as? TLSSeal else { throw TunnelError("it is no tunnel") }
            let line = CallTunnel(OwnedDescriptor(tunnel.stream.descriptor), seal)
            isIn = true
            logger.debug("waits to be called at \(tunnel.card.label)")
            while state.read({ $0.lines[id] === pipe }) {
                for call in try line.wait(pipe) { come(to: id, call) }
            }
            end(at: id, pipe, wasIn: true, "it is not needed")
        } catch {
            end(at: id, pipe, wasIn: isIn, "\(error)")
        }
    }

    /// Somebody wants to be connected with this node: it connects, and takes what comes as it takes connections at its door.
    private func come(to id: String, _ call: CallTunnel.Call) {
        let isOne = state.change { state in
            if state.comings >= Attendance.comingLimit { return false }
            state.comings += 1
            return true
        }
        guard isOne else { return logger.debug("called too often") }
        do throws(ThreadError) {
            try SystemThread.start(name: "come", stackSize: 1 << 20) { [network, door, logger, state] in
                defer { state.change { $0.comings -= 1 } }
                do throws(TunnelError) {
                    let deadline = MonotonicClock.moment(in: Attendance.openTime)
                    let tunnel = try network.openDirectly(
                        id, .meet, ticket: call.ticket, sharesPort: call.isPunch, within: Attendance.openTime)
                    if call.isPunch {
                        let connection = try Punch.connect(asToldIn: tunnel, until: deadline)
                        return door.take(connection, from: "somebody half-way, as \(tunnel.card.label) says")
                    }
                    let connection = tunnel.stream.descriptor
                    // From here on it is somebody else's; a byte says that this end has read all that was said in TLS.
                    let sent = [CallWords.ready].withUnsafeBytes { SystemSocket.send(connection, $0) }
                    if sent == 1 {
                        door.take(connection, from: "somebody by way of \(tunnel.card.label)")
                    } else {
                        SocketDialer.close(connection)
                    }
                } catch {
                    logger.debug("could not come to \(id): \(error)")
                }
            }
        } catch {
            logger.warning("\(error)")
        }
    }
}
