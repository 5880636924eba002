internal import Base
internal import Synchronization
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The life lines of a head (``LifeLine``), looked after by one thread, which there is only while there are any.
package final class LifeLines: Sendable {
    private struct Wish {
        let connection: ServerConnection
        let onSilence: @Sendable () -> Void
    }

    private struct State {
        var wishes: [Wish] = []
        var isRunning = false
    }

    private let state = Mutex(State())

    /// Milliseconds after which it is looked for connections that came or went meanwhile.
    private static let tick: UInt64 = 250
    /// The same while a stream is being made.
    private static let openingTick: UInt64 = 20

    package init() {}

    /// Gives a connection a life line, if its server has such, until the connection is no more.
    ///
    /// A server that does not answer on it any more loses the connection, as one that was silent.
    ///
    /// - Parameter onSilence: called then, on a thread that must not be kept waiting.
    package func watch(_ connection: ServerConnection, onSilence: @escaping @Sendable () -> Void) {
        guard connection.hasLifeLines else { return }
        let mustStart = state.withLock { state in
            state.wishes.append(Wish(connection: connection, onSilence: onSilence))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard mustStart else { return }
        do throws(ThreadError) {
            try SystemThread.start(name: "life lines", stackSize: 1 << 20) { [self] in run() }
        } catch {
            // Without them limits hold as for servers that have none.
            state.withLock { $0 = State() }
        }
    }

    // MARK: The thread

    private func run() {
        var lines: [Line] = []
        while true {
            let isOver = state.withLock { state in
                lines += state.wishes.map { Line($0.connection, $0.onSilence) }
                state.wishes.removeAll()
                lines.removeAll(where: \.isOver)
                if lines.isEmpty { state.isRunning = false }
                return lines.isEmpty
            }
            if isOver { return }
            let now = MonotonicClock.nanoseconds()
            let next = lines.compactMap(\.nextTime).min() ?? .max
            let tick = lines.contains(where: \.isOpening) ? LifeLines.openingTick : LifeLines.tick
            let pause = next <= now ? 0 : min(tick, (next - now) / 1_000_000 + 1)
            var entries = lines.map(\.entry)
            let count = poll(&entries, numericCast(entries.count), Int32(pause))
            if count < 0 {
                if errno != EINTR { SystemThread.sleep(for: .milliseconds(Int(LifeLines.tick))) }
                continue
            }
            for (line, entry) in zip(lines, entries) {
                if entry.revents != 0 { line.look(entry.revents) }
                // By the moment before it was looked what has arrived: this thread may not have run for a while itself, or may be
                // kept by what is done about another line.
                line.pass(now)
            }
        }
    }

    /// A life line with its socket.
    private final class Line {
        private weak var connection: ServerConnection?
        private let onSilence: @Sendable () -> Void
        private let address: SocketAddress?
        /// How its stream is made, where that is not by connecting to the address; and what it is wrapped in.
        private let opener: (any StreamOpener)?
        private var opening: StreamOpening?
        private var seal: (any StreamSeal)?
        private let greeting: [UInt8]
        private let question: [UInt8]
        private var decisions = LifeLine(at: MonotonicClock.nanoseconds())
        private var descriptor: Int32 = -1
        private var isConnected = false
        private var isGreeted = false
        private var received: [UInt8] = []

        init(_ connection: ServerConnection, _ onSilence: @escaping @Sendable () -> Void) {
            self.connection = connection
            self.onSilence = onSilence
            address = connection.peerAddress
            opener = connection.opener
            greeting = Request.hello(.lifeLine).encoded(connection.dialect)
            question = Request.getAlignment(device: 0).encoded(connection.dialect)
        }

        deinit { closeSocket() }

        var isOver: Bool { decisions.hasEnded || address == nil || connection.map { $0.failure != nil } ?? true }

        var nextTime: UInt64? { decisions.nextTime }

        /// Descriptors below zero are left out.
        var entry: pollfd { pollfd(fd: descriptor, events: Int16(isConnected ? POLLIN : POLLOUT), revents: 0) }

        /// Whether a stream is being made, of which no descriptor tells when it is there.
        var isOpening: Bool { opening != nil }

        func pass(_ now: UInt64) {
            if let opening, let outcome = opening.outcome {
                self.opening = nil
                take(outcome)
            }
            perform(decisions.pass(now))
        }

        private func take(_ outcome: StreamOpening.Outcome) {
            guard case .opened(let stream) = outcome else { return perform(decisions.broken(MonotonicClock.nanoseconds())) }
            descriptor = stream.descriptor
            seal = stream.seal
            isConnected = true
            prepare()
            perform(decisions.connected())
        }

        func look(_ events: Int16) {
            if !isConnected {
                var code: Int32 = 0
                var length = socklen_t(MemoryLayout<Int32>.size)
                let isKnown = getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0
                guard isKnown, code == 0 else { return perform(decisions.broken(MonotonicClock.nanoseconds())) }
                isConnected = true
                return perform(decisions.connected())
            }
            let now = MonotonicClock.nanoseconds()
            guard takeBytes() else { return perform(decisions.broken(now)) }
            let whole = 8 + (Response.byteCount(answering: isGreeted ? .getAlignment : .hello) ?? 0)
            if received.count < whole { return }
            // There is one question at a time, and so one answer.
            guard received.count == whole else { return perform(decisions.broken(now)) }
            let answer = received
            received.removeAll()
            if isGreeted {
                perform(decisions.answered(now))
                if let time = decisions.roundTrip { connection?.noteLifeLine(roundTrip: time) }
            } else {
                isGreeted = true
                let isOurs = answer[8 + Greeting.markPosition] == Greeting.mark
                SocketOption.setResetting(descriptor, !isOurs)
                perform(decisions.greeted(isOurs: isOurs, now))
            }
        }

        /// Takes what has arrived, if anything has.
        ///
        /// - Returns: false if nothing comes any more.
        private func takeBytes() -> Bool {
            var buffer = [UInt8](repeating: 0, count: 64)
            guard let seal else {
                let count = recv(descriptor, &buffer, buffer.count, 0)
                if count < 0 { return errno == EAGAIN || errno == EINTR }
                received += buffer[..<max(0, count)]
                return count > 0
            }
            var code: Int32 = 0
            let count = try? seal.unwrap { wire in
                let count = recv(descriptor, wire.baseAddress, wire.count, 0)
                code = errno
                return count
            }
            guard let count, count != 0 else { return false }
            if count < 0 { return code == EAGAIN || code == EINTR }
            while true {
                let plain = buffer.withUnsafeMutableBytes { seal.takePlain(into: $0) }
                if plain == 0 { return true }
                received += buffer[..<plain]
            }
        }

        private func perform(_ effects: [LifeLine.Effect]) {
            for effect in effects {
                switch effect {
                case .connect: connect()
                case .greet: send(greeting)
                case .ask: send(question)
                case .close: closeSocket()
                case .vouch(let isVouchedFor): connection?.setVouched(isVouchedFor)
                case .giveUp:
                    guard let connection else { break }
                    connection.giveUp(afterSilenceOf: (Double(decisions.patience) / 1e8).rounded() / 10)
                    onSilence()
                }
            }
        }

        private func connect() {
            guard let address else { return }
            if let opener {
                opening = StreamOpening(opener, within: Double(LifeLine.patience) / 1e9)
                return
            }
            descriptor = SystemSocket.open(address.family)
            guard descriptor >= 0 else { return perform(decisions.broken(MonotonicClock.nanoseconds())) }
            prepare()
            let status = address.withPointer { address, length in
                #if canImport(Glibc)
                    Glibc.connect(descriptor, address, length)
                #else
                    Darwin.connect(descriptor, address, length)
                #endif
            }
            if status != 0, errno != EINPROGRESS { perform(decisions.broken(MonotonicClock.nanoseconds())) }
        }

        private func prepare() {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            SocketOption.sendAtOnce(descriptor)
            // What stands at the address by now may be a stock server that owes an answer: see ``ClientStream/interrupt()``.
            SocketOption.setResetting(descriptor, true)
        }

        private func send(_ bytes: [UInt8]) {
            // A few bytes, of which nothing is unacknowledged but the last question: they fit, or something is wrong.
            let isSent = bytes.withUnsafeBytes { plain in
                guard let seal else { return sendRaw(plain) == plain.count }
                guard (try? seal.wrap(plain)) != nil else { return false }
                let (count, whole) = seal.withWrapped { (sendRaw($0), $0.count) }
                seal.dropWrapped(whole)
                return count == whole
            }
            if !isSent { perform(decisions.broken(MonotonicClock.nanoseconds())) }
        }

        private func sendRaw(_ bytes: UnsafeRawBufferPointer) -> Int { SystemSocket.send(descriptor, bytes) }

        private func closeSocket() {
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
            opening = nil
            seal = nil
            isConnected = false
            isGreeted = false
            received.removeAll()
        }
    }
}
