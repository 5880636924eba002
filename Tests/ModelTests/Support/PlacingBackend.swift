import Synchronization
import Tensor

/// A backend whose graphs are what another gets from heads over the wire: every tensor lies in a buffer, those that are
/// not needed at the same time over each other, and views are memory with a shape.
final class PlacingBackend: Backend {
    private final class PlacedPlan: Plan {
        let inner: any Plan
        let buffer: any Buffer
        let graph: Graph

        init(_ inner: any Plan, _ buffer: any Buffer, _ graph: Graph) {
            self.inner = inner
            self.buffer = buffer
            self.graph = graph
        }

        var computeByteCount: Int { buffer.byteCount }
    }

    private let whole: any Backend

    init(_ whole: any Backend) { self.whole = whole }

    var name: String { whole.name }
    var alignment: Int { whole.alignment }

    func memory() throws(BackendError) -> DeviceMemory { try whole.memory() }
    func allocate(byteCount: Int) throws(BackendError) -> any Buffer { try whole.allocate(byteCount: byteCount) }
    func load(
        _ tensors: [TensorUpload], isInVain: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (TransferProgress) -> Void
    ) throws(BackendError) -> [LoadedTensor] { try whole.load(tensors, isInVain: isInVain, progress: progress) }
    func supports(_ id: TensorID, of graph: Graph) -> Bool { whole.supports(id, of: graph) }

    func prepare(_ graph: Graph) throws(BackendError) -> any Plan {
        let memory: MemoryPlan
        do throws(GraphError) {
            memory = try MemoryPlan(graph, alignment: alignment)
        } catch {
            throw BackendError(error)
        }
        let buffer = try whole.allocate(byteCount: memory.byteCount)
        var placed = graph
        for index in graph.tensors.indices {
            let tensor = graph.tensors[index]
            if let offset = memory.offsets[index] {
                placed.tensors[index].storage = .placed(buffer, byteOffset: offset)
            } else if let view = tensor.view, case .placed(let own, let offset) = graph[view.root].storage {
                placed.tensors[index].storage = .placed(own, byteOffset: offset + view.byteOffset)
            }
            placed.tensors[index].view = nil
            if tensor.operation.isPureView {
                placed.tensors[index].operation = .none
                placed.tensors[index].sources = []
            }
        }
        placed.nodes = graph.nodes.filter { !graph[$0].operation.isPureView }
        return PlacedPlan(try whole.prepare(placed), buffer, placed)
    }

    func run(_ step: Step) throws(BackendError) {
        guard let plan = step.plan as? PlacedPlan else { throw BackendError(.invalidArgument, "the plan belongs to another backend") }
        for write in step.writes {
            guard case .placed(let buffer, let offset) = plan.graph[write.tensor].storage else { continue }
            try whole.write(write.bytes, to: buffer, at: offset + write.byteOffset)
        }
        try whole.run(Step(plan: plan.inner))
        for read in step.reads {
            guard case .placed(let buffer, let offset) = plan.graph[read.tensor].storage else { continue }
            try whole.read(buffer, at: offset + read.byteOffset, into: read.bytes)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
        try whole.write(bytes, to: buffer, at: byteOffset)
    }

    func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        try whole.read(buffer, at: byteOffset, into: bytes)
    }
}
