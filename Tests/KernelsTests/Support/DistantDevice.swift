import Synchronization
import Tensor

/// A device that lacks operations, as those of others do, and counts what is asked of it. Its buffers' bytes are out of reach.
final class DistantDevice: Backend {
    struct Counts: Equatable {
        var runs = 0
        var readBytes = 0
        var writtenBytes = 0
    }

    /// Memory of the device, as that of one that is no part of this process.
    private final class FarBuffer: TensorBuffer {
        let inner: any TensorBuffer
        let owner: DistantDevice

        init(_ inner: any TensorBuffer, of owner: DistantDevice) {
            self.inner = inner
            self.owner = owner
        }

        var byteCount: Int { inner.byteCount }
        var backend: any Backend { owner }
        func discard() -> Bool { inner.discard() }
    }

    private let whole: any Backend
    private let refused: Set<OperationKind>
    let alignment: Int
    private let state = Mutex(Counts())
    private let prepared = Mutex<[[OperationKind]]>([])

    init(_ whole: any Backend, refusing refused: Set<OperationKind>, alignment: Int? = nil) {
        self.whole = whole
        self.refused = refused
        self.alignment = alignment ?? whole.alignment
    }

    var counts: Counts { state.withLock { $0 } }
    /// What each graph so far computes.
    var graphs: [[OperationKind]] { prepared.withLock { $0 } }

    var name: String { "picky" }
    var largestBuffer: Int { 1 << 20 }
    var traits: BackendTraits { BackendTraits(isFar: true) }

    func memory() throws(BackendError) -> DeviceMemory { DeviceMemory(free: 3, total: 5) }
    func allocate(byteCount: Int) throws(BackendError) -> any TensorBuffer {
        FarBuffer(try whole.allocate(byteCount: byteCount), of: self)
    }

    private func own(_ buffer: any TensorBuffer) throws(BackendError) -> any TensorBuffer {
        guard let far = buffer as? FarBuffer, far.owner === self else {
            throw BackendError(.invalidArgument, "the buffer belongs to another device")
        }
        return far.inner
    }

    func supports(_ id: TensorID, of graph: Graph) -> Bool {
        guard !refused.contains(graph[id].operation.kind), let inner = try? onWhole(graph) else { return false }
        return whole.supports(id, of: inner)
    }

    private func onWhole(_ graph: Graph) throws(BackendError) -> Graph {
        var inner = graph
        for index in graph.tensors.indices {
            guard case .placed(let buffer, let offset) = graph.tensors[index].storage else { continue }
            inner.tensors[index].storage = .placed(try own(buffer), byteOffset: offset)
        }
        return inner
    }

    func prepare(_ graph: Graph) throws(BackendError) -> any Plan {
        let computed = graph.nodes.filter { !graph[$0].operation.isPureView }
        for id in computed where refused.contains(graph[id].operation.kind) {
            throw BackendError(.unsupported, tensor: graph[id].name, "this device has no \(graph[id].operation.kind.rawValue)")
        }
        prepared.withLock { $0.append(computed.map { graph[$0].operation.kind }) }
        return try whole.prepare(onWhole(graph))
    }

    func run(_ step: Step) throws(BackendError) {
        state.withLock { $0.runs += 1 }
        try whole.run(step)
    }

    func write(_ bytes: UnsafeRawBufferPointer, to buffer: any TensorBuffer, at byteOffset: Int) throws(BackendError) {
        state.withLock { $0.writtenBytes += bytes.count }
        try whole.write(bytes, to: own(buffer), at: byteOffset)
    }

    func read(_ buffer: any TensorBuffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        state.withLock { $0.readBytes += bytes.count }
        try whole.read(own(buffer), at: byteOffset, into: bytes)
    }
}
