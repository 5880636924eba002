internal import KernelTable
internal import Tensor

/// Turns a graph into phases, node by node, checking everything on the way.
///
/// What a node's operation demands of its sources is checked where its phases are made (`Operations/`), so nothing is
/// said to be supported that is not. Making phases touches no tensor's bytes.
struct PlanBuilder {
    let graph: Graph
    let backend: CPUBackend
    let threadCount: Int
    let storage = PlanStorage()

    /// Each tensor with its place; nil for leaves that nothing uses.
    private(set) var operands: [Operand?]
    private(set) var phases: [Phase] = []
    /// Bytes of each thread's own memory that the phases need.
    private(set) var scratchByteCount = 64
    /// Bytes of the arena.
    private(set) var byteCount = 0
    private var temporaries = TemporaryMemory()
    /// Whether the current node is only checked.
    private var isDiscarding = false
    private var arenaBase: UnsafeMutableRawPointer?
    /// Nanoseconds that all phases take, estimated: a phase of one piece is one thread's.
    private var time = 0

    /// Nodes that an earlier node's phases compute too.
    var isFused: [Bool]
    /// How many nodes read each tensor, views counted as readers.
    private(set) var useCounts: [Int]
    /// Memory that later nodes can use again, until something writes over it or over what it was made from.
    var shared = SharedResults()

    let vector: VectorTable
    let recurrence: RecurrenceTable
    let tables: ProductTable

    init(_ graph: Graph, for backend: CPUBackend, threadCount: Int) {
        self.graph = graph
        self.backend = backend
        self.threadCount = threadCount
        vector = backend.kernels.vector
        recurrence = backend.kernels.recurrence
        tables = backend.kernels.products
        operands = [Operand?](repeating: nil, count: graph.tensors.count)
        isFused = [Bool](repeating: false, count: graph.tensors.count)
        useCounts = [Int](repeating: 0, count: graph.tensors.count)
    }

    // MARK: The whole graph

    mutating func build(in arena: ReservedMemory) throws(BackendError) {
        let memory: MemoryPlan
        do throws(GraphError) {
            try graph.checked()
            memory = try MemoryPlan(graph, alignment: 64, padding: CPUBackend.padding)
        } catch {
            throw BackendError(error)
        }
        guard memory.byteCount <= arena.capacity / 2 else {
            throw BackendError(.outOfMemory, "the graph needs \(memory.byteCount) bytes for its tensors")
        }
        for node in graph.nodes {
            for case let source? in graph[node].sources { useCounts[source.index] += 1 }
        }
        arenaBase = arena.base
        temporaries = TemporaryMemory(start: memory.byteCount, limit: arena.capacity)
        for index in graph.tensors.indices {
            operands[index] = try place(TensorID(index)) { memory.offsets[$0.index].map { arena.base + $0 } }
        }
        for (position, node) in graph.nodes.enumerated() where !isFused[node.index] && graph[node].flags.contains(.compute) {
            temporaries.beginNode()
            // A result without elements needs no work, however many rows of none it has.
            let before = operands[node.index]?.isEmpty == true ? shared : nil
            isDiscarding = before != nil
            try addPhases(of: node, at: position)
            try checkWork(node)
            if let before { shared = before }
        }
        byteCount = temporaries.end
    }

    /// Bytes of tables of one plan: those of a prompt of 4096 tokens through 1,000 layers are a fifth of it.
    private static let storageLimit = 256 << 20

    /// Bytes of the plan itself: its tables, and about what tensors, phases and sections take.
    var planByteCount: Int { storage.byteCount + 1024 * graph.tensors.count + 512 * phases.count }

    /// Work can be far more than what memory bounds: strides of 0 ask for any amount over a few bytes.
    private func checkWork(_ node: TensorID) throws(BackendError) {
        guard storage.byteCount <= PlanBuilder.storageLimit else {
            throw BackendError(.outOfMemory, tensor: graph[node].name, "up to here the graph needs \(storage.byteCount) bytes of tables")
        }
        guard let limit = backend.processor.graphLimit, UInt64(time) > limit else { return }
        let seconds = Double(time / 1_000_000) / 1000
        let message = "up to here the graph is \(seconds) s of work; \(backend.processor.graphSeconds) s are allowed"
        throw BackendError(.tooMuchWork, tensor: graph[node].name, message)
    }

