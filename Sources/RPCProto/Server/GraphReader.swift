internal import Tensor

/// Makes a ``Graph`` of a message: every tensor placed, sources before their users.
///
/// Only nodes that are to be computed keep their operation. Whatever else is listed (views, nodes without the COMPUTE
/// flag, tensors of earlier graphs) is memory with a shape: the place that its record names counts, whatever the record
/// says of where it came from. Cost: O(tensors).
struct GraphReader {
    private let records: [UInt64: TensorRecord]
    private let buffers: BufferTable
    private let dialect: Dialect

    /// Nodes that may be listed however few tensors there are.
    private static let leastNodeLimit = 1 << 16

    private var graph = Graph()
    private var indices: [UInt64: TensorID] = [:]
    /// Handles of the buffers that the graph touches.
    private(set) var handles: Set<UInt64> = []

    private init(_ message: GraphMessage, _ buffers: BufferTable, _ dialect: Dialect) {
        records = Dictionary(message.tensors.lazy.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        self.buffers = buffers
        self.dialect = dialect
    }

    static func read(
        _ message: GraphMessage, _ buffers: BufferTable, _ dialect: Dialect
    ) throws(SessionError) -> (graph: Graph, handles: Set<UInt64>) {
        var reader = GraphReader(message, buffers, dialect)
        try reader.read(message.nodes)
        return (reader.graph, reader.handles)
    }

    private mutating func read(_ nodes: [UInt64]) throws(SessionError) {
        graph.tensors.reserveCapacity(records.count)
        var isNode = Set<UInt64>(minimumCapacity: nodes.count)
        for node in nodes where node != 0 {
            let record = try record(node, neededBy: "the list of nodes")
            guard try isComputed(record) else { continue }
            isNode.insert(node)
        }
        // An id is far smaller than what it makes.
        guard nodes.count <= max(GraphReader.leastNodeLimit, 2 * records.count) else {
            throw SessionError(.limit, nil, "\(nodes.count) nodes of \(records.count) tensors")
        }
        var isListed = Set<UInt64>(minimumCapacity: isNode.count)
        for node in nodes where isNode.contains(node) {
            if isListed.insert(node).inserted {
                try add(node, isNode)
            } else {
                // Listed again, it is computed again, into the same place: whoever measures an operation does that.
                try append(try record(node, neededBy: "the list of nodes"), isNode: true)
            }
            if let index = indices[node] { graph.nodes.append(index) }
        }
    }

    private func record(_ id: UInt64, neededBy user: @autoclosure () -> String) throws(SessionError) -> TensorRecord {
        guard let record = records[id] else {
            throw SessionError(.graph, nil, "there is no tensor \(id), which \(user()) names")
        }
        return record
    }

    private func isComputed(_ record: TensorRecord) throws(SessionError) -> Bool {
        guard TensorFlags(rawValue: record.flags).contains(.compute) else { return false }
        do {
            switch try dialect.table.kind(record.operation) {
            case .none, .reshape, .view, .permute, .transpose: return false
            default: return true
            }
        } catch {
            throw SessionError(.graph, nil, "tensor \"\(record.name)\": \(error)")
        }
    }

    /// Adds a tensor behind everything it reads. A walk of its own rather than recursion: a chain can be as long as the
    /// message.
    private mutating func add(_ id: UInt64, _ isNode: Set<UInt64>) throws(SessionError) {
        var path: [(id: UInt64, next: Int)] = [(id, 0)]
        var isOpen: Set<UInt64> = [id]
        while let (current, next) = path.last {
            if indices[current] != nil {
                path.removeLast()
                isOpen.remove(current)
                continue
            }
            let record = try record(current, neededBy: "the walk")
            let sources = isNode.contains(current) ? record.sources : []
            if next < sources.count {
                path[path.count - 1].next = next + 1
                let source = sources[next]
                // ggml's casts name themselves as what they are written into.
                if source == 0 || source == current || indices[source] != nil { continue }
                _ = try self.record(source, neededBy: "tensor \"\(record.name)\"")
                guard isOpen.insert(source).inserted else {
                    throw SessionError(.graph, nil, "tensor \"\(record.name)\" depends on itself")
                }
                path.append((source, 0))
                continue
            }
            try append(record, isNode: isNode.contains(current))
        }
    }

    private mutating func append(_ record: TensorRecord, isNode: Bool) throws(SessionError) {
        let layout = try record.layout()
        var tensor = Tensor(name: record.name, type: layout.type, shape: layout.shape, strides: layout.strides)
        if let place = try place(of: record, layout, isNode: isNode) {
            tensor.storage = .placed(place.entry.buffer, byteOffset: place.offset)
            handles.insert(place.entry.handle)
        } else {
            guard record.data == 0 || layout.extent == 0 || (dialect.hasForeignHandles && !isNode) else {
                throw SessionError(
                    .bounds, nil, "tensor \"\(record.name)\" has an address, but buffer \(record.buffer) is none of this session's")
            }
            guard !isNode || layout.extent == 0 else {
                throw SessionError(.graph, nil, "tensor \"\(record.name)\" is to be computed, but lies nowhere")
            }
        }
        if isNode {
            do {
                tensor.operation = try dialect.table.operation(
                    number: record.operation, parameters: record.parameters, shape: layout.shape)
            } catch {
                throw SessionError(.graph, nil, "tensor \"\(record.name)\": \(error)")
            }
            tensor.flags = TensorFlags(rawValue: record.flags).intersection([.compute, .output])
            tensor.sources = record.sources.map { $0 == 0 || $0 == record.id ? nil : indices[$0] }
        }
        indices[record.id] = TensorID(graph.tensors.count)
        graph.tensors.append(tensor)
    }

    /// Nil for what lies nowhere here. Another server's handle can be the same number as one of ours: where records may
    /// carry such, one that does not fit is taken for that, and left to whoever would read it.
    private func place(
        of record: TensorRecord, _ layout: TensorRecord.Layout, isNode: Bool
    ) throws(SessionError) -> BufferTable.Place? {
        do throws(SessionError) {
            return try buffers.placeIfAny(of: record, layout)
        } catch {
            if dialect.hasForeignHandles, !isNode { return nil }
            throw error
        }
    }
}
