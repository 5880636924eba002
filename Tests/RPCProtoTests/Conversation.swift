import Kernels
import RPCProto
import Tensor

/// A peer that has said everything beforehand, and keeps what it is answered.
final class RecordedStream: ByteStream {
    private let said: [UInt8]
    private var position = 0
    private(set) var answered: [UInt8] = []

    init(_ said: [UInt8]) {
        self.said = said
    }

    func receiveByte() throws(StreamError) -> UInt8? {
        guard position < said.count else { return nil }
        defer { position += 1 }
        return said[position]
    }

    func receive(into target: UnsafeMutableRawBufferPointer) throws(StreamError) {
        guard target.count <= said.count - position else {
            position = said.count
            throw StreamError(.endedEarly, "the recording ends")
        }
        target.copyBytes(from: said[position..<(position + target.count)])
        position += target.count
    }

    func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) throws(StreamError) {
        answered += first
        answered += second
    }

    /// The answers, each without its size; nil where they are no whole answers.
    var answers: [[UInt8]]? {
        var rest = answered[...]
        var list: [[UInt8]] = []
        while !rest.isEmpty {
            guard rest.count >= 8 else { return nil }
            let size = rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            rest = rest.dropFirst(8)
            guard size <= UInt64(rest.count) else { return nil }
            list.append(Array(rest.prefix(Int(size))))
            rest = rest.dropFirst(Int(size))
        }
        return list
    }
}

/// A conversation with a session over a CPU backend.
struct Conversation {
    static let backend: CPUBackend? = try? CPUBackend(threads: 2)

    private(set) var bytes: [UInt8] = []

    /// Handles and bases that a session gives to its first buffers of less than 64 KiB.
    static func handle(_ index: UInt64) -> UInt64 { index + 1 }
    static func base(_ index: UInt64) -> UInt64 { 1 << 40 + index * (1 << 17) }

    let dialect: Dialect

    /// - Parameter greets: whether it begins as it should.
    init(greets: Bool = true, _ dialect: Dialect = .newest) {
        self.dialect = dialect
        if greets { say(.hello(.none)) }
    }

    mutating func say(_ request: Request, data: [UInt8] = []) {
        bytes += request.encoded(tailByteCount: data.count, dialect) + data
    }

    mutating func say(bytes more: [UInt8]) { bytes += more }

    mutating func compute(_ message: GraphMessage, uid: UInt64 = 0) {
        say(.computeGraph(device: 0, uid: uid, nodeCount: UInt32(message.nodes.count)), data: message.encoded)
    }

    /// - Returns: how the session ended, and what it answered after the greeting.
    func held(_ options: SessionOptions = SessionOptions()) throws -> (end: SessionEnd, answers: [[UInt8]]) {
        guard let backend = Conversation.backend else { throw StreamError(.failed, "no backend") }
        let stream = RecordedStream(bytes)
        let end = Session(devices: [backend], options: options, dialect: dialect).serve(stream)
        guard let answers = stream.answers else { throw StreamError(.failed, "half an answer") }
        return (end, Array(answers.dropFirst()))
    }
}

extension TensorRecord {
    /// A contiguous F32 tensor in a conversation's buffer.
    static func floats(
        _ id: UInt64, _ extents: [UInt32], buffer: UInt64 = 0, at offset: UInt64 = 0, operation: UInt32 = 0,
        sources: [UInt64] = []
    ) -> TensorRecord {
        var record = TensorRecord()
        record.id = id
        record.name = "t\(id)"
        record.buffer = Conversation.handle(buffer)
        record.data = Conversation.base(buffer) + offset
        record.operation = operation
        record.sources = sources
        record.flags = operation == 0 ? 0 : 16
        for (dimension, extent) in extents.enumerated() { record.extents[dimension] = extent }
        var stride: UInt32 = 4
        for dimension in 0..<4 {
            record.strides[dimension] = stride
            stride = stride &* record.extents[dimension]
        }
        return record
    }
}

func bytes(_ values: [Float]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

func floats(_ bytes: [UInt8]) -> [Float] {
    bytes.withUnsafeBytes { raw in (0..<(raw.count / 4)).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) } }
}

extension SessionEnd {
    var code: SessionError.Code? {
        if case .refused(let error) = self { return error.code }
        return nil
    }

    var isClosed: Bool {
        if case .closed = self { return true }
        return false
    }

    var isLost: Bool {
        if case .lost = self { return true }
        return false
    }
}
