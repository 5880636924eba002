internal import Synchronization

/// A device that can do only some operations, made whole by one that can do all: its memory and most of the work are the
/// primary's, what the primary lacks the fallback computes.
///
/// A graph is cut where the one has to take over from the other, once, when it is prepared. Values go over this process's
/// memory; tensors placed in buffers, which are the primary's memory, the fallback works on in copies of its own. Copies of
/// what no graph writes (weights) are fetched once.
public final class SplitBackend: Backend {
    let primary: any Backend
    let fallback: any Backend
    private let isCancelled = Atomic(false)
    private let running = Mutex<Void>(())
    private let values = PassedValues()

    /// - Parameter fallback: able to compute everything, in this process, and nobody else's (a lane of the processor, say):
    ///   ``cancel()`` stops it too.
    public init(_ primary: any Backend, fallback: any Backend) {
        self.primary = primary
        self.fallback = fallback
    }

    /// A lane of each.
    public func makeLane() throws(BackendError) -> any Backend {
        SplitBackend(try primary.makeLane(), fallback: try fallback.makeLane())
    }

    public var name: String { primary.name }
    public var alignment: Int { max(primary.alignment, fallback.alignment) }
    public var largestBuffer: Int { primary.largestBuffer }
    public var traits: BackendTraits { primary.traits }

    public func memory() throws(BackendError) -> DeviceMemory { try primary.memory() }

    public func reserve(computeByteCount: Int) throws(BackendError) {
        try primary.reserve(computeByteCount: computeByteCount)
        try fallback.reserve(computeByteCount: computeByteCount)
    }

    public func computeByteCount() throws(BackendError) -> Int { try primary.computeByteCount() }

    public func cancel() {
        isCancelled.store(true, ordering: .relaxed)
        primary.cancel()
        fallback.cancel()
    }

    func checkCancellation() throws(BackendError) {
        if isCancelled.load(ordering: .relaxed) { throw BackendError(.cancelled, "computing was stopped") }
    }

    // MARK: Buffers

    public func allocate(byteCount: Int) throws(BackendError) -> any Buffer {
        SplitBuffer(try primary.allocate(byteCount: byteCount), of: self)
    }

    /// Weights go to the primary; the fallback, where it needs them, loads what they were loaded from.
    public func load(
        _ tensors: [TensorUpload], isInVain: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (TransferProgress) -> Void
    ) throws(BackendError) -> [LoadedTensor] {
        let loaded = try primary.load(tensors, isInVain: isInVain, progress: progress)
        var sources: [ObjectIdentifier: [SplitBuffer.Source]] = [:]
        for (tensor, place) in zip(tensors, loaded) {
            let bytes = place.byteOffset..<(place.byteOffset + tensor.content.bytes.count)
            sources[ObjectIdentifier(place.buffer), default: []].append(SplitBuffer.Source(bytes: bytes, tensor: tensor))
        }
        var buffers: [ObjectIdentifier: SplitBuffer] = [:]
        for place in loaded where buffers[ObjectIdentifier(place.buffer)] == nil {
            let id = ObjectIdentifier(place.buffer)
            buffers[id] = SplitBuffer(place.buffer, of: self, sources: sources[id] ?? [])
        }
        return loaded.map { LoadedTensor(buffer: buffers[ObjectIdentifier($0.buffer)] ?? $0.buffer, byteOffset: $0.byteOffset) }
    }

