public import Tensor

/// One connection's conversation: greeted or not, its buffers, its graphs. Everything in it goes with it.
///
/// ``serve(_:)`` takes one request after the other from a stream and answers it, on the calling thread, until the peer
/// closes, breaks off or asks for something wrong. Contents of tensors go from the stream straight to their place, where
/// the backend's memory is this process's.
public final class Session {
    let devices: [any Backend]
    let options: SessionOptions
    let dialect: Dialect
    var buffers = BufferTable()
    var graphs: [GraphCache]
    var links: [CollectiveLink?]
    /// For another thread that sees the client go while this one waits for a partner.
    let interruption: CollectiveInterruption
    /// What the session does and did.
    public let activity: SessionActivity

    /// Bytes of one buffer at most, which is no limit. Stock servers without one say 2^64 - 1, and others what their devices
    /// can: by this number our clients know our servers.
    static let largestBuffer = UInt64(Int.max)

    /// - Parameters:
    ///   - devices: what clients may use, in the order of their numbers.
    ///   - dialect: the version of the protocol that this session speaks.
    ///   - activity: where to tell what it does.
    ///   - interruption: ends its waiting for another worker.
    public init(
        devices: [any Backend], options: SessionOptions = SessionOptions(), dialect: Dialect = .newest,
        activity: SessionActivity = SessionActivity(), interruption: CollectiveInterruption = CollectiveInterruption()
    ) {
        self.devices = devices
        self.activity = activity
        self.interruption = interruption
        self.options = options
        self.dialect = dialect
        graphs = devices.map { _ in GraphCache(options) }
        links = devices.map { _ in nil }
    }

    deinit {
        for index in graphs.indices { graphs[index].removeAll() }
    }

    public func serve(_ stream: any ByteStream) -> SessionEnd {
        // At once, not with the session: a partner may be waiting.
        defer { links = devices.map { _ in nil } }
        do {
            try converse(stream)
            return .closed
        } catch let error as SessionError {
            return .refused(error)
        } catch let error as StreamError {
            return .lost(error)
        } catch {
            return .refused(SessionError(.malformed, nil, "\(error)"))
        }
    }

