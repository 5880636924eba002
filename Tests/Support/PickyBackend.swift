import Synchronization
package import Tensor

/// A device that refuses graphs with certain operations, as those of others have some that they cannot do; notes what it
/// has computed.
package final class PickyBackend: Backend {
    private let whole: any Backend
    private let refused: Set<OperationKind>
    private let prepared = Mutex<Set<OperationKind>>([])

    package init(_ whole: any Backend, refusing refused: Set<OperationKind>) {
        self.whole = whole
        self.refused = refused
    }

    /// Operations of all graphs so far.
    package var operations: Set<OperationKind> { prepared.withLock { $0 } }

    package var name: String { whole.name }
    package var alignment: Int { whole.alignment }
    package var largestBuffer: Int { whole.largestBuffer }
    package var traits: BackendTraits { whole.traits }

    package func memory() throws(BackendError) -> DeviceMemory { try whole.memory() }
    package func allocate(byteCount: Int) throws(BackendError) -> any Buffer { try whole.allocate(byteCount: byteCount) }
    package func load(
        _ tensors: [TensorUpload], isInVain: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (TransferProgress) -> Void
    ) throws(BackendError) -> [LoadedTensor] { try whole.load(tensors, isInVain: isInVain, progress: progress) }

    package func supports(_ id: TensorID, of graph: Graph) -> Bool {
        !refused.contains(graph[id].operation.kind) && whole.supports(id, of: graph)
    }

    package func prepare(_ graph: Graph) throws(BackendError) -> any Plan {
        for id in graph.nodes where refused.contains(graph[id].operation.kind) && !graph[id].operation.isPureView {
            throw BackendError(.unsupported, tensor: graph[id].name, "this device has no \(graph[id].operation.kind.rawValue)")
        }
        prepared.withLock { $0.formUnion(graph.nodes.map { graph[$0].operation.kind }) }
        return try whole.prepare(graph)
    }

    package func reserve(computeByteCount: Int) throws(BackendError) { try whole.reserve(computeByteCount: computeByteCount) }
    package func run(_ step: Step) throws(BackendError) { try whole.run(step) }

    package func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
        try whole.write(bytes, to: buffer, at: byteOffset)
    }

    package func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        try whole.read(buffer, at: byteOffset, into: bytes)
    }

    package func cancel() { whole.cancel() }
}
