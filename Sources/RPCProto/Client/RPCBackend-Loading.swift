internal import Base
public import Tensor

// Weights: laid out, asked for by hash, sent.
extension RPCBackend {
    /// Questions by hash that are open at once: the server works on each for as long as it reads its cache.
    private static let window = 32
    /// Bytes that are sent between two looks at the clock, and, where that can be, in one exchange: whoever else wants the
    /// connection waits no longer than they take.
    private static let sliceByteCount = 4 << 20

    /// Lays the tensors out in as few buffers as the server's limit allows, and brings their content over.
    ///
    /// Where a hash is given and the content is large enough, the server is asked for it first; what it has in its cache is
    /// not sent.
    ///
    /// - Parameters:
    ///   - apart: at which of the tensors another buffer begins, so that what is before can be freed without what is behind.
    ///   - progress: called on this thread, some ten times a second and at the end. It must not ask the server
    ///     anything, which is in the middle of a message; to break off, it can close the connection.
    /// - Returns: where each tensor is, in their order.
    /// - Throws: `outOfMemory`, `invalidArgument` for a content of another size than its tensor, `connection`.
    public func load(
        _ tensors: [TensorUpload], apart: Set<Int> = [], progress: @escaping @Sendable (TransferProgress) -> Void = { _ in }
    ) throws(BackendError) -> [LoadedTensor] {
        let records = try tensors.map { tensor throws(BackendError) in try RPCBackend.record(of: tensor) }
        let places = try layOut(records, tensors, apart)
        var placed: [(record: TensorRecord, upload: TensorUpload)] = []
        for index in tensors.indices {
            var record = records[index]
            record.id = UInt64(index) + 1
            record.buffer = places[index].buffer.handle
            record.data = places[index].buffer.base &+ UInt64(places[index].byteOffset)
            placed.append((record, tensors[index]))
        }
        var report = ProgressReport(total: tensors.reduce(0) { $0 &+ $1.content.bytes.count }, progress)
        try initialize(placed.map(\.record))
        let missing = try askForContents(placed, &report)
        for (record, upload, isAsked) in missing {
            try send(upload.content.bytes, record, isCacheable: isAsked, &report)
        }
        // What was sent is there only when the server has come to a question behind it.
        try connection.exchange(within: connection.limits.transfer()) { pipeline throws(BackendError) in
            try confirm(pipeline, owing: 0)
        }
        report.finish()
        return places.map { LoadedTensor(buffer: $0.buffer, byteOffset: $0.byteOffset) }
    }

    private static func record(of tensor: TensorUpload) throws(BackendError) -> TensorRecord {
        guard let count = tensor.shape.checkedElementCount, tensor.shape[0] % tensor.type.elementsPerBlock == 0,
            let size = tensor.type.byteCount(elements: count)
        else { throw BackendError(.invalidArgument, tensor: tensor.name, "shape \(tensor.shape) of \(tensor.type.name) has no size") }
        guard size == tensor.content.bytes.count else {
            let message = "a content of \(tensor.content.bytes.count) bytes for \(tensor.shape) of \(tensor.type.name), \(size) bytes"
            throw BackendError(.invalidArgument, tensor: tensor.name, message)
        }
        return try TensorRecord(
            type: tensor.type, shape: tensor.shape, strides: Strides(contiguous: tensor.shape, tensor.type), name: tensor.name)
    }

    // MARK: Places

