internal import Synchronization
public import Tensor

/// One connection to one server, shared by the backends of all its devices: a stock server serves a single connection at a
/// time, so everything goes over this one.
///
/// Exchanges follow each other, whichever threads ask for them. Once anything went wrong with one, the connection is
/// closed, ``failure`` says why, and every later call throws the same; to go on, connect again.
public final class ServerConnection: Sendable {
    public let endpoint: Endpoint
    public let limits: ClientLimits
    /// How more streams to the server are made; nil for connecting to where this one leads.
    let opener: (any StreamOpener)?
    /// What is spoken.
    public let dialect: Dialect
    /// The version that the server says it has.
    public let version: WireVersion

    /// Devices that a server may count: more is a mistake.
    static let deviceLimit = 64

    let deviceStates: [RemoteDevice]
    private let pipeline: RequestPipeline
    private let turns = ExchangeTurns()
    /// Why the connection is no more, and who ended it.
    private let end = Mutex<(error: BackendError, cause: EndCause)?>(nil)

    private enum EndCause { case closedHere, silence, other }

    private let unused = Mutex<[UInt64]>([])
    private let backends: Mutex<[WeakBackend]>
    private let serials = Atomic<UInt64>(0)
    private let lifeTime = Atomic<UInt64>(0)
    /// Whether the server is one of ours that serves a second connection while this one is busy: ``Greeting``.
    let hasLifeLines: Bool

    private struct WeakBackend {
        weak var backend: RPCBackend?
    }

    private init(_ pipeline: RequestPipeline, _ devices: [RemoteDevice], _ opener: (any StreamOpener)?) {
        self.pipeline = pipeline
        self.opener = opener
        endpoint = pipeline.endpoint
        limits = pipeline.limits
        dialect = pipeline.dialect
        version = pipeline.saidVersion ?? pipeline.dialect.version
        deviceStates = devices
        hasLifeLines = pipeline.greetingMark == Greeting.mark && devices.allSatisfy(\.takesParts)
        backends = Mutex(devices.map { _ in WeakBackend() })
    }

    deinit { pipeline.stream.interrupt() }

    // MARK: Connecting

    /// Connects, greets, and asks what devices there are.
    ///
    /// - Throws: `connection`, with what was wrong: nobody listens, nobody answers, another version, a broken answer.
    public static func connect(
        to endpoint: Endpoint, limits: ClientLimits = ClientLimits()
    ) throws(BackendError) -> ServerConnection {
        let descriptor: Int32
        do throws(SocketDialer.Failure) {
            descriptor = try SocketDialer.connect(to: endpoint, within: limits.connect)
        } catch {
            throw BackendError(.connection, "\(endpoint): cannot connect: \(error.message)")
        }
        return try greet(RequestPipeline(ClientStream(descriptor: descriptor), endpoint, limits), nil)
    }

    /// The same over a stream that is made in another way than by connecting to an address.
    ///
    /// - Parameter endpoint: where it leads, for people.
    package static func connect(
        to endpoint: Endpoint, through opener: any StreamOpener, limits: ClientLimits = ClientLimits()
    ) throws(BackendError) -> ServerConnection {
        let stream: OpenedStream
        do throws(StreamError) {
            stream = try opener.open(within: limits.connect)
        } catch {
            throw BackendError(.connection, "\(endpoint): cannot connect: \(error.message)")
        }
        return try greet(RequestPipeline(ClientStream(stream), endpoint, limits), opener)
    }

    private static func greet(
        _ pipeline: RequestPipeline, _ opener: (any StreamOpener)?
    ) throws(BackendError) -> ServerConnection {
        try greet(pipeline)
        return ServerConnection(pipeline, try devices(pipeline), opener)
    }

    private static func greet(_ pipeline: RequestPipeline) throws(BackendError) {
        pipeline.begin(within: pipeline.limits.answer)
        pipeline.ask(.hello(.none))
        try pipeline.flush()
        let version: WireVersion
        do throws(BackendError) {
            version = try pipeline.greetingVersion()
        } catch {
            guard pipeline.wasSilent else { throw error }
            let hint = "accepts connections but does not answer; a stock server serves one client at a time"
            throw pipeline.failure(.hello, "the server \(hint) (\(pipeline.limits.answer) s waited)")
        }
        guard let spoken = Dialect.speaking(to: version) else {
            let names = Dialect.all.map { "\($0.version)" }
            let list = names.dropLast().joined(separator: ", ") + " and " + (names.last ?? "")
            throw BackendError(.connection, "\(pipeline.endpoint) speaks protocol \(version); \(list) can be used")
        }
        try pipeline.finish()
        pipeline.dialect = spoken
        pipeline.saidVersion = version
    }

    private static func devices(_ pipeline: RequestPipeline) throws(BackendError) -> [RemoteDevice] {
        pipeline.begin(within: pipeline.limits.answer)
        pipeline.ask(.deviceCount)
        try pipeline.flush()
        guard case .deviceCount(let count) = try pipeline.answer(to: .deviceCount), count > 0, count <= deviceLimit else {
            throw pipeline.failure(.deviceCount, "counts no devices, or more than the \(deviceLimit) that can be")
        }
        for number in 0..<count {
            pipeline.ask(.getAlignment(device: number))
            pipeline.ask(.getMaxSize(device: number))
        }
        try pipeline.flush()
        var devices: [RemoteDevice] = []
        for number in 0..<count {
            let alignment = try pipeline.number(answering: .getAlignment)
            guard alignment > 0, alignment & (alignment - 1) == 0, alignment <= RemoteDevice.alignmentLimit else {
                throw pipeline.failure(.getAlignment, "device \(number) has an alignment of \(alignment), which is none")
            }
            let largest = try pipeline.number(answering: .getMaxSize)
            guard largest > 0 else { throw pipeline.failure(.getMaxSize, "device \(number) has no room for any buffer") }
            devices.append(RemoteDevice(number: number, alignment: Int(alignment), largestBuffer: largest))
        }
        try pipeline.finish()
        return devices
    }

