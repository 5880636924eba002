internal import Base
public import Tensor

/// One device of a server elsewhere, as a backend: its memory, its graphs.
///
/// A step is one write and one read on the connection. What the server refuses shows as a lost connection, since the
/// protocol has no other answer; ``BackendError/message`` then says at which command.
public final class RPCBackend: Backend {
    public let connection: ServerConnection
    let state: RemoteDevice

    /// The server's number of the device.
    public var device: Int { Int(state.number) }
    public var name: String { "RPC \(connection.endpoint) device \(state.number)" }
    public var alignment: Int { state.alignment }
    public var largestBuffer: Int { state.largestBuffer }
    /// All devices of a server are behind one connection.
    public var traits: BackendTraits { BackendTraits(isFar: true, queue: ObjectIdentifier(connection)) }

    init(_ connection: ServerConnection, _ state: RemoteDevice) {
        self.connection = connection
        self.state = state
    }

    public func memory() throws(BackendError) -> DeviceMemory {
        try connection.exchange(within: connection.limits.answer) { pipeline throws(BackendError) in
            pipeline.ask(.getDeviceMemory(device: state.number))
            try pipeline.flush()
            guard case .memory(let free, let total) = try pipeline.answer(to: .getDeviceMemory) else {
                throw pipeline.failure(.getDeviceMemory, "the answer is no memory")
            }
            let most = RPCBackend.mostMemory
            return DeviceMemory(free: Int(min(total > 0 ? min(free, total) : free, most)), total: Int(min(total, most)))
        }
    }

    /// No device has more, whatever it says: so that nobody who adds to it overflows.
    private static let mostMemory: UInt64 = 1 << 60

    /// Bytes of the memory that steps use in turn; whatever is prepared next takes it over.
    public func computeByteCount() throws(BackendError) -> Int {
        try connection.exchange(within: connection.limits.answer) { _ throws(BackendError) in state.computeByteCount }
    }

    /// Closes the connection, which is what stops a server's computation, if anything does; for all of its devices.
    public func cancel() {
        connection.breakOff(BackendError(.cancelled, "\(connection.endpoint): the connection was closed to stop what it computed"))
    }

    // MARK: Buffers

    public func allocate(byteCount: Int) throws(BackendError) -> any Buffer {
        // Servers that confirm the zeroing have done it by then, which takes its time for what is large.
        let memory = try connection.exchange(within: connection.limits.transfer(of: byteCount)) { pipeline throws(BackendError) in
            try state.allocate(byteCount, zeroed: true, pipeline)
        }
        return RPCBuffer(memory, of: self)
    }

    /// Buffers that ``load(_:apart:hashes:fillsCaches:isInVain:onAllocated:progress:)`` fills. Many take no longer than one, however far
    /// away the server is.
    func buffers(of byteCounts: [Int]) throws(BackendError) -> [RPCBuffer] {
        var buffers: [RPCBuffer] = []
        for start in stride(from: 0, to: byteCounts.count, by: RPCBackend.allocationWindow) {
            let part = Array(byteCounts[start..<min(byteCounts.count, start + RPCBackend.allocationWindow)])
            let limit = connection.limits.transfer(of: part.reduce(0, &+))
            let (memories, fault) = try connection.exchange(within: limit) { pipeline throws(BackendError) in
                try state.allocate(part, zeroed: false, pipeline)
            }
            // What there is is given back where that is not all.
            buffers += memories.map { RPCBuffer($0, of: self, isWritable: false) }
            if let fault { throw fault }
        }
        return buffers
    }

    /// Buffers that are asked for at once.
    private static let allocationWindow = 64

    /// Has the compute memory hold plans of up to so many bytes, so that those need no other, which would make the server
    /// forget all graphs.
    ///
    /// - Throws: `outOfMemory`, `connection`.
    public func reserve(computeByteCount: Int) throws(BackendError) {
        try connection.exchange(within: connection.limits.answer) { pipeline throws(BackendError) in
            _ = try state.computeMemory(atLeast: computeByteCount, pipeline)
        }
    }

    public func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
        let target = try own(buffer)
        guard target.isWritable else { throw BackendError(.invalidArgument, "the buffer is read-only") }
        try target.check(byteOffset, bytes.count)
        try put(bytes, in: target, at: byteOffset)
    }

    /// Bytes of one message at most, where what they are is not known: whoever else wants the connection waits for one.
    private var pieceByteCount: Int { min(16 << 20, connection.dialect.messageByteCount) }

    private func put(_ bytes: UnsafeRawBufferPointer, in buffer: RPCBuffer, at byteOffset: Int) throws(BackendError) {
        for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
            let part = UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + pieceByteCount)])
            let record = TensorRecord(bytes: part.count, buffer: buffer.handle, address: buffer.base &+ UInt64(byteOffset + start))
            try connection.exchange(within: connection.limits.transfer()) { pipeline throws(BackendError) in
                pipeline.ask(.setTensor(record, isCacheable: false, offset: 0), tailByteCount: part.count)
                pipeline.add(part)
                try pipeline.flush()
                pipeline.owe(part.count)
            }
        }
    }

    public func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        let source = try own(buffer)
        try source.check(byteOffset, bytes.count)
        for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + pieceByteCount)])
            let record = TensorRecord(bytes: part.count, buffer: source.handle, address: source.base &+ UInt64(byteOffset + start))
            try connection.exchange(within: connection.limits.transfer()) { pipeline throws(BackendError) in
                pipeline.ask(.getTensor(record, offset: 0, byteCount: UInt64(part.count)))
                try pipeline.flush()
                try pipeline.beginAnswer(to: .getTensor, byteCount: part.count)
                try pipeline.take(into: part, of: .getTensor)
            }
        }
    }

    /// `buffer` as one of this device's.
    func own(_ buffer: any Buffer, for tensor: String? = nil) throws(BackendError) -> RPCBuffer {
        guard let mine = buffer as? RPCBuffer, mine.owner.state === state else {
            throw BackendError(.invalidArgument, tensor: tensor, "the buffer belongs to another backend")
        }
        return mine
    }

    // MARK: Running

    public func run(_ step: Step) throws(BackendError) {
        guard let plan = step.plan as? RPCPlan, plan.device === state else {
            throw BackendError(.invalidArgument, "the plan belongs to another backend")
        }
        let limits = connection.limits
        try connection.exchange(within: limits.step) { pipeline throws(BackendError) in
            let start = MonotonicClock.nanoseconds()
            if limits.foresees { pipeline.allow(min(limits.step, state.forecast.limit(work: plan.work))) }
            if plan.computeByteCount > 0 {
                plan.settle(in: try state.computeMemory(atLeast: plan.computeByteCount, pipeline))
            }
            let exchange = try plan.exchange(for: step)
            exchange.addWrites(of: step, pipeline)
            if plan.hasNodes { state.compute(plan, pipeline) }
            exchange.addQuestions(pipeline)
            // Only a question for memory waits for the graph: servers may compute while they answer others.
            let barrier = exchange.asks ? nil : plan.barrier
            if let barrier { pipeline.ask(.getTensor(barrier, offset: 0, byteCount: 1)) }
            try pipeline.flush()
            try exchange.takeAnswers(of: step, pipeline)
            if barrier != nil {
                try pipeline.beginAnswer(to: .getTensor, byteCount: 1)
                try pipeline.skip(1, of: .getTensor)
            }
            state.forecast.note(work: plan.work, seconds: Double(MonotonicClock.nanoseconds() &- start) / 1e9)
        }
    }
}
