internal import Tensor

/// A graph as a server wants it, encoded once: where compute memory moves, its addresses are put in again.
final class RPCPlan: Plan, @unchecked Sendable {
    // Sendable: what changes is used by whoever holds the connection's lock; the rest is constant.

    let computeByteCount: Int
    let device: RemoteDevice
    /// Distinguishes plans of a connection.
    let serial: UInt64
    let hasNodes: Bool
    /// Multiplications in one run.
    let work: Double
    /// GRAPH_COMPUTE, whole.
    let message: MemoryBlock
    /// GRAPH_RECOMPUTE with the graph's number.
    let recompute: MemoryBlock
    /// Under which of the kept graphs it was sent last.
    var slot: Int?

    /// Where steps may write and read.
    struct Operand {
        /// The buffer that holds it; 0 for compute memory.
        var handle: UInt64
        /// From the buffer's first byte in compute memory, else the address.
        var position: UInt64
        var byteExtent: Int
        var isWritable: Bool
        var isReadable: Bool
        /// Whether it is a tensor of its own in compute memory, so that what lies behind it up to the alignment is nobody's.
        var isPlannedRoot: Bool
    }

    private let operands: [Operand?]
    private let hasGraphNumbers: Bool
    /// Records of tensors in compute memory: where in the message they begin, and where in the memory the tensors do.
    private let openRecords: [(position: Int, offset: UInt64)]
    private let backend: RPCBackend
    /// Keeps the buffers whose addresses the message has.
    private let buffers: [RPCBuffer]
    private(set) var memory = RemoteDevice.Memory(handle: 0, base: 0, byteCount: 0)
    private(set) var generation: UInt64 = 0
    private var exchange: StepExchange?

    /// - Parameter graph: checked.
    init(_ graph: Graph, _ writer: GraphWriter, _ layout: MemoryPlan, of backend: RPCBackend, serial: UInt64) throws(BackendError) {
        self.backend = backend
        self.serial = serial
        let device = backend.state
        self.device = device
        hasNodes = !graph.nodes.isEmpty
        work = graph.work
        hasGraphNumbers = backend.connection.dialect.hasGraphNumbers
        let (bytes, open) = try writer.request(device: device.number)
        message = MemoryBlock(bytes)
        recompute = MemoryBlock(Request.recomputeGraph(device: device.number, uid: 0).encoded(backend.connection.dialect))
        openRecords = open.map { tensor, position in
            (position, UInt64(graph[tensor].byteExtent == 0 ? 0 : layout.offsets[tensor.index] ?? 0))
        }
        var found: [ObjectIdentifier: RPCBuffer] = [:]
        for tensor in graph.tensors {
            if case .placed(let buffer, _) = tensor.storage, let own = buffer as? RPCBuffer { found[ObjectIdentifier(own)] = own }
        }
        buffers = Array(found.values)
        operands = graph.tensors.indices.map { RPCPlan.operand(TensorID($0), graph, layout) }
        let isPlanning = !open.isEmpty || operands.contains { $0?.handle == 0 }
        computeByteCount = isPlanning ? max(layout.byteCount, device.alignment) : 0
    }

    private static func operand(_ id: TensorID, _ graph: Graph, _ layout: MemoryPlan) -> Operand? {
        let tensor = graph[id]
        let root = graph[graph.root(of: id)]
        let extent = tensor.byteExtent
        switch root.storage {
        case .placed(let buffer, let offset):
            guard let own = buffer as? RPCBuffer else { return nil }
            let inner = extent == 0 ? 0 : offset &+ (tensor.view?.byteOffset ?? 0)
            return Operand(
                handle: own.handle, position: own.base &+ UInt64(inner), byteExtent: extent, isWritable: own.isWritable, isReadable: true,
                isPlannedRoot: false)
        case .planned:
            guard let offset = layout.offsets[id.index] else { return nil }
            return Operand(
                handle: 0, position: UInt64(extent == 0 ? 0 : offset), byteExtent: extent, isWritable: root.operation == .none,
                isReadable: root.flags.contains(.output) || tensor.flags.contains(.output), isPlannedRoot: tensor.view == nil)
        }
    }

    // MARK: Under the connection's lock

    /// A byte of memory that the graph touches; nil where it has none.
    var barrier: TensorRecord? {
        if memory.handle != 0 { return TensorRecord(bytes: 1, buffer: memory.handle, address: memory.base) }
        return buffers.first.map { TensorRecord(bytes: 1, buffer: $0.handle, address: $0.base) }
    }

    /// Puts the addresses of compute memory in, where they are others than before.
    func settle(in compute: (memory: RemoteDevice.Memory, generation: UInt64)) {
        if generation == compute.generation { return }
        generation = compute.generation
        memory = compute.memory
        slot = nil
        exchange = nil
        for (position, offset) in openRecords {
            message.put(memory.handle, at: position + TensorRecord.bufferPosition)
            message.put(memory.base &+ offset, at: position + TensorRecord.dataPosition)
        }
    }

    /// Puts the number in by which the server is to keep the graph.
    func setGraphNumber(_ number: UInt64) {
        guard hasGraphNumbers else { return }
        // Behind the command, the size and the device.
        message.put(number, at: 13)
        recompute.put(number, at: 13)
    }

    /// The messages of a step; those of the last, where they are the same.
    func exchange(for step: Step) throws(BackendError) -> StepExchange {
        if let exchange, exchange.fits(step) { return exchange }
        let new = try StepExchange(step, of: self, backend.connection.dialect)
        exchange = new
        return new
    }

    /// A part of a tensor, for a step's writes and reads.
    func operand(_ id: TensorID, at byteOffset: Int, count: Int, isWriting: Bool) throws(BackendError) -> Operand {
        guard operands.indices.contains(id.index) else {
            throw BackendError(.invalidArgument, "the plan has no tensor \(id.index)")
        }
        guard let operand = operands[id.index] else {
            throw BackendError(.invalidArgument, "nothing computes or reads tensor \(id.index)")
        }
        guard byteOffset >= 0, count <= operand.byteExtent, byteOffset <= operand.byteExtent - count else {
            let message = "tensor \(id.index): \(count) bytes at \(byteOffset) leave its \(operand.byteExtent) bytes"
            throw BackendError(.invalidArgument, message)
        }
        guard isWriting ? operand.isWritable : operand.isReadable else {
            let why =
                isWriting ? "is computed or read-only, so it cannot be written" : "is no output, so its memory may have been used again"
            throw BackendError(.invalidArgument, "tensor \(id.index) \(why)")
        }
        return operand
    }
}

extension TensorRecord {
    /// Where in a record the buffer's handle and the address are.
    static let bufferPosition = 12
    static let dataPosition = 220
}
