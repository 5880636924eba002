public import Tensor

// From a graph to the messages that run it.
extension RPCBackend {
    /// Nodes that a server may compute as one, so that the first's sources are read while the last's result is written:
    /// memory is used again no sooner.
    package static let fusedNodeCount = 4

    /// Whether the wire can carry the node; that the server computes it, nobody says before it does.
    public func supports(_ id: TensorID, of graph: Graph) -> Bool {
        guard graph.tensors.indices.contains(id.index) else { return false }
        switch graph[id].operation {
        case .mapCustom1, .mapCustom2, .mapCustom3, .custom: return false
        default: break
        }
        do throws(BackendError) {
            _ = try GraphWriter(Graph(tensors: graph.tensors, nodes: [id]), connection.dialect).record(of: id)
            return true
        } catch {
            return false
        }
    }

    /// Asks the server for the sizes that it alone knows, and takes the memory that the plan needs.
    public func prepare(_ graph: Graph) throws(BackendError) -> any Plan {
        do throws(GraphError) { try graph.checked() } catch { throw BackendError(error) }
        try checkBuffers(graph)
        let writer = GraphWriter(graph, connection.dialect)
        let sizes = try allocationSizes(of: graph, writer)
        let layout: MemoryPlan
        do throws(GraphError) {
            layout = try MemoryPlan(graph, alignment: alignment, byteCounts: sizes, rest: RPCBackend.fusedNodeCount)
        } catch {
            throw BackendError(error)
        }
        let plan = try RPCPlan(graph, writer, layout, of: self, serial: connection.nextSerial())
        if plan.computeByteCount > 0 { try reserve(computeByteCount: plan.computeByteCount) }
        return plan
    }

    private func checkBuffers(_ graph: Graph) throws(BackendError) {
        for tensor in graph.tensors {
            if case .placed(let buffer, _) = tensor.storage { _ = try own(buffer, for: tensor.name) }
        }
        for id in graph.nodes {
            let tensor = graph[id]
            switch tensor.operation {
            case .none, .reshape, .view, .permute, .transpose: continue
            case .mapCustom1, .mapCustom2, .mapCustom3, .custom:
                throw BackendError(.unsupported, tensor: tensor.name, "\(tensor.operation.kind.rawValue) cannot travel")
            default: break
            }
            guard case .placed(let buffer, _) = graph[graph.root(of: id)].storage else { continue }
            guard try own(buffer, for: tensor.name).isWritable else {
                throw BackendError(.invalidArgument, tensor: tensor.name, "its buffer is read-only")
            }
        }
    }

    /// What planned tensors take where that is more than their bytes, by their index.
    private func allocationSizes(of graph: Graph, _ writer: GraphWriter) throws(BackendError) -> [Int: Int] {
        var questions: [(question: AllocationQuestion, request: Request, byteCount: Int)] = []
        var tensors: [Int] = []
        for index in graph.tensors.indices {
            let tensor = graph.tensors[index]
            guard tensor.view == nil, case .planned = tensor.storage, writer.contains(TensorID(index)) else { continue }
            guard let (question, request) = try writer.allocationQuestion(TensorID(index), device: state.number) else { continue }
            questions.append((question, request, tensor.byteExtent))
            tensors.append(index)
        }
        if questions.isEmpty { return [:] }
        let sizes = try connection.exchange(within: connection.limits.answer) { pipeline throws(BackendError) in
            try state.allocationSizes(questions, pipeline)
        }
        return Dictionary(uniqueKeysWithValues: zip(tensors, sizes))
    }
}
