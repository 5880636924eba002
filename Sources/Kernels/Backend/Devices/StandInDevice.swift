package import Tensor

/// The processor posing as a card, to try what cards need where there is none: memory of its own, that only ``write(_:to:at:)`` and
/// ``read(_:at:into:)`` reach and that weights are brought to, buffers of limited size, and few operations.
///
/// What it computes, it computes as the processor does, to the last bit.
package final class StandInDevice: Backend {
    /// What it can compute: what the first graphs of a new kind of device need, attention left out.
    package static let operations: Set<OperationKind> = [
        .add, .mul, .scale, .matMul, .rmsNorm, .rope, .getRows, .setRows, .cpy, .cont, .dup,
    ]

    private let processor: CPUBackend

    /// It has half of the memory that is free, or less if the settings say so.
    ///
    /// - Throws: `unsupported` for kernels that cannot run here, `outOfMemory`.
    package init(_ settings: DeviceSettings) throws(BackendError) {
        var limits = CPUBackend.Limits()
        limits.memory = min(settings.limits.memory ?? .max, SystemMemory.current().free / 2)
        limits.refusesOvercommitment = settings.limits.refusesOvercommitment
        limits.graphSeconds = settings.limits.graphSeconds
        processor = try CPUBackend(variant: settings.variant, threads: settings.threads, limits: limits)
    }

    private init(lane processor: CPUBackend) { self.processor = processor }

    package func makeLane() throws(BackendError) -> any Backend { StandInDevice(lane: try processor.lane()) }

    package var name: String { "stand-in for a card (\(processor.variant.name))" }
    package var alignment: Int { 256 }
    package var largestBuffer: Int { 1 << 30 }

    package func memory() throws(BackendError) -> DeviceMemory { try processor.memory() }

    // MARK: Buffers

    /// Memory of the device: nobody here sees its bytes.
    private final class Memory: Buffer {
        let inner: any Buffer
        let owner: StandInDevice

        init(_ inner: any Buffer, of owner: StandInDevice) {
            self.inner = inner
            self.owner = owner
        }

        var byteCount: Int { inner.byteCount }
        var backend: any Backend { owner }
        func discard() -> Bool { inner.discard() }
    }

    package func allocate(byteCount: Int) throws(BackendError) -> any Buffer {
        guard byteCount <= largestBuffer else {
            throw BackendError(.outOfMemory, "\(name) has buffers of at most \(largestBuffer) bytes, not \(byteCount)")
        }
        return Memory(try processor.allocate(byteCount: byteCount), of: self)
    }

    package func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
        try processor.write(bytes, to: own(buffer).inner, at: byteOffset)
    }

    package func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        try processor.read(own(buffer).inner, at: byteOffset, into: bytes)
    }

    private func own(_ buffer: any Buffer, for tensor: String? = nil) throws(BackendError) -> Memory {
        guard let mine = buffer as? Memory, mine.owner === self else {
            throw BackendError(.invalidArgument, tensor: tensor, "the buffer belongs to another backend")
        }
        return mine
    }

    // MARK: Plans

    /// Of these, the processor can compute whatever a fallback could, so kinds are all that is to be looked at.
    package func supports(_ id: TensorID, of graph: Graph) -> Bool {
        guard graph.tensors.indices.contains(id.index) else { return false }
        let operation = graph[id].operation
        return operation.isPureView || StandInDevice.operations.contains(operation.kind)
    }

    package func prepare(_ graph: Graph) throws(BackendError) -> any Plan {
        for id in graph.nodes where !supports(id, of: graph) && graph[id].operation != .none {
            let message = "\(name) cannot compute \(graph[id].operation.kind.rawValue)"
            throw BackendError(.unsupported, tensor: graph[id].name, message)
        }
        var inner = graph
        for index in graph.tensors.indices {
            guard case .placed(let buffer, let offset) = graph.tensors[index].storage else { continue }
            inner.tensors[index].storage = .placed(try own(buffer, for: graph.tensors[index].name).inner, byteOffset: offset)
        }
        return try processor.prepare(inner)
    }

    package func run(_ step: Step) throws(BackendError) { try processor.run(step) }

    package func computeByteCount() throws(BackendError) -> Int { try processor.computeByteCount() }

    package func cancel() { processor.cancel() }
}
