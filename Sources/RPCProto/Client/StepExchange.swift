internal import Tensor

/// The messages around a plan's graph in one step, encoded for steps that write and read the same places: only the bytes
/// written change.
///
/// Writes that lie next to each other travel as one SET_TENSOR; between inputs, what fills up to the alignment is nobody's
/// and travels as zeros. Reads that adjoin are one GET_TENSOR.
final class StepExchange {
    /// What a step writes or reads, without the bytes.
    private struct Part: Equatable {
        var tensor: TensorID
        var byteOffset: Int
        var byteCount: Int
    }

    /// A part with its place.
    private struct Placed {
        var index: Int
        var handle: UInt64
        var address: UInt64
        var byteCount: Int
        /// Bytes behind it that are nobody's.
        var slack: Int

        var end: UInt64 { address &+ UInt64(byteCount) }
    }

    private enum Piece {
        case own(Range<Int>)
        /// Bytes of a write.
        case write(Int, Range<Int>)
    }

    private struct Answer {
        var byteCount: Int
        /// Bytes to leave out, then the read to fill and which of its bytes.
        var parts: [(skipped: Int, read: Int, bytes: Range<Int>)]
    }

    /// Writes of at most this many bytes are copied among the heads, which costs less than another piece.
    private static let copiedByteCount = 16 << 10
    private let writes: [Part]
    private let reads: [Part]
    private let heads: MemoryBlock
    private let copies: [(write: Int, position: Int)]
    private let pieces: [Piece]
    private let messageCount: Int
    private let questions: Range<Int>
    private let answers: [Answer]

    init(_ step: Step, of plan: RPCPlan, _ dialect: Dialect) throws(BackendError) {
        writes = step.writes.map { Part(tensor: $0.tensor, byteOffset: $0.byteOffset, byteCount: $0.bytes.count) }
        reads = step.reads.map { Part(tensor: $0.tensor, byteOffset: $0.byteOffset, byteCount: $0.bytes.count) }
        var draft = Draft(dialect)
        let limit = dialect.messageByteCount
        for group in StepExchange.groups(try StepExchange.places(writes, of: plan, isWriting: true), limit) { draft.set(group) }
        let headEnd = draft.bytes.count
        for group in StepExchange.groups(try StepExchange.places(reads, of: plan, isWriting: false), limit) { draft.get(group) }
        questions = headEnd..<draft.bytes.count
        heads = MemoryBlock(draft.bytes)
        copies = draft.copies
        pieces = draft.pieces
        messageCount = draft.messageCount
        answers = draft.answers
    }

    /// Whether a step writes and reads what these messages do.
    func fits(_ step: Step) -> Bool {
        guard step.writes.count == writes.count, step.reads.count == reads.count else { return false }
        for (write, part) in zip(step.writes, writes) {
            guard write.tensor == part.tensor, write.byteOffset == part.byteOffset, write.bytes.count == part.byteCount else {
                return false
            }
        }
        for (read, part) in zip(step.reads, reads) {
            guard read.tensor == part.tensor, read.byteOffset == part.byteOffset, read.bytes.count == part.byteCount else { return false }
        }
        return true
    }

    // MARK: Running

    func addWrites(of step: Step, _ pipeline: RequestPipeline) {
        for (write, position) in copies {
            let target = UnsafeMutableRawBufferPointer(rebasing: heads.bytes[position..<(position + step.writes[write].bytes.count)])
            target.copyMemory(from: step.writes[write].bytes)
        }
        for piece in pieces {
            switch piece {
            case .own(let range): pipeline.add(UnsafeRawBufferPointer(rebasing: heads.bytes[range]))
            case .write(let index, let range): pipeline.add(UnsafeRawBufferPointer(rebasing: step.writes[index].bytes[range]))
            }
        }
        for _ in 0..<messageCount { pipeline.note(.setTensor) }
    }

    /// Whether anything is read, so that the answer says that the graph is done.
    var asks: Bool { !answers.isEmpty }

    func addQuestions(_ pipeline: RequestPipeline) {
        pipeline.add(UnsafeRawBufferPointer(rebasing: heads.bytes[questions]))
        for _ in answers { pipeline.note(.getTensor) }
    }

    func takeAnswers(of step: Step, _ pipeline: RequestPipeline) throws(BackendError) {
        for answer in answers {
            try pipeline.beginAnswer(to: .getTensor, byteCount: answer.byteCount)
            for (skipped, read, range) in answer.parts {
                if skipped > 0 { try pipeline.skip(skipped, of: .getTensor) }
                try pipeline.take(into: UnsafeMutableRawBufferPointer(rebasing: step.reads[read].bytes[range]), of: .getTensor)
            }
        }
    }