    /// Whether one node could be part of a plan; the rest of the graph is not looked at.
    mutating func checkNode(_ id: TensorID) throws(BackendError) {
        guard id.index >= 0, id.index < graph.tensors.count else {
            throw BackendError(.invalidGraph, "there is no tensor \(id.index)")
        }
        // Any address does, since nothing is computed.
        temporaries = TemporaryMemory(limit: Int.max / 2)
        arenaBase = backend.anyAddress
        for case let tensor? in [id] + graph[id].sources {
            guard tensor.index >= 0, tensor.index < graph.tensors.count else {
                throw BackendError(.invalidGraph, "there is no tensor \(tensor.index)")
            }
            try checkSize(tensor)
            operands[tensor.index] = Operand(tensor, graph[tensor], at: backend.anyAddress, writable: true)
        }
        if graph[id].operation.isView { return }
        do throws(GraphError) {
            _ = try graph.inferredResult(of: id)
        } catch {
            throw BackendError(error)
        }
        try addPhases(of: id, at: graph.nodes.count)
    }

    /// The tensor with its address, once its extent is known to lie inside of its memory.
    private func place(
        _ id: TensorID, planned: (TensorID) -> UnsafeMutableRawPointer?
    ) throws(BackendError) -> Operand? {
        let tensor = graph[id]
        let extent = try checkSize(id)
        var base: UnsafeMutableRawPointer
        var writable = true
        if case .placed(let buffer, let offset) = tensor.storage {
            (base, writable) = try address(of: id, in: buffer, at: offset, extent: extent)
        } else if let view = tensor.view {
            guard view.byteOffset >= 0 else { throw invalid(id, "it begins before the tensor that it views") }
            // A view without elements may say that it begins behind its root.
            let viewOffset = extent == 0 ? 0 : view.byteOffset
            if case .placed(let buffer, let offset) = graph[view.root].storage {
                let (start, overflow) = offset.addingReportingOverflow(viewOffset)
                guard !overflow else { throw invalid(id, "its offset overflows") }
                (base, writable) = try address(of: id, in: buffer, at: start, extent: extent)
            } else {
                let available = graph[view.root].byteExtent
                guard viewOffset <= available, extent <= available - viewOffset else {
                    throw invalid(id, "\(extent) bytes at \(viewOffset) leave the \(available) bytes it views")
                }
                guard let root = planned(view.root) else { return nil }
                base = root + viewOffset
            }
        } else {
            guard let own = planned(id) else { return nil }
            base = own
        }
        let alignment = tensor.type.isQuantized ? 1 : tensor.type.bytesPerBlock
        var lowBits = Int(bitPattern: base)
        for dimension in 0..<Shape.rank where tensor.shape[dimension] > 1 { lowBits |= tensor.strides[dimension] }
        guard lowBits & (alignment - 1) == 0 else {
            throw invalid(id, "its elements are not aligned to \(alignment) bytes")
        }
        return Operand(id, tensor, at: base, writable: writable)
    }

    /// The extent in bytes of a tensor that arithmetic on sizes cannot overflow with.
    @discardableResult
    private func checkSize(_ id: TensorID) throws(BackendError) -> Int {
        let tensor = graph[id]
        // Each extent too, since next to an extent of 0 the others are not bounded by the count.
        let longest = (0..<Shape.rank).reduce(0) { max($0, tensor.shape[$1]) }
        guard let extent = tensor.checkedByteExtent, let count = tensor.shape.checkedElementCount,
            max(count, longest) <= 1 << 44
        else {
            throw invalid(id, "shape \(tensor.shape) of \(tensor.type.name) with strides \(tensor.strides) has no size")
        }
        return extent
    }

    private func address(
        of id: TensorID, in buffer: any Buffer, at offset: Int, extent: Int
    ) throws(BackendError) -> (UnsafeMutableRawPointer, Bool) {
        let own = try backend.own(buffer, for: graph[id].name)
        guard offset >= 0, extent <= own.byteCount, offset <= own.byteCount - extent else {
            throw invalid(id, "\(extent) bytes at \(offset) leave its buffer of \(own.byteCount) bytes")
        }
        return (own.base + offset, own.isWritable)
    }

    // MARK: What operations ask for

    func invalid(_ id: TensorID, _ message: String) -> BackendError {
        BackendError(.invalidGraph, tensor: graph[id].name, message)
    }

    func unsupported(_ id: TensorID, _ why: String = "") -> BackendError {
        let tensor = graph[id]
        let types = tensor.sources.map { $0.map { graph[$0].type.name } ?? "none" }.joined(separator: ", ")
        let message = "no kernel for \(tensor.operation) of (\(types)) giving \(tensor.type.name)"
        return BackendError(.unsupported, tensor: tensor.name, why.isEmpty ? message : message + ": " + why)
    }

