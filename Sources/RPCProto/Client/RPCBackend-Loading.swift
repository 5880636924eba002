internal import Base
public import Tensor

// Weights: laid out, asked for by hash, sent.
extension RPCBackend {
    /// Requests without data that are sent in one exchange.
    private static let window = 32
    /// Bytes that are sent between two looks at the clock, and, where that can be, in one exchange: whoever else wants the
    /// connection waits no longer than they take.
    private static let sliceByteCount = 4 << 20

    /// Lays the tensors out in as few buffers as the server's limit allows, and brings their content over.
    ///
    /// What the server has in its cache is not sent: it is asked for contents that are large enough by the hashes that are known,
    /// and a server that turns out to have something of the model by all others too, which are computed only then.
    ///
    /// - Parameters:
    ///   - apart: at which of the tensors another buffer begins, so that what is before can be freed without what is behind.
    ///   - hashes: computes hashes, and remembers which servers had any of the model.
    ///   - fillsCaches: whether what may be asked for by hash is to be kept by a server of which nobody knows whether it has a
    ///     cache. It goes whole then, and steps wait for all of a tensor instead of a slice.
    ///   - isInVain: asked between exchanges whether to give up. The connection stays as it is, and what was allocated is freed
    ///     with the next exchange.
    ///   - onAllocated: called once, with the bytes that have been allocated, before anything is brought.
    ///   - progress: called on this thread, some ten times a second and at the end. It must not ask the server
    ///     anything, which is in the middle of a message; to break off, it can close the connection.
    /// - Returns: where each tensor is, in their order.
    /// - Throws: `outOfMemory`, `invalidArgument` for a content of another size than its tensor, `connection`, `cancelled` when it
    ///   was given up.
    public func load(
        _ tensors: [TensorUpload], apart: Set<Int> = [], hashes: ContentHashes = ContentHashes(), fillsCaches: Bool = true,
        isInVain: @escaping @Sendable () -> Bool = { false }, onAllocated: (Int) -> Void = { _ in },
        progress: @escaping @Sendable (TransferProgress) -> Void = { _ in }
    ) throws(BackendError) -> [LoadedTensor] {
        let records = try tensors.map { tensor throws(BackendError) in try RPCBackend.record(of: tensor) }
        let places = try layOut(records, tensors, apart)
        let buffers = Dictionary(places.map { (ObjectIdentifier($0.buffer), $0.buffer.byteCount) }) { first, _ in first }
        onAllocated(buffers.values.reduce(0, +))
        var placed: [PlacedUpload] = []
        for index in tensors.indices {
            var record = records[index]
            record.id = UInt64(index) + 1
            record.buffer = places[index].buffer.handle
            record.data = places[index].buffer.base &+ UInt64(places[index].byteOffset)
            placed.append(PlacedUpload(record: record, upload: tensors[index]))
        }
        var report = ProgressReport(total: tensors.reduce(0) { $0 &+ $1.content.bytes.count }, isInVain, progress)
        try initialize(placed.map(\.record))
        let missing = try missing(of: placed, hashes, &report)
        let isFilling = fillsCaches || hashes.finding(connection) == .something
        for index in missing {
            let upload = placed[index].upload
            let isCacheable = isFilling && upload.hash != .none && connection.dialect.asksForContent(byteCount: upload.content.bytes.count)
            try send(upload.content.bytes, placed[index].record, isCacheable: isCacheable, &report)
        }
        // What was sent is there only when the server has come to a question behind it.
        try connection.exchange(within: connection.limits.transfer()) { pipeline throws(BackendError) in
            try confirm(pipeline, owing: 0)
        }
        report.finish()
        return places.map { LoadedTensor(buffer: $0.buffer, byteOffset: $0.byteOffset) }
    }

    public func load(
        _ tensors: [TensorUpload], isInVain: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (TransferProgress) -> Void
    ) throws(BackendError) -> [LoadedTensor] {
        try load(tensors, hashes: ContentHashes(), isInVain: isInVain, progress: progress)
    }

    private static func record(of tensor: TensorUpload) throws(BackendError) -> TensorRecord {
        try tensor.checkSize()
        return try TensorRecord(
            type: tensor.type, shape: tensor.shape, strides: Strides(contiguous: tensor.shape, tensor.type), name: tensor.name)
    }

    // MARK: Places

    private func layOut(
        _ records: [TensorRecord], _ tensors: [TensorUpload], _ apart: Set<Int>
    ) throws(BackendError) -> [(buffer: RPCBuffer, byteOffset: Int)] {
        let sizes = try allocationSizes(records, tensors)
        // Sizes are those of memory that exists, or checked where the server says them.
        let packing = try BufferPacking(
            tensors, sizes: sizes, on: name, alignment: alignment, largest: state.largestBuffer, apart: apart)
        let buffers = try buffers(of: packing.byteCounts)
        return packing.places.map { (buffers[$0.buffer], $0.byteOffset) }
    }

