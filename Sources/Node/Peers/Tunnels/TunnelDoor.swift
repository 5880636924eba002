package import Base
internal import Logging
package import RPCProto
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Where a node takes tunnels: a port at which nothing but TLS is answered, and behind it only nodes of the network come in. What a
/// worker gets is a stream whose other end has proven who it is.
///
/// Whoever connects is first looked at without computing anything (``ClientHello``): who does not know the network's knock is sent away
/// with TLS's word for it. The others are talked to on a thread each, no more than ``DoorLimits`` lets in and no longer than a few
/// seconds, however slowly they speak.
package final class TunnelDoor: Door {
    /// What a node does about those who come in.
    package struct House: Sendable {
        /// What this node says of itself.
        package var ownCard: @Sendable () -> NodeCard
        /// Why a node is refused; nil if it is not.
        package var refusal: @Sendable (NodeCard, TunnelGreeting.Purpose) -> String?
        package var revoked: @Sendable () -> [String]
        /// Called with each one that was let in.
        package var noteGuest: @Sendable (NodeCard, _ revoked: [String]) -> Void
        /// Makes ready for a stream of a node that may come in, before it is told so, and gives what takes the stream then; what it throws
        /// is why the node is refused. Without it streams wait for ``TunnelDoor/accept()``.
        package var receiver: (@Sendable (NodeCard) throws(TunnelError) -> @Sendable (SocketStream) -> Void)?
        /// Where nodes wait to be called; nil where none can.
        package var desk: (any CallHost)?
        /// Called, on a thread of its own, when nobody is let in any more.
        package var onStop: @Sendable () -> Void = {}

        package init(
            ownCard: @escaping @Sendable () -> NodeCard,
            refusal: @escaping @Sendable (NodeCard, TunnelGreeting.Purpose) -> String? = { _, _ in nil },
            revoked: @escaping @Sendable () -> [String] = { [] },
            noteGuest: @escaping @Sendable (NodeCard, [String]) -> Void = { _, _ in }
        ) {
            self.ownCard = ownCard
            self.refusal = refusal
            self.revoked = revoked
            self.noteGuest = noteGuest
        }
    }

    package let port: Int
    private let listeners: [SocketListener]
    private let credentials: TunnelCredentials
    private let house: House
    private let refusals: RefusalLog
    private let talks = Mutex(Talks())
    private let queue = Monitor(Queue())

    /// Those who are being asked who they are. A socket of theirs is closed by its thread alone, and only when it is none of these.
    private struct Talks {
        var limits = DoorLimits()
        var descriptors: [DoorLimits.Talk: Int32] = [:]
    }

    private struct Queue {
        var streams: [SocketStream] = []
        var isStopped = false
    }

    /// Seconds that somebody may take to say who it is.
    static let patience = 5.0
    /// Streams that wait for a worker to take them.
    private static let queueLimit = 256
    /// TLS's words for "no such name here": a fatal alert of number 112 (RFC 6066).
    private static let unknownName: [UInt8] = [21, 3, 3, 0, 2, 2, 112]

    /// Listens; ``start()`` lets in.
    ///
    /// - Parameters:
    ///   - host: an address of this machine's, or `::` for every one.
    ///   - port: 0 for any that is free.
    package init(
        host: String, port: Int, _ credentials: TunnelCredentials, _ house: House, _ refusals: RefusalLog
    ) throws(StreamError) {
        listeners = try SocketListener.listen(host: host, port: port)
        self.port = listeners.first?.port ?? port
        self.credentials = credentials
        self.house = house
        self.refusals = refusals
    }

    /// - Throws: if the system has no threads for it.
    package func start() throws(ThreadError) {
        for listener in listeners {
            try SystemThread.start(name: "tunnel door", stackSize: 1 << 20) { [weak self] in
                TunnelDoor.take(listener) { self }
            }
        }
    }

    // MARK: Door

    package func accept() throws(StreamError) -> SocketStream? {
        queue.wait { queue in
            if queue.isStopped { return .some(nil) }
            return queue.streams.isEmpty ? nil : .some(queue.streams.removeFirst())
        }
    }

    package func stop() {
        for listener in listeners { listener.stop() }
        let (left, isFirst) = queue.change { queue in
            defer { queue = Queue(isStopped: true) }
            return (queue.streams, !queue.isStopped)
        }
        for stream in left { stream.interrupt() }
        let call = house.onStop
        if isFirst { _ = try? SystemThread.start(name: "goodbye", stackSize: 1 << 20) { call() } }
    }

    deinit { stop() }

    // MARK: Those who come

    /// Takes a connection that did not come in here as if it had. Whoever is there is asked who it is.
    ///
    /// - Parameter peer: where it comes from, for people.
    func take(_ connection: Int32, from peer: String) {
        if queue.read(\.isStopped) {
            close(connection)
            return
        }
        look(at: SocketListener.Stranger(descriptor: connection, peer: peer, address: nil))
    }

    private static func take(_ listener: SocketListener, _ door: () -> TunnelDoor?) {
        var rest = AcceptingRest()
        while true {
            do throws(StreamError) {
                guard let stranger = try listener.acceptStranger() else { return }
                guard let door = door() else {
                    close(stranger.descriptor)
                    return
                }
                door.look(at: stranger)
            } catch {
                // Out of descriptors, most likely: others that end give some back.
                if rest.isNews() { door()?.refusals.note("everybody", nil, "\(error); more wait until others end") }
                SystemThread.sleep(for: AcceptingRest.time)
            }
        }
    }

    private func look(at stranger: SocketListener.Stranger) {
        let answer = talks.withLock { talks in
            let answer = talks.limits.begin(stranger.address, at: MonotonicClock.nanoseconds())
            if case .talk(let talk, let instead) = answer {
                talks.descriptors[talk] = stranger.descriptor
                // Wakes its thread, which finds that it is over.
                if let instead, let descriptor = talks.descriptors.removeValue(forKey: instead) {
                    _ = shutdown(descriptor, Int32(SHUT_RDWR))
                }
            }
            return answer
        }
        let talk: DoorLimits.Talk
        switch answer {
        case .talk(let number, _): talk = number
        case .refuse(let reason):
            refusals.note(stranger.peer, stranger.address, reason)
            close(stranger.descriptor)
            return
        }
        do throws(ThreadError) {
            try SystemThread.start(name: "stranger", stackSize: 1 << 20) { [self] in self.talk(to: stranger, talk) }
        } catch {
            _ = end(talk, isWelcome: false)
            refusals.note(stranger.peer, stranger.address, "\(error)")
            close(stranger.descriptor)
        }
    }

    /// - Returns: false if the talk had to make room for another.
    private func end(_ talk: DoorLimits.Talk, isWelcome: Bool) -> Bool {
        talks.withLock { talks in
            talks.descriptors[talk] = nil
            return talks.limits.end(talk, isWelcome: isWelcome, at: MonotonicClock.nanoseconds())
        }
    }

    private func isOpen(_ talk: DoorLimits.Talk) -> Bool { talks.withLock { $0.descriptors[talk] != nil } }

    private func talk(to stranger: SocketListener.Stranger, _ talk: DoorLimits.Talk) {
        let deadline = MonotonicClock.moment(in: TunnelDoor.patience)
        do throws(TunnelError) {
            switch try firstWords(of: stranger, talk, until: deadline) {
            case .names(credentials.hostName?): break
            case .names:
                turnAway(stranger.descriptor, TunnelDoor.unknownName)
                throw TunnelError("it is none of this network (another token, or another network id)")
            case .isNotTLS, .incomplete: throw TunnelError("it does not speak TLS")
            }
            let handOn = try letIn(stranger, until: deadline)
            guard end(talk, isWelcome: true) else { throw TunnelDoor.displaced }
            if let handOn { handOn() } else { close(stranger.descriptor) }
        } catch {
            let reason = end(talk, isWelcome: false) ? error : TunnelDoor.displaced
            refusals.note(stranger.peer, stranger.address, "\(reason)")
            close(stranger.descriptor)
        }
    }

    private static let displaced = TunnelError("it took its time to say who it is, and others were waiting")

    private func enqueue(_ stream: SocketStream) {
        let isTaken = queue.change { queue in
            if queue.isStopped || queue.streams.count >= TunnelDoor.queueLimit { return false }
            queue.streams.append(stream)
            return true
        }
        if !isTaken { stream.interrupt() }
    }

    /// Looks at what has come without taking it.
    private func firstWords(
        of stranger: SocketListener.Stranger, _ talk: DoorLimits.Talk, until deadline: UInt64
    ) throws(TunnelError) -> ClientHello.Outcome {
        var buffer = [UInt8](repeating: 0, count: ClientHello.limit)
        var seen = 0
        while true {
            guard SocketWait.wait(stranger.descriptor, Int16(POLLIN), until: deadline) else {
                throw TunnelError("it takes too long to say who it is")
            }
            let count = recv(stranger.descriptor, &buffer, buffer.count, Int32(MSG_PEEK) | SocketWait.withoutWaiting)
            if count == 0 { throw TunnelError("it closed the connection without a word") }
            if count < 0 {
                if errno == EAGAIN || errno == EINTR { continue }
                throw TunnelError(String(cString: strerror(errno)).lowercased())
            }
            let outcome = buffer[..<count].withUnsafeBytes { ClientHello.look(at: $0) }
            if outcome != .incomplete { return outcome }
            if count == buffer.count { return .isNotTLS }
            // What was seen makes the socket readable at once, also when it was shut down: the rest is waited for by the clock.
            if count == seen {
                SystemThread.sleep(for: .milliseconds(20))
                if !isOpen(talk) { throw TunnelDoor.displaced }
            }
            seen = count
        }
    }

    /// - Returns: what hands the stream on, to which the socket is then; nil if none was wanted.
    private func letIn(_ stranger: SocketListener.Stranger, until deadline: UInt64) throws(TunnelError) -> (() -> Void)? {
        let side = try credentials.serverSeal()
        let beginning = TunnelBeginning(descriptor: stranger.descriptor, seal: side.seal, deadline: deadline)
        do throws(TunnelError) {
            try beginning.shakeHands()
        } catch {
            if case .failure(let fault)? = side.verdict.value { throw TunnelError("\(fault)") }
            throw error
        }
        // Also where a connection was taken up again without certificates being shown.
        guard case .success(let id)? = side.verdict.value else { throw TunnelError("\(CertificateFault.none)") }
        let greeting = try beginning.receiveGreeting()
        let purpose = TunnelGreeting.Purpose(rawValue: greeting.number)
        guard let purpose, greeting.card.id == id else {
            let reason =
                purpose == nil ? "it wants what there is not (\(greeting.number))" : "it says that it is \(greeting.card.id), and is \(id)"
            try refuse(beginning, reason)
        }
        if let reason = house.refusal(greeting.card, purpose) { try refuse(beginning, reason) }
        var receive: (@Sendable (SocketStream) -> Void)?
        if purpose == .rpc, let receiver = house.receiver {
            do throws(TunnelError) {
                receive = try receiver(greeting.card)
            } catch {
                try refuse(beginning, "\(error)")
            }
        }
        let prepared = try prepare(purpose, greeting, stranger, beginning)
        house.noteGuest(greeting.card, greeting.revoked)
        var welcome = TunnelGreeting(number: TunnelGreeting.Answer.welcome.rawValue, card: house.ownCard(), revoked: house.revoked())
        welcome.attending = house.desk?.ids ?? []
        if case .place(let place)? = prepared { welcome.place = place }
        try beginning.send(welcome)
        switch purpose {
        case .look:
            // It has all that it wanted, and closes.
            _ = SocketWait.wait(stranger.descriptor, Int16(POLLIN), until: deadline)
            return nil
        case .attend:
            return { [house] in
                let wire = OwnedDescriptor(stranger.descriptor)
                house.desk?.attend(greeting.card, wire, side.seal)
            }
        case .punch: return wayIsKept(stranger, beginning)
        case .meet where prepared != nil: return wayIsKept(stranger, beginning)
        case .meet:
            try awaitReady(beginning)
            return { [house] in
                let connection = OwnedDescriptor(stranger.descriptor)
                if let ticket = greeting.ticket { house.desk?.meet(ticket, connection) }
            }
        case .reach:
            return {
                let caller = OwnedDescriptor(stranger.descriptor)
                if case .junction(let junction)? = prepared { junction.run(with: caller) }
            }
        case .rpc:
            return { [self] in
                let stream = SocketStream(
                    descriptor: stranger.descriptor, peer: "\(greeting.card.name) \(stranger.peer)", address: stranger.address,
                    identity: id, seal: side.seal)
                if let receive { receive(stream) } else { enqueue(stream) }
            }
        }
    }

    /// A node goes on from where it came; its connection stays until it closes it, so that routers keep what they have of the way.
    private func wayIsKept(_ stranger: SocketListener.Stranger, _ beginning: TunnelBeginning) -> (() -> Void)? {
        _ = SocketWait.wait(stranger.descriptor, Int16(POLLIN), until: beginning.deadline)
        return nil
    }

    private enum Prepared {
        /// What joins the client with the node that it wants to.
        case junction(any CallJunction)
        /// Where the node that it meets half-way came from.
        case place(String)
    }

    /// Has ready what a purpose needs before the node is told that it is welcome, or refuses it.
    private func prepare(
        _ purpose: TunnelGreeting.Purpose, _ greeting: TunnelGreeting, _ stranger: SocketListener.Stranger, _ beginning: TunnelBeginning
    ) throws(TunnelError) -> Prepared? {
        switch purpose {
        case .rpc, .look: return nil
        case .attend, .meet, .reach, .punch: break
        }
        guard let desk = house.desk else { try refuse(beginning, "nobody can wait here to be called") }
        switch purpose {
        case .rpc, .look: return nil
        case .attend:
            if !desk.hasRoom(for: greeting.card.id) { try refuse(beginning, "too many wait here already") }
            return nil
        case .meet:
            switch greeting.ticket.flatMap({ desk.answer(greeting.card.id, $0, from: stranger.peer) }) {
            case .joined?: return nil
            case .halfway(let place)?: return .place(place)
            case nil: try refuse(beginning, "it was not called, or it came too late")
            }
        case .reach, .punch:
            guard let target = greeting.target else { try refuse(beginning, "it does not say whom it wants") }
            do throws(TunnelError) {
                if purpose == .punch { return .place(try desk.punch(target, from: stranger.peer, until: beginning.deadline)) }
                return .junction(try desk.reach(target, for: greeting.card.id, until: beginning.deadline))
            } catch {
                try refuse(beginning, "\(target): \(error)")
            }
        }
    }

    /// Waits until a node that was called has read the welcome: what it gets from now on is not for TLS here.
    private func awaitReady(_ beginning: TunnelBeginning) throws(TunnelError) {
        var byte: UInt8 = 0
        guard SocketWait.wait(beginning.descriptor, Int16(POLLIN), until: beginning.deadline),
            recv(beginning.descriptor, &byte, 1, SocketWait.withoutWaiting) == 1, byte == CallWords.ready
        else { throw TunnelError("it was called, and does not say that it is there") }
    }

    private func refuse(_ beginning: TunnelBeginning, _ reason: String) throws(TunnelError) -> Never {
        try beginning.send(
            TunnelGreeting(number: TunnelGreeting.Answer.refused.rawValue, card: house.ownCard(), revoked: [], reason: reason))
        throw TunnelError(reason)
    }

    private func turnAway(_ descriptor: Int32, _ words: [UInt8]) {
        _ = words.withUnsafeBytes { SystemSocket.send(descriptor, $0, waits: false) }
    }
}
