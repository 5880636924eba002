internal import Tensor

/// Writes a ``Graph`` as the records of GRAPH_COMPUTE: the reverse of what a session reads.
///
/// A tensor's id is its index + 1. Sent are the nodes and what they read; a tensor that is listed but is no node of this
/// graph is memory with a shape. Places in compute memory are left open: they are filled in once it is known where that is.
struct GraphWriter {
    private let graph: Graph
    private let dialect: Dialect
    private let isNode: [Bool]
    private let isReached: [Bool]
    private let useCounts: [Int32]

    init(_ graph: Graph, _ dialect: Dialect) {
        self.graph = graph
        self.dialect = dialect
        var isNode = [Bool](repeating: false, count: graph.tensors.count)
        for id in graph.nodes { isNode[id.index] = true }
        var isReached = isNode
        var useCounts = [Int32](repeating: 0, count: graph.tensors.count)
        // What a tensor reads, and what it is a view of, comes before it.
        for index in graph.tensors.indices.reversed() where isReached[index] {
            if let view = graph.tensors[index].view { isReached[view.root.index] = true }
            guard isNode[index] else { continue }
            for case let source? in graph.tensors[index].sources {
                isReached[source.index] = true
                useCounts[source.index] &+= 1
            }
        }
        self.isNode = isNode
        self.isReached = isReached
        self.useCounts = useCounts
    }

    /// Whether the tensor is part of the message.
    func contains(_ id: TensorID) -> Bool { isReached[id.index] }

    /// A tensor as the wire has it; nowhere, if it lies in compute memory.
    ///
    /// - Throws: `unsupported` for what the wire, or this version of it, has no room for.
    func record(of id: TensorID) throws(BackendError) -> TensorRecord {
        let tensor = graph[id]
        var record = try TensorRecord(type: tensor.type, shape: tensor.shape, strides: tensor.strides, name: tensor.name)
        record.id = UInt64(id.index) + 1
        record.flags = tensor.flags.rawValue
        record.useCount = useCounts[id.index]
        if let view = tensor.view {
            record.viewSource = UInt64(view.root.index) + 1
            record.viewOffset = UInt64(view.byteOffset)
        }
        if isNode[id.index] {
            do throws(WireOperationError) {
                record.operation = try dialect.table.number(of: tensor.operation)
                record.parameters = try dialect.table.parameters(of: tensor.operation)
            } catch {
                throw BackendError(.unsupported, tensor: tensor.name, error.description)
            }
            guard tensor.sources.count <= TensorRecord.sourceCount else {
                throw BackendError(
                    .unsupported, tensor: tensor.name, "\(tensor.sources.count) sources; the wire has \(TensorRecord.sourceCount)")
            }
            record.sources = tensor.sources.map { $0.map { UInt64($0.index) + 1 } ?? 0 }
            // ggml's casts name themselves as what they are written into, and some servers look there.
            if case .cpy = tensor.operation, record.sources.count == 1 {
                record.sources.append(record.id)
                record.useCount &+= 1
            }
        } else {
            record.flags &= ~TensorFlags.compute.rawValue
        }
        let root = graph[graph.root(of: id)]
        if case .placed(let buffer, let offset) = root.storage, let place = buffer as? RPCBuffer {
            record.buffer = place.handle
            // Without elements it may be said to lie anywhere, but versions before 8.0 want that to be inside.
            let inner = tensor.byteExtent == 0 ? 0 : offset &+ (tensor.view?.byteOffset ?? 0)
            record.data = place.base &+ UInt64(inner)
        }
        return record
    }