    /// Bytes to set aside for each, which for quantized tensors the server says.
    private func allocationSizes(_ records: [TensorRecord], _ tensors: [TensorUpload]) throws(BackendError) -> [Int] {
        var sizes = tensors.map(\.content.bytes.count)
        var questions: [(question: AllocationQuestion, request: Request, byteCount: Int)] = []
        var asked: [Int] = []
        for (index, tensor) in tensors.enumerated() where records[index].mayBePadded {
            var record = records[index]
            record.id = UInt64(index) + 1
            let strides = Strides(contiguous: tensor.shape, tensor.type)
            let question = AllocationQuestion(
                type: tensor.type, operation: 0, parameters: .zero, shape: tensor.shape, strides: strides)
            questions.append((question, .getAllocationSize(device: state.number, record, sources: []), sizes[index]))
            asked.append(index)
        }
        if questions.isEmpty { return sizes }
        let answers = try connection.exchange(within: connection.limits.answer) { pipeline throws(BackendError) in
            try state.allocationSizes(questions, pipeline)
        }
        for (index, size) in zip(asked, answers) { sizes[index] = size }
        return sizes
    }

    /// Lets the server prepare what it pads.
    private func initialize(_ records: [TensorRecord]) throws(BackendError) {
        let padded = records.filter(\.mayBePadded)
        for start in stride(from: 0, to: padded.count, by: RPCBackend.window) {
            try connection.exchange(within: connection.limits.transfer()) { pipeline throws(BackendError) in
                for record in padded[start..<min(padded.count, start + RPCBackend.window)] { pipeline.ask(.initTensor(record)) }
            }
        }
    }

    // MARK: Contents

    /// Sends a content, in exchanges of a slice each where the server takes parts. One that a cache is to keep goes whole: it
    /// keeps what comes in one message.
    private func send(
        _ content: UnsafeRawBufferPointer, _ record: TensorRecord, isCacheable: Bool, _ report: inout ProgressReport
    ) throws(BackendError) {
        let isQuantized = ElementType(rawValue: record.type)?.isQuantized ?? true
        let partByteCount = !isCacheable && (state.takesParts || !isQuantized) ? RPCBackend.sliceByteCount : max(1, content.count)
        for start in stride(from: 0, to: content.count, by: partByteCount) {
            try report.checkVanity()
            let part = UnsafeRawBufferPointer(rebasing: content[start..<min(content.count, start + partByteCount)])
            try send(part, at: start, of: record, isCacheable: isCacheable, &report)
        }
    }

    /// Sends a part of a content in one exchange.
    private func send(
        _ part: UnsafeRawBufferPointer, at offset: Int, of record: TensorRecord, isCacheable: Bool, _ report: inout ProgressReport
    ) throws(BackendError) {
        var seen = report
        try connection.exchange(within: connection.limits.transfer()) { pipeline throws(BackendError) in
            pipeline.ask(.setTensor(record, isCacheable: isCacheable, offset: UInt64(offset)), tailByteCount: part.count)
            for start in stride(from: 0, to: part.count, by: RPCBackend.sliceByteCount) {
                let slice = UnsafeRawBufferPointer(rebasing: part[start..<min(part.count, start + RPCBackend.sliceByteCount)])
                pipeline.add(slice)
                try pipeline.flush()
                seen.add(done: slice.count, sent: slice.count)
                // However long the telling took.
                pipeline.renew()
            }
            pipeline.owe(part.count)
            try confirm(pipeline)
        }
        report = seen
    }
}

extension RPCBackend {
    /// Bytes sent without a word from the server, after which it is asked for one: the more it may be busy with, the longer it
    /// is waited for when it has gone.
    private static let unconfirmedByteCount = 64 << 20

    /// Waits for the server to come to a question, if it owes so much.
    private func confirm(_ pipeline: RequestPipeline, owing byteCount: Int = RPCBackend.unconfirmedByteCount) throws(BackendError) {
        guard pipeline.owedByteCount >= byteCount else { return }
        pipeline.renew()
        pipeline.ask(.getAlignment(device: state.number))
        try pipeline.flush()
        _ = try pipeline.number(answering: .getAlignment)
    }
}

/// Tells of progress, but not too often, and asks whether to go on.
struct ProgressReport {
    private var progress: TransferProgress
    private let isInVain: @Sendable () -> Bool
    private let tell: @Sendable (TransferProgress) -> Void
    private var lastTime: UInt64 = 0

    /// Nanoseconds between two reports.
    private static let interval: UInt64 = 100_000_000

    init(total: Int, _ isInVain: @escaping @Sendable () -> Bool, _ tell: @escaping @Sendable (TransferProgress) -> Void) {
        self.isInVain = isInVain
        progress = TransferProgress(done: 0, total: total, sent: 0)
        self.tell = tell
    }

    mutating func add(done: Int, sent: Int) {
        progress.done += done
        progress.sent += sent
        let now = MonotonicClock.nanoseconds()
        guard now &- lastTime >= ProgressReport.interval else { return }
        lastTime = now
        tell(progress)
    }

    func finish() { tell(progress) }

    /// - Throws: `cancelled` if it is not to go on. Asked where no exchange is under way, which is what leaves the connection usable.
    func checkVanity() throws(BackendError) {
        if isInVain() { throw BackendError(.cancelled, "the transfer was given up") }
    }
}

extension TensorRecord {
    /// Whether a server may want room behind the rows of the tensor, as stock clients assume.
    fileprivate var mayBePadded: Bool {
        (ElementType(rawValue: type)?.isQuantized ?? false) && extents[0] % UInt32(TensorRecord.paddedElementCount) != 0
    }
}