    public func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
        let target = try own(buffer)
        if target.isReadOnly { throw BackendError(.invalidArgument, "the buffer is read-only") }
        guard byteOffset >= 0, bytes.count <= target.byteCount, byteOffset <= target.byteCount - bytes.count else {
            let message = "\(bytes.count) bytes at \(byteOffset) leave a buffer of \(target.byteCount) bytes"
            throw BackendError(.invalidArgument, message)
        }
        // Told afterwards, so that nobody takes the bytes that were there before for new ones.
        defer { target.bytesChanged(in: [byteOffset..<(byteOffset + bytes.count)]) }
        try primary.write(bytes, to: target.inner, at: byteOffset)
    }

    public func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        try primary.read(own(buffer).inner, at: byteOffset, into: bytes)
    }

    /// `buffer` as one of this backend's.
    func own(_ buffer: any Buffer, for tensor: String? = nil) throws(BackendError) -> SplitBuffer {
        guard let mine = buffer as? SplitBuffer, mine.owner === self else {
            throw BackendError(.invalidArgument, tensor: tensor, "the buffer belongs to another backend")
        }
        return mine
    }

    // MARK: Plans

    public func supports(_ id: TensorID, of graph: Graph) -> Bool {
        guard graph.tensors.indices.contains(id.index) else { return false }
        let near = [id] + graph[id].sources.compactMap { $0 }
        guard near.allSatisfy({ graph.tensors.indices.contains($0.index) && graph.tensors.indices.contains(graph.root(of: $0).index) })
        else { return false }
        guard let inner = try? onPrimary(graph) else { return false }
        // What is in buffers the fallback has in memory of its own, wherever that will be.
        var outer = graph
        for index in near.flatMap({ [$0.index, graph.root(of: $0).index] }) { outer.tensors[index].storage = .planned }
        return primary.supports(id, of: inner) || fallback.supports(id, of: outer)
    }

    public func prepare(_ graph: Graph) throws(BackendError) -> any Plan {
        do throws(GraphError) {
            try graph.checked()
        } catch {
            throw BackendError(error)
        }
        let inner = try onPrimary(graph)
        let runs = graph.runs { primary.supports($0, of: inner) }
        let changes = try runs.map { run throws(BackendError) in try changedBytes(by: run.nodes, of: graph) }
        if runs.allSatisfy(\.isOnPrimary) {
            return SplitPlan(self, graph, .whole(try primary.prepare(inner), changes.first ?? []))
        }
        var cutting = Cutting(graph, runs, for: self)
        return SplitPlan(self, graph, .cut(try cutting.cut(changing: changes)))
    }

    /// The graph with its placed tensors in the primary's buffers.
    private func onPrimary(_ graph: Graph) throws(BackendError) -> Graph {
        var inner = graph
        for index in graph.tensors.indices {
            guard case .placed(let buffer, let offset) = graph.tensors[index].storage else { continue }
            inner.tensors[index].storage = .placed(try own(buffer, for: graph.tensors[index].name).inner, byteOffset: offset)
        }
        return inner
    }

    /// Where a tensor is in a buffer; nil for those that are in none or have no bytes.
    func place(of id: TensorID, in graph: Graph) throws(BackendError) -> (buffer: SplitBuffer, bytes: Range<Int>)? {
        let tensor = graph[id]
        let extent = tensor.byteExtent
        guard extent > 0, case .placed(let buffer, let offset) = graph[graph.root(of: id)].storage else { return nil }
        let start = offset + (tensor.view?.byteOffset ?? 0)
        return (try own(buffer, for: tensor.name), start..<(start + extent))
    }

    /// What computing these nodes changes in buffers.
    private func changedBytes(by nodes: [TensorID], of graph: Graph) throws(BackendError) -> [BufferBytes] {
        var changes = BytesByBuffer()
        for node in nodes {
            guard let place = try place(of: node, in: graph) else { continue }
            if place.buffer.isReadOnly { throw BackendError(.invalidGraph, tensor: graph[node].name, "it lies in a read-only buffer") }
            changes.insert(place.bytes, of: place.buffer)
        }
        return changes.list
    }

    // MARK: Running

    public func run(_ step: Step) throws(BackendError) {
        guard let plan = step.plan as? SplitPlan, plan.owner === self else {
            throw BackendError(.invalidArgument, "the plan belongs to another backend")
        }
        try running.withLock { _ throws(BackendError) in
            try checkCancellation()
            switch plan.content {
            case .whole(let inner, let changes):
                defer {
                    for change in changes { change.buffer.bytesChanged(in: change.bytes, isRepeated: true) }
                    plan.note(step.writes)
                }
                try primary.run(Step(writes: step.writes, plan: inner, reads: step.reads))
            case .cut(let cut):
                try plan.run(step, cut, values)
            }
        }
    }
}

/// Bytes of a buffer.
struct BufferBytes: Sendable {
    var buffer: SplitBuffer
    var bytes: RangeSet<Int>
}

/// Bytes of several buffers.
struct BytesByBuffer {
    private var indices: [ObjectIdentifier: Int] = [:]
    private(set) var list: [BufferBytes] = []

    subscript(buffer: SplitBuffer) -> RangeSet<Int> {
        indices[ObjectIdentifier(buffer)].map { list[$0].bytes } ?? RangeSet()
    }

    mutating func insert(_ range: Range<Int>, of buffer: SplitBuffer) { insert(RangeSet(range), of: buffer) }

    mutating func insert(_ ranges: RangeSet<Int>, of buffer: SplitBuffer) {
        if let index = indices[ObjectIdentifier(buffer)] {
            list[index].bytes.formUnion(ranges)
        } else {
            indices[ObjectIdentifier(buffer)] = list.count
            list.append(BufferBytes(buffer: buffer, bytes: ranges))
        }
    }
}