    /// The whole request of GRAPH_COMPUTE.
    ///
    /// - Returns: the bytes, and where in them the record of each tensor begins that is in compute memory.
    func request(device: UInt32) throws(BackendError) -> (bytes: [UInt8], open: [(tensor: TensorID, position: Int)]) {
        let reached = graph.tensors.indices.filter { isReached[$0] }
        let listByteCount = graph.nodes.count * 8 + 4 + reached.count * TensorRecord.byteCount
        guard let nodeCount = UInt32(exactly: graph.nodes.count), let tensorCount = UInt32(exactly: reached.count) else {
            throw BackendError(.unsupported, "a graph of \(graph.nodes.count) nodes and \(reached.count) tensors")
        }
        let head = Request.computeGraph(device: device, uid: 0, nodeCount: nodeCount).encoded(tailByteCount: listByteCount, dialect)
        var writer = PackedWriter(reserving: head.count + listByteCount)
        writer.put(bytes: head)
        for node in graph.nodes { writer.put(UInt64(node.index) + 1) }
        writer.put(tensorCount)
        var open: [(tensor: TensorID, position: Int)] = []
        for index in reached {
            if case .planned = graph[graph.root(of: TensorID(index))].storage {
                open.append((TensorID(index), writer.bytes.count))
            }
            try record(of: TensorID(index)).write(to: &writer)
        }
        return (writer.bytes, open)
    }

    // MARK: Sizes

    /// The question of how much to allocate for a planned tensor, where stock clients ask it.
    func allocationQuestion(_ id: TensorID, device: UInt32) throws(BackendError) -> (question: AllocationQuestion, request: Request)? {
        let tensor = graph[id]
        let isPadded = tensor.type.isQuantized && tensor.shape[0] % TensorRecord.paddedElementCount != 0
        guard isPadded || (isNode[id.index] && dialect.mayExpand(tensor.operation)) else { return nil }
        let record = try record(of: id)
        var sources: [TensorRecord] = []
        for source in isNode[id.index] ? tensor.sources : [] {
            if let source { sources.append(try self.record(of: source)) } else { sources.append(.absent) }
        }
        let question = AllocationQuestion(
            type: tensor.type, operation: record.operation, parameters: record.parameters, shape: tensor.shape, strides: tensor.strides,
            sources: sources.map(AllocationQuestion.Source.init))
        return (question, .getAllocationSize(device: device, record, sources: sources))
    }
}

extension Dialect {
    /// Whether servers may want more memory for the operation's result than it has bytes. Facts: ggml's `ggml-rpc.cpp`.
    fileprivate func mayExpand(_ operation: Operation) -> Bool {
        switch operation {
        case .flashAttention, .matMulID: true
        case .matMul, .cumsum, .argsort, .topK: version.major >= 7
        default: false
        }
    }
}

extension TensorRecord {
    /// Rows of quantized tensors that are no multiple of this may be padded by a server.
    static let paddedElementCount = 512

    /// - Throws: `unsupported` where the wire's 32 bits do not suffice.
    init(type: ElementType, shape: Shape, strides: Strides, name: String) throws(BackendError) {
        self.init()
        self.type = type.rawValue
        self.name = name
        for dimension in 0..<Shape.rank {
            guard let extent = UInt32(exactly: shape[dimension]) else {
                throw BackendError(.unsupported, tensor: name, "its shape \(shape) does not fit the wire's 32 bits")
            }
            extents[dimension] = extent
            // Along one element, or none, nobody steps.
            let steps = dimension == 0 ? shape[0] / type.elementsPerBlock : shape[dimension]
            guard steps <= 1 || shape.isEmpty || UInt32(exactly: strides[dimension]) != nil else {
                throw BackendError(.unsupported, tensor: name, "its strides \(strides) do not fit the wire's 32 bits")
            }
            self.strides[dimension] = UInt32(truncatingIfNeeded: strides[dimension])
        }
    }

    /// So many bytes of a buffer, as a tensor of one dimension.
    init(bytes count: Int, buffer: UInt64, address: UInt64) {
        self.init()
        type = ElementType.i8.rawValue
        self.buffer = buffer
        data = address
        extents[0] = UInt32(clamping: count)
        let size = extents[0]
        strides = SIMD4(1, size, size, size)
        id = 1
    }
}