    // MARK: Places

    private static func places(_ parts: [Part], of plan: RPCPlan, isWriting: Bool) throws(BackendError) -> [Placed] {
        var places: [Placed] = []
        for (index, part) in parts.enumerated() {
            let operand = try plan.operand(part.tensor, at: part.byteOffset, count: part.byteCount, isWriting: isWriting)
            if part.byteCount == 0 { continue }
            let isPlanned = operand.handle == 0
            let address = (isPlanned ? plan.memory.base : 0) &+ operand.position &+ UInt64(part.byteOffset)
            let isLast = part.byteOffset + part.byteCount == operand.byteExtent
            places.append(
                Placed(
                    index: index, handle: isPlanned ? plan.memory.handle : operand.handle, address: address, byteCount: part.byteCount,
                    slack: operand.isPlannedRoot && isLast ? plan.device.alignment - 1 : 0))
        }
        return places
    }

    /// Runs of neighbours; in the given order, each by itself, where any overlap and the order counts.
    private static func groups(_ places: [Placed], _ limit: Int) -> [[Placed]] {
        let sorted = places.sorted { ($0.handle, $0.address) < ($1.handle, $1.address) }
        for (place, next) in zip(sorted, sorted.dropFirst()) where place.handle == next.handle && next.address < place.end {
            return places.map { [$0] }
        }
        var groups: [[Placed]] = []
        for place in sorted {
            if let last = groups.last?.last, let first = groups.last?.first, last.handle == place.handle,
                place.address - last.end <= UInt64(last.slack), place.end - first.address <= UInt64(limit)
            {
                groups[groups.count - 1].append(place)
            } else {
                groups.append([place])
            }
        }
        return groups
    }

    // MARK: Encoding

    private struct Draft {
        let dialect: Dialect
        var bytes: [UInt8] = []
        var copies: [(write: Int, position: Int)] = []
        var pieces: [Piece] = []
        var messageCount = 0
        var answers: [Answer] = []
        private var start = 0

        init(_ dialect: Dialect) {
            self.dialect = dialect
        }

        mutating func set(_ group: [Placed]) {
            guard let first = group.first, let last = group.last else { return }
            let limit = dialect.messageByteCount
            if group.count == 1, first.byteCount > limit {
                for start in stride(from: 0, to: first.byteCount, by: limit) {
                    let range = start..<min(first.byteCount, start + limit)
                    beginSet(first.handle, first.address &+ UInt64(start), range.count)
                    endOwn()
                    pieces.append(.write(first.index, range))
                }
                return
            }
            beginSet(first.handle, first.address, Int(last.end - first.address))
            var position = first.address
            for place in group {
                bytes.append(contentsOf: repeatElement(0, count: Int(place.address - position)))
                if place.byteCount <= copiedByteCount {
                    copies.append((place.index, bytes.count))
                    bytes.append(contentsOf: repeatElement(0, count: place.byteCount))
                } else {
                    endOwn()
                    pieces.append(.write(place.index, 0..<place.byteCount))
                }
                position = place.end
            }
            endOwn()
        }

        private mutating func beginSet(_ handle: UInt64, _ address: UInt64, _ count: Int) {
            let record = TensorRecord(bytes: count, buffer: handle, address: address)
            bytes += Request.setTensor(record, isCacheable: false, offset: 0).encoded(tailByteCount: count, dialect)
            messageCount += 1
        }

        private mutating func endOwn() {
            if start < bytes.count { pieces.append(.own(start..<bytes.count)) }
            start = bytes.count
        }

        mutating func get(_ group: [Placed]) {
            guard let first = group.first, let last = group.last else { return }
            let limit = dialect.messageByteCount
            if group.count == 1, first.byteCount > limit {
                for start in stride(from: 0, to: first.byteCount, by: limit) {
                    let range = start..<min(first.byteCount, start + limit)
                    beginGet(first.handle, first.address &+ UInt64(start), range.count)
                    answers.append(Answer(byteCount: range.count, parts: [(0, first.index, range)]))
                }
                return
            }
            let count = Int(last.end - first.address)
            beginGet(first.handle, first.address, count)
            var answer = Answer(byteCount: count, parts: [])
            var position = first.address
            for place in group {
                answer.parts.append((Int(place.address - position), place.index, 0..<place.byteCount))
                position = place.end
            }
            answers.append(answer)
        }

        private mutating func beginGet(_ handle: UInt64, _ address: UInt64, _ count: Int) {
            let record = TensorRecord(bytes: count, buffer: handle, address: address)
            bytes += Request.getTensor(record, offset: 0, byteCount: UInt64(count)).encoded(dialect)
        }
    }
}