    private func converse(_ stream: any ByteStream) throws {
        var isGreeted = false
        let room = Command.allCases.map(\.headByteCount).max() ?? 0
        let head = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 16)
        defer { head.deallocate() }
        while let number = try stream.receiveByte() {
            activity.enter(.exchanging)
            guard let command = dialect.command(number) else {
                throw SessionError(.malformed, nil, "there is no command \(number) in protocol \(dialect)")
            }
            guard isGreeted == (command != .hello) else {
                throw SessionError(
                    .malformed, command, isGreeted ? "the peer greets again" : "the peer must greet (HELLO) first")
            }
            // It is counted among no sessions, so it must not be one.
            guard !activity.isLifeLine || command == .getAlignment else {
                throw SessionError(.malformed, command, "a life line is for GET_ALIGNMENT")
            }
            let tail = try receiveHead(of: command, into: head, stream)
            let bytes = UnsafeRawBufferPointer(rebasing: head[..<dialect.headByteCount(of: command)])
            do {
                try answer(Request(command, head: bytes, dialect), tail: tail, stream)
                if dialect.confirms(command) { try stream.send(.done) }
            } catch var error as SessionError {
                error.command = error.command ?? command
                throw error
            }
            activity.countRequest()
            isGreeted = true
            activity.enter(.idle)
        }
    }

    /// Receives the size and the head; gives the size of what follows.
    private func receiveHead(
        of command: Command, into head: UnsafeMutableRawBufferPointer, _ stream: any ByteStream
    ) throws -> UInt64 {
        var size: UInt64 = 0
        try withUnsafeMutableBytes(of: &size) { bytes throws(StreamError) in try stream.receive(into: bytes) }
        size = UInt64(littleEndian: size)
        let headByteCount = dialect.headByteCount(of: command)
        let fixed = UInt64(headByteCount)
        guard command != .hello || size == fixed else {
            let version =
                "a client of another version of the protocol: it greets with \(size) bytes, those of \(dialect.version) with \(fixed)"
            throw SessionError(.malformed, command, "\(version) (a worker can speak others too: --protocol)")
        }
        guard command.hasTail ? size >= fixed : size == fixed else {
            throw SessionError(.malformed, command, "a request of \(size) bytes instead of \(fixed)\(command.hasTail ? " and more" : "")")
        }
        // Before anything of it is awaited: whoever announces too much is not waited for.
        guard command != .computeGraph || size <= UInt64(options.graphByteCount) else {
            throw SessionError(.limit, command, "a graph of \(size) bytes; \(options.graphByteCount) are allowed")
        }
        try stream.receive(into: UnsafeMutableRawBufferPointer(rebasing: head[..<headByteCount]))
        return size - fixed
    }

    private func answer(_ request: Request, tail: UInt64, _ stream: any ByteStream) throws {
        switch request {
        case .hello(let capabilities):
            let isLifeLine = options.hasLifeLines && capabilities == .lifeLine
            if isLifeLine { activity.becomeLifeLine() }
            let offer = isLifeLine ? options.workerNumber.map { ConnectionCapabilities.worker($0) } ?? .none : .none
            try stream.send(.hello(dialect.version, offer, mark: options.hasLifeLines ? Greeting.mark : 0))
        case .deviceCount: try stream.send(.deviceCount(UInt32(truncatingIfNeeded: devices.count)))
        case .getAlignment(let number): try stream.send(.number(UInt64(try device(number).alignment)))
        case .getMaxSize(let number):
            let largest = try device(number).largestBuffer
            try stream.send(.number(largest == .max ? Session.largestBuffer : UInt64(max(0, largest))))
        case .getDeviceMemory(let number):
            let backend = try device(number)
            activity.noteMemoryQuestion()
            let memory = options.isLeaving?() == true ? DeviceMemory(free: 0, total: 0) : try backendCall { try backend.memory() }
            try stream.send(.memory(free: UInt64(max(0, memory.free)), total: UInt64(max(0, memory.total))))
        case .allocateBuffer(let number, let byteCount): try stream.send(try allocate(number, byteCount))
        case .getBase(let handle): try stream.send(.number(try entry(handle).base))
        case .freeBuffer(let handle): try free(handle)
        case .clearBuffer(let handle, let value):
            let entry = try entry(handle)
            if value == 0, entry.buffer.discard() { break }
            try fill(entry.buffer, 0..<entry.buffer.byteCount, value)
        case .getAllocationSize(let number, let tensor, _):
            _ = try device(number)
            try stream.send(.number(UInt64(try tensor.layout().extent)))
        case .initTensor(let tensor): _ = try buffers.placeIfAny(of: tensor, try tensor.layout())
        case .setTensor(let tensor, let isCacheable, let offset):
            let isKept = dialect.isCacheable(isCacheable, byteCount: tail)
            try setTensor(tensor, offset, byteCount: tail, isCacheable: isKept, stream)
        case .setTensor2D(let tensor, let region): try setTensor(tensor, region, byteCount: tail, stream)
        case .setTensorHash(let tensor, let offset, let hash):
            try stream.send(.success(try setFromCache(tensor, offset, hash)))
        case .getTensor(let tensor, let offset, let byteCount): try getTensor(tensor, offset, byteCount, stream)
        case .getTensor2D(let tensor, let region): try getTensor(tensor, region, stream)
        case .copyTensor(let source, let target):
            try copy(source, to: target)
            try stream.send(.success(true))
        case .fillTensor(let tensor, let offset, let byteCount, let value):
            let place = try buffers.place(of: tensor)
            try fill(place.entry.buffer, try place.range(offset, byteCount), value)
        case .computeGraph(let number, let uid, let nodeCount):
            let message = try receiveGraph(byteCount: tail, stream)
            try compute(number, uid, nodeCount, message)
        case .recomputeGraph(let number, let uid): try recompute(number, uid)
        case .joinCollective(let number, let rank, let world, let port, let host):
            try stream.send(.success(try join(number, rank: rank, world: world, port: port, host: host)))
        case .reduceCollective(let number, let tensor): try reduce(number, tensor)
        case .leaveCollective(let number): try leave(number)
        }
    }

    // MARK: Devices and buffers

    func device(_ number: UInt32) throws -> any Backend {
        guard number < devices.count else {
            throw SessionError(.unknown, nil, "there is no device \(number); there are \(devices.count)")
        }
        return devices[Int(number)]
    }

    func entry(_ handle: UInt64) throws(SessionError) -> BufferTable.Entry {
        guard let entry = buffers[handle] else {
            throw SessionError(.unknown, nil, "there is no buffer \(handle) in this session")
        }
        return entry
    }

    /// What a backend refuses about memory is the message's fault.
    func backendCall<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as BackendError {
            throw SessionError(.graph, nil, error.description)
        }
    }

    private func allocate(_ number: UInt32, _ byteCount: UInt64) throws -> Response {
        let backend = try device(number)
        guard buffers.count < options.bufferCount else {
            throw SessionError(.limit, nil, "\(buffers.count) buffers are allocated; no more are allowed")
        }
        guard let size = Int(exactly: byteCount), buffers.hasRoom(for: byteCount),
            let buffer = try? backend.allocate(byteCount: size), let handle = buffers.add(buffer, device: Int(number))
        else { return .buffer(handle: 0, byteCount: 0) }
        return .buffer(handle: handle, byteCount: byteCount)
    }

    private func free(_ handle: UInt64) throws {
        _ = try entry(handle)
        for index in graphs.indices { graphs[index].forget(buffer: handle) }
        _ = buffers.remove(handle)
    }
}