    /// The result's place, which must be writable.
    func output(_ id: TensorID) throws(BackendError) -> Operand {
        guard let operand = operands[id.index] else { throw invalid(id, "it has no memory") }
        guard operand.isWritable else { throw invalid(id, "it lies in a read-only buffer") }
        // Elements that share bytes could be more than memory bounds, and threads would race for them.
        guard operand.isEmpty || operand.extent / operand.rowCount >= operand.rowByteCount else {
            throw invalid(id, "its elements overlap: shape \(operand.shape) in \(operand.extent) bytes")
        }
        return operand
    }

    func source(_ id: TensorID, _ index: Int) throws(BackendError) -> Operand {
        guard let operand = try optionalSource(id, index) else { throw invalid(id, "it needs source \(index)") }
        return operand
    }

    func optionalSource(_ id: TensorID, _ index: Int) throws(BackendError) -> Operand? {
        let sources = graph[id].sources
        guard index < sources.count, let source = sources[index] else { return nil }
        guard let operand = operands[source.index] else { throw invalid(id, "source \(index) has no memory") }
        return operand
    }

    /// Asks for thread memory: the most that is asked for is what each thread gets.
    mutating func needScratch(_ bytes: Int) throws(BackendError) {
        guard bytes >= 0, bytes <= 1 << 30 else {
            throw BackendError(.outOfMemory, "an operation needs \(bytes) bytes for each thread")
        }
        scratchByteCount = max(scratchByteCount, bytes)
    }

    /// Memory for results that pass from one phase of the plan to a later one.
    mutating func temporary(_ bytes: Int, keep: Bool = false) throws(BackendError) -> UnsafeMutableRawBufferPointer {
        guard let offset = temporaries.take(bytes, keep: keep), let arenaBase else {
            throw BackendError(.outOfMemory, "no room for \(bytes) bytes between phases")
        }
        return UnsafeMutableRawBufferPointer(start: arenaBase + offset, count: bytes)
    }

    /// What an earlier node left under `key`, kept for the current one; nil if it is not there any more.
    mutating func reuse(_ key: SharedResults.Key) -> UnsafeMutableRawBufferPointer? {
        guard let place = shared.find(key), let start = place.baseAddress, let arenaBase else { return nil }
        let offset = start - UnsafeMutableRawPointer(arenaBase)
        temporaries.hold(offset..<(offset + place.count))
        return place
    }

    mutating func add(_ phase: Phase) {
        if phase.pieces <= 0 || isDiscarding { return }
        for write in phase.writes { shared.forget(overlapping: write) }
        let (sum, overflow) = time.addingReportingOverflow(max(0, phase.cost) / min(threadCount, phase.pieces))
        time = overflow ? Int.max : sum
        phases.append(phase)
    }

    /// A phase over `count` units of work that are split into ranges.
    mutating func addPhase(
        over count: Int, costPerUnit: Double, reads: [Range<UInt>], writes: [Range<UInt>],
        _ body: @escaping (Worker, Range<Int>) -> Void
    ) {
        if count <= 0 { return }
        let cost = Int(min(1e15, Double(count) * costPerUnit))
        let pieces = pieceCount(units: count, cost: cost)
        if pieces == 1 {
            add(Phase(body: { worker, _ in body(worker, 0..<count) }, pieces: 1, cost: cost, reads: reads, writes: writes))
            return
        }
        let quotient = count / pieces
        let rest = count % pieces
        let split: (Worker, Int) -> Void = { worker, piece in
            let start = piece &* quotient &+ min(piece, rest)
            body(worker, start..<(start &+ quotient &+ (piece < rest ? 1 : 0)))
        }
        add(Phase(body: split, pieces: pieces, cost: cost, reads: reads, writes: writes))
    }

    /// Into how many pieces work of `cost` nanoseconds is worth splitting.
    func pieceCount(units: Int, cost: Int) -> Int {
        if threadCount == 1 { return max(1, min(units, cost / 1_000_000)) }
        if cost < Schedule.worthSharing { return 1 }
        // A few pieces a thread even out what else the machine does; each long enough to be worth fetching, and short
        // enough to be waited for where a run is stopped.
        return max(1, min(units, max(threadCount * 6, cost / 10_000_000), max(threadCount, cost / 4000)))
    }
}
