/// Nodes of a graph that one backend computes without a break.
struct NodeRun {
    var isOnPrimary: Bool
    /// Those that compute something, in order.
    var nodes: [TensorID] = []
}

extension Tensor {
    /// Whether a node does any work. Others are memory with a shape, and belong to whoever uses them.
    fileprivate var isComputed: Bool { flags.contains(.compute) && operation != .none && !operation.isPureView }
}

extension Graph {
    /// The nodes, cut where one backend has to take over from the other: as seldom as the order allows.
    ///
    /// - Parameter isOnPrimary: whether the primary can compute a node; if so it does.
    func runs(isOnPrimary: (TensorID) -> Bool) -> [NodeRun] {
        var runs: [NodeRun] = []
        for node in nodes where self[node].isComputed {
            let isOnPrimary = isOnPrimary(node)
            if runs.last?.isOnPrimary != isOnPrimary { runs.append(NodeRun(isOnPrimary: isOnPrimary)) }
            runs[runs.count - 1].nodes.append(node)
        }
        return runs
    }
}

/// Some nodes of a graph as a graph of its own, with what they read.
///
/// What other nodes compute is an input here, or stays in the buffer that it is placed in; views are nodes here too.
struct Excerpt {
    private(set) var graph = Graph()
    /// The tensors of the whole graph that are here, and what they are here.
    private(set) var ids: [TensorID: TensorID] = [:]
    let nodes: [TensorID]
    private let isOwn: Set<TensorID>

    /// O(what the nodes read).
    init(_ nodes: [TensorID], of whole: Graph, isNode: [Bool]) {
        self.nodes = nodes
        isOwn = Set(nodes)
        for node in nodes { include(node, of: whole, isNode) }
    }

    /// Whether this computes the tensor.
    func computes(_ id: TensorID) -> Bool { isOwn.contains(id) }

    /// Takes a tensor in, behind what it needs: sources of what is computed here and of views, and what it is a view of.
    private mutating func include(_ id: TensorID, of whole: Graph, _ isNode: [Bool]) {
        // A walk of its own rather than recursion: chains of views can be long.
        var path = [id]
        while let current = path.last {
            if ids[current] != nil {
                path.removeLast()
                continue
            }
            let tensor = whole[current]
            let isViewNode = isNode[current.index] && tensor.operation.isPureView
            let isActive = isViewNode || isOwn.contains(current)
            let needed = (isActive ? tensor.sources.compactMap { $0 } : []) + (tensor.view.map { [$0.root] } ?? [])
            let missing = needed.filter { ids[$0] == nil }
            if !missing.isEmpty {
                path += missing.reversed()
                continue
            }
            append(current, tensor, isActive: isActive)
            path.removeLast()
        }
    }

    private mutating func append(_ id: TensorID, _ original: Tensor, isActive: Bool) {
        var tensor = original
        if let view = original.view, let root = ids[view.root] { tensor.view?.root = root }
        if isActive {
            tensor.sources = original.sources.map { source in source.flatMap { ids[$0] } }
        } else {
            tensor.operation = .none
            tensor.sources = []
            tensor.flags.remove(.compute)
        }
        if case .planned = original.storage {
            // Outputs that others compute are none here.
            tensor.flags.remove(.output)
            if !isActive, original.view == nil { tensor.flags.insert(.input) }
        }
        let own = TensorID(graph.tensors.count)
        graph.tensors.append(tensor)
        if isActive { graph.nodes.append(own) }
        ids[id] = own
    }

    /// Takes in a tensor that no node here reads.
    mutating func include(_ id: TensorID, of whole: Graph) {
        if ids[id] == nil { append(id, whole[id], isActive: false) }
    }

    /// Has a tensor's memory left as it is to the end.
    mutating func markOutput(_ id: TensorID) {
        if let own = ids[id] { graph[own].flags.insert(.output) }
    }

    /// Changes where tensors are that are placed in buffers.
    mutating func place(_ move: (any Buffer, Int, Tensor) throws(BackendError) -> Tensor.Storage) throws(BackendError) {
        for index in graph.tensors.indices {
            guard case .placed(let buffer, let offset) = graph.tensors[index].storage else { continue }
            graph.tensors[index].storage = try move(buffer, offset, graph.tensors[index])
        }
    }
}
