import Foundation
import GGUF
import Kernels
import Model
import Synchronization
import Tensor
import TestSupport
import Testing

/// That keys and values begin where the backend says that tensors may, and take as much memory as was foreseen.
@Suite struct CachePlacementTests {
    /// The processor, with another alignment; notes where graphs' tensors begin in buffers.
    private final class StrictBackend: Backend {
        let processor: CPUBackend
        let starts = Mutex<[String: Int]>([:])
        let allocated = Mutex(0)

        init() throws { processor = try CPUBackend(threads: 1) }

        var name: String { "strict" }
        var alignment: Int { 256 }

        func prepare(_ graph: Graph) throws(BackendError) -> any Plan {
            for tensor in graph.tensors {
                if case .placed(_, let offset) = tensor.storage { starts.withLock { $0[tensor.name] = offset } }
            }
            return try processor.prepare(graph)
        }

        func allocate(byteCount: Int) throws(BackendError) -> any Buffer {
            allocated.withLock { $0 += byteCount }
            return try processor.allocate(byteCount: byteCount)
        }

        func memory() throws(BackendError) -> DeviceMemory { try processor.memory() }
        func load(
            _ tensors: [TensorUpload], isInVain: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (TransferProgress) -> Void
        ) throws(BackendError) -> [LoadedTensor] { try processor.load(tensors, isInVain: isInVain, progress: progress) }
        func supports(_ id: TensorID, of graph: Graph) -> Bool { processor.supports(id, of: graph) }
        func run(_ step: Step) throws(BackendError) { try processor.run(step) }
        func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
            try processor.write(bytes, to: buffer, at: byteOffset)
        }
        func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
            try processor.read(buffer, at: byteOffset, into: bytes)
        }
    }

    @Test("heads of 80 and odd contexts leave every layer's keys and values where they may begin", arguments: [43, 77, 256])
    func alignment(_ contextLength: Int) throws {
        var random = SeededRandom(seed: 3)
        var figures = ModelFigures()
        figures.architecture = "gemma3"
        figures.layers = 7
        figures.keyLength = 80
        figures.valueLength = 80
        figures.rotated = 80
        figures.slidingWindow = 8
        let path = FileManager.default.temporaryDirectory.appending(path: "placement-\(UUID().uuidString).gguf").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try figures.draft(.f32, &random).write(to: path)
        let file = try GGUFFile(path: path)
        let outline = try ModelOutline(file)
        let backend = try StrictBackend()
        let pass = try ForwardPass(
            LanguageModel(file, on: backend.processor), on: backend, slotCount: 3, contextLength: contextLength)
        let whole = StageExtent(embeds: true, layers: 0..<7, hasOutput: true)
        #expect(
            pass.cacheByteCount == 7 * outline.cacheByteCount(ofLayer: 0, slotCount: 3, contextLength: contextLength, alignment: 256))
        #expect(
            backend.allocated.withLock { $0 } - pass.cacheByteCount
                <= outline.maskByteCount(whole, contextLength: contextLength, alignment: 256))

        try pass.run([BatchPiece(slot: 1, firstPosition: 0, tokens: [1, 2, 3], outputs: .last)]) { _, _, _ in }
        let starts = backend.starts.withLock { $0.filter { $0.key.hasPrefix("cache.") } }
        #expect(starts.count == 14)
        #expect(starts.values.allSatisfy { $0 % 256 == 0 })
    }
}