    private func layOut(
        _ records: [TensorRecord], _ tensors: [TensorUpload], _ apart: Set<Int>
    ) throws(BackendError) -> [(buffer: RPCBuffer, byteOffset: Int)] {
        let sizes = try allocationSizes(records, tensors)
        var offsets: [(buffer: Int, offset: Int)] = []
        var ends: [Int] = []
        for (index, size) in sizes.enumerated() {
            guard size <= state.largestBuffer else {
                throw BackendError(
                    .outOfMemory, tensor: tensors[index].name, "\(name) has buffers of at most \(state.largestBuffer) bytes, not \(size)")
            }
            // Sizes are those of memory that exists, or checked where the server says them.
            let start = ((ends.last ?? 0) + alignment - 1) / alignment * alignment
            if ends.isEmpty || apart.contains(index) || size > state.largestBuffer - min(start, state.largestBuffer) {
                offsets.append((ends.count, 0))
                ends.append(size)
            } else {
                offsets.append((ends.count - 1, start))
                ends[ends.count - 1] = start + size
            }
        }
        var buffers: [RPCBuffer] = []
        for end in ends { buffers.append(try buffer(of: end)) }
        return offsets.map { (buffers[$0.buffer], $0.offset) }
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

    /// Asks for what the server may have in its cache.
    ///
    /// - Returns: what it has not, and whether it was asked.
    private func askForContents(
        _ tensors: [(record: TensorRecord, upload: TensorUpload)], _ report: inout ProgressReport
    ) throws(BackendError) -> [(record: TensorRecord, upload: TensorUpload, isAsked: Bool)] {
        var missing: [(record: TensorRecord, upload: TensorUpload, isAsked: Bool)] = []
        var asked: [(record: TensorRecord, upload: TensorUpload, hash: UInt64)] = []
        for (record, upload) in tensors {
            if let hash = upload.hash, connection.dialect.asksForContent(byteCount: upload.content.bytes.count) {
                asked.append((record, upload, hash))
            } else {
                missing.append((record, upload, false))
            }
        }
        for start in stride(from: 0, to: asked.count, by: RPCBackend.window) {
            let part = asked[start..<min(asked.count, start + RPCBackend.window)]
            var seen = report
            let largest = part.map(\.upload.content.bytes.count).max() ?? 0
            let found: [Bool] = try connection.exchange(within: connection.limits.transfer(of: largest)) { pipeline throws(BackendError) in
                for (record, _, hash) in part { pipeline.ask(.setTensorHash(record, offset: 0, hash: hash)) }
                try pipeline.flush()
                var found: [Bool] = []
                for (_, upload, _) in part {
                    guard case .success(let isThere) = try pipeline.answer(to: .setTensorHash) else {
                        throw pipeline.failure(.setTensorHash, "the answer is neither yes nor no")
                    }
                    // Each may have taken the server as long as it takes to read it.
                    pipeline.renew(forTransferOf: largest)
                    found.append(isThere)
                    if isThere { seen.add(done: upload.content.bytes.count, sent: 0) }
                }
                return found
            }
            report = seen
            for ((record, upload, _), isThere) in zip(part, found) where !isThere { missing.append((record, upload, true)) }
        }
        return missing
    }

    /// Sends a content, in exchanges of a slice each where the server takes parts. One that it was asked for goes whole: a cache
    /// keeps what comes in one message.
    private func send(
        _ content: UnsafeRawBufferPointer, _ record: TensorRecord, isCacheable: Bool, _ report: inout ProgressReport
    ) throws(BackendError) {
        let isQuantized = ElementType(rawValue: record.type)?.isQuantized ?? true
        let partByteCount = !isCacheable && (state.takesParts || !isQuantized) ? RPCBackend.sliceByteCount : max(1, content.count)
        for start in stride(from: 0, to: content.count, by: partByteCount) {
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

/// Tells of progress, but not too often.
private struct ProgressReport {
    private var progress: TransferProgress
    private let tell: @Sendable (TransferProgress) -> Void
    private var lastTime: UInt64 = 0

    /// Nanoseconds between two reports.
    private static let interval: UInt64 = 100_000_000

    init(total: Int, _ tell: @escaping @Sendable (TransferProgress) -> Void) {
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
}

extension Dialect {
    /// Whether a server that keeps contents is asked for one of this size before it is sent. Where requests have no flag,
    /// the server keeps only what is larger than a limit of its own.
    fileprivate func asksForContent(byteCount: Int) -> Bool {
        hasCacheFlag ? byteCount >= Dialect.askedByteCount : UInt64(byteCount) > Dialect.hashedByteCount
    }
}

extension TensorRecord {
    /// Whether a server may want room behind the rows of the tensor, as stock clients assume.
    fileprivate var mayBePadded: Bool {
        (ElementType(rawValue: type)?.isQuantized ?? false) && extents[0] % UInt32(TensorRecord.paddedElementCount) != 0
    }
}
