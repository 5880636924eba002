import Foundation
import Kernels
import RPCProto
import Synchronization
import Tensor
import Testing

/// The cache with a backend whose memory is not this process's, as a GPU's is not: contents pass through in pieces.
struct DistantCacheTests {
    @Test func contentsGoAndComeInPieces() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = SessionOptions()
        let cache = try TensorCache(folder: folder)
        options.cache = cache
        options.cacheScope = "10.0.0.7"
        let count = 3 << 18
        let content = bytes((0..<(count + 1)).map(Float.init))
        let hash = content.withUnsafeBytes { FNVHash.of($0) }
        let tensor = TensorRecord.floats(1, [UInt32(count + 1)])
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4 << 20))
        talk.say(.setTensor(tensor, isCacheable: true, offset: 0), data: content)
        talk.say(.clearBuffer(buffer: Conversation.handle(0), value: 1))
        talk.say(.setTensorHash(tensor, offset: 0, hash: hash))
        talk.say(.getTensor(tensor, offset: 0, byteCount: UInt64(content.count)))
        #expect(try held(talk, options).suffix(2) == [[1], content])
        #expect(cache.finishWriting(within: 30))

        // Damaged at its end: what was already written of it does not stay.
        let blob = try #require(FileManager.default.contentsOfDirectory(atPath: folder + "/blobs").first)
        var damaged = content
        damaged[content.count - 1] ^= 1
        try Data(damaged).write(to: URL(filePath: "\(folder)/blobs/\(blob)"))
        var again = Conversation()
        again.say(.allocateBuffer(device: 0, byteCount: 4 << 20))
        again.say(.setTensorHash(tensor, offset: 0, hash: hash))
        again.say(.getTensor(tensor, offset: 0, byteCount: UInt64(content.count)))
        #expect(try held(again, options).suffix(2) == [[0], [UInt8](repeating: 0, count: content.count)])
        #expect(cache.statistics.damagedCount == 1)
    }

    private func held(_ talk: Conversation, _ options: SessionOptions) throws -> [[UInt8]] {
        let stream = RecordedStream(talk.bytes)
        let end = Session(devices: [DistantBackend(try CPUBackend(threads: 1))], options: options).serve(stream)
        #expect(end.isClosed)
        return try #require(stream.answers)
    }
}

/// Memory that can be written and read, but not looked at.
private final class DistantBackend: Backend {
    final class Memory: Buffer {
        let backend: any Backend
        let byteCount: Int
        let content: Mutex<[UInt8]>

        init(_ backend: any Backend, _ byteCount: Int) {
            self.backend = backend
            self.byteCount = byteCount
            content = Mutex([UInt8](repeating: 0xee, count: byteCount))
        }
    }

    private let processor: CPUBackend

    init(_ processor: CPUBackend) {
        self.processor = processor
    }

    var name: String { "distant" }
    var alignment: Int { processor.alignment }

    func memory() throws(BackendError) -> DeviceMemory { try processor.memory() }
    func allocate(byteCount: Int) throws(BackendError) -> any Buffer { Memory(self, byteCount) }
    func supports(_ id: TensorID, of graph: Graph) -> Bool { false }
    func prepare(_ graph: Graph) throws(BackendError) -> any Plan { try processor.prepare(graph) }
    func run(_ step: Step) throws(BackendError) { try processor.run(step) }

    func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
        (buffer as? Memory)?.content.withLock { $0.replaceSubrange(byteOffset..<(byteOffset + bytes.count), with: bytes) }
    }

    func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        (buffer as? Memory)?.content.withLock { bytes.copyBytes(from: $0[byteOffset..<(byteOffset + bytes.count)]) }
    }
}