    // MARK: For any thread

    /// One backend for each device that the server counts; the same ones for as long as anybody holds them.
    public var devices: [RPCBackend] {
        backends.withLock { list in
            list.indices.map { index in
                if let backend = list[index].backend { return backend }
                let backend = RPCBackend(self, deviceStates[index])
                list[index].backend = backend
                return backend
            }
        }
    }

    public var sentByteCount: Int { pipeline.stream.sentByteCount }
    public var receivedByteCount: Int { pipeline.stream.receivedByteCount }

    /// Why the connection is no more; nil while it is.
    public var failure: String? { end.withLock { $0?.error.message } }

    /// Whether the connection is no more because the server was silent for too long.
    public var wasSilent: Bool { end.withLock { $0?.cause == .silence } }
    /// Whether it is no more because ``close()`` was called.
    public var wasClosedHere: Bool { end.withLock { $0?.cause == .closedHere } }

    /// Breaks off whatever waits. Buffers go with the connection.
    public func close() {
        breakOff(BackendError(.connection, "\(endpoint): the connection was closed from this side"), .closedHere)
    }

    /// Whether the server has closed the connection, or is known to be gone, while nobody asked it for anything.
    public var peerHasLeft: Bool { pipeline.stream.peerHasLeft }

    /// Whether somebody asks or is answered at this moment.
    public var isExchanging: Bool { turns.areTaken }

    /// As ``close()``, with what later calls are to throw.
    func breakOff(_ error: BackendError) { breakOff(error, .other) }

    private func breakOff(_ error: BackendError, _ cause: EndCause) {
        end.withLock { if $0 == nil { $0 = (error, cause) } }
        pipeline.stream.interrupt()
    }

    // MARK: Its life line

    var peerAddress: SocketAddress? { pipeline.stream.peerAddress }

    func setVouched(_ isVouched: Bool) { pipeline.stream.setVouched(isVouched) }

    func noteLifeLine(roundTrip nanoseconds: UInt64) { lifeTime.store(max(1, nanoseconds), ordering: .relaxed) }

    /// From the last question over the life line to its answer, in nanoseconds; nil where there is none.
    package var lifeLineRoundTrip: Int? {
        let time = lifeTime.load(ordering: .relaxed)
        return time > 0 ? Int(clamping: time) : nil
    }

    /// Breaks off what waits, as for a server that was silent for too long.
    func giveUp(afterSilenceOf seconds: Double) {
        breakOff(BackendError(.connection, "\(endpoint): the server gave no sign of life for \(seconds) s"), .silence)
    }

    /// The smallest of a few cheap questions' times: the network's and the server's, without work.
    public func measureRoundTrip() throws(BackendError) -> Duration {
        var best = Duration.seconds(1 << 30)
        let begin = ContinuousClock.now
        for _ in 0..<5 where ContinuousClock.now - begin < .milliseconds(200) {
            let start = ContinuousClock.now
            try exchange(within: limits.answer) { pipeline throws(BackendError) in
                pipeline.ask(.getAlignment(device: 0))
                try pipeline.flush()
                _ = try pipeline.number(answering: .getAlignment)
            }
            best = min(best, ContinuousClock.now - start)
        }
        return best
    }

    // MARK: Exchanges

    /// Has the connection alone while `body` asks and takes answers.
    ///
    /// - Throws: what `body` throws; if that is of the code `connection`, or leaves answers untaken, the connection is no more.
    func exchange<Value: Sendable>(
        within seconds: Double, _ body: (RequestPipeline) throws(BackendError) -> Value
    ) throws(BackendError) -> Value {
        turns.take()
        defer { turns.giveBack() }
        if let failure = end.withLock({ $0?.error }) { throw failure }
        pipeline.begin(within: seconds)
        do throws(BackendError) {
            try freeUnused()
            let value = try body(pipeline)
            try pipeline.finish()
            return value
        } catch {
            try settle(after: error)
        }
    }

    /// Goes on after what concerns only the caller; breaks off after everything else.
    private func settle(after error: BackendError) throws(BackendError) -> Never {
        var reason = error
        if error.code != .connection {
            do throws(BackendError) {
                try pipeline.finish()
                throw error
            } catch {
                if error.code != .connection { throw error }
                reason = error
            }
        }
        breakOff(reason, pipeline.wasSilent ? .silence : .other)
        throw end.withLock { $0?.error } ?? reason
    }

    /// A number that no other plan of this connection has.
    func nextSerial() -> UInt64 { serials.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Has a buffer freed with the next exchange, whoever's that is.
    func free(_ handle: UInt64) {
        if end.withLock({ $0 == nil }) { unused.withLock { $0.append(handle) } }
    }

    private func freeUnused() throws(BackendError) {
        let handles = unused.withLock { handles in
            defer { handles.removeAll() }
            return handles
        }
        for (index, handle) in handles.enumerated() {
            pipeline.ask(.freeBuffer(buffer: handle))
            // Where each is confirmed, neither side's socket is to fill while both write.
            if index % RemoteDevice.window == RemoteDevice.window - 1 { try pipeline.finish() }
        }
    }
}
