/// Writes a ``Graph`` down the way a paper draws it: every call adds one tensor and returns its place.
///
/// Shapes are inferred and checked as tensors are added. The first error is kept and thrown by ``finish()``; until then
/// calls after it go on with what they have, so that model code needs no `try` on every line.
///
/// Not for sharing between threads.
public final class GraphBuilder {
    public private(set) var graph = Graph()
    public private(set) var firstError: GraphError?

    public init() {}

    /// The graph, or the first error of its making.
    public func finish() throws(GraphError) -> Graph {
        if let firstError { throw firstError }
        return graph
    }

    public subscript(id: TensorID) -> Tensor { graph[id] }

    /// Keeps the first of all errors.
    public func report(_ error: GraphError) {
        if firstError == nil { firstError = error }
    }

    // MARK: Leaves

    /// A tensor that is written before each run.
    public func input(_ name: String, _ type: ElementType, _ shape: Shape) -> TensorID {
        append(Tensor(name: name, type: type, shape: shape, flags: .input), isNode: false)
    }

    /// A tensor that lives in a buffer: weights, a cache.
    public func placed(
        _ name: String, _ type: ElementType, _ shape: Shape, strides: Strides? = nil, in buffer: any Buffer,
        at byteOffset: Int
    ) -> TensorID {
        let storage = Tensor.Storage.placed(buffer, byteOffset: byteOffset)
        return append(Tensor(name: name, type: type, shape: shape, strides: strides, storage: storage), isNode: false)
    }

    // MARK: Nodes

    /// Adds a node that computes `operation` over `sources`, its type and shape inferred.
    ///
    /// - Parameter declared: the result's type and shape, for operations that leave them open.
    public func node(
        _ name: String = "", _ operation: Operation, _ sources: [TensorID?], declared: Operation.Declaration? = nil
    ) -> TensorID {
        let known = sources.map { $0.map { graph[$0] } }
        do throws(GraphError) {
            let result = try operation.inferred(from: known, declared: declared, name: name)
            var tensor = Tensor(
                name: name, type: result.type, shape: result.shape, strides: result.strides, operation: operation,
                sources: sources, flags: .compute)
            if let target = result.viewOfSource, let id = sources[target] {
                tensor.view = sameView(as: id)
            }
            return append(tensor, isNode: true)
        } catch {
            report(error)
            return sources.lazy.compactMap { $0 }.first ?? input(name, .f32, Shape(1))
        }
    }

    /// Adds a view of `source`'s memory; the offset counts from `source`'s first byte.
    ///
    /// It may reach past `source`, but not past the tensor whose memory `source` is a view of. Where it has no elements it
    /// may begin anywhere, so that a step without tokens needs no graph of another form.
    public func view(
        _ name: String = "", of source: TensorID, shape: Shape, strides: Strides, byteOffset: Int = 0
    ) -> TensorID {
        let original = graph[source]
        let inner = original.view?.byteOffset ?? 0
        let available = graph[graph.root(of: source)].byteExtent
        var tensor = Tensor(
            name: name, type: original.type, shape: shape, strides: strides, operation: .view(byteOffset: byteOffset),
            sources: [source], flags: .compute)
        let (begin, overflow) = inner.addingReportingOverflow(byteOffset)
        guard byteOffset >= 0, !overflow, let extent = tensor.checkedByteExtent,
            extent == 0 || (begin <= available && extent <= available - begin)
        else {
            let message = "a view of shape \(shape) at byte \(byteOffset) of \"\(original.name)\" leaves its \(available) bytes"
            report(GraphError(.extent, tensor: name, message))
            return source
        }
        tensor.view = Tensor.View(root: graph.root(of: source), byteOffset: begin)
        return append(tensor, isNode: true)
    }

    /// Marks a tensor as read from outside after a run.
    public func markOutput(_ id: TensorID) { graph[id].flags.insert(.output) }

    /// All of `source`'s bytes under another shape, without checks: for the reshaping operations.
    func shapedView(_ source: TensorID, _ operation: Operation, _ shape: Shape, _ strides: Strides) -> TensorID {
        let tensor = Tensor(
            name: "", type: graph[source].type, shape: shape, strides: strides, operation: operation,
            sources: [source], view: sameView(as: source), flags: .compute)
        return append(tensor, isNode: true)
    }

    // MARK: Inside

    private func append(_ tensor: Tensor, isNode: Bool) -> TensorID {
        let id = TensorID(graph.tensors.count)
        graph.tensors.append(tensor)
        if isNode { graph.nodes.append(id) }
        if tensor.checkedByteExtent == nil {
            report(GraphError(.extent, tensor: tensor.name, "shape \(tensor.shape) of \(tensor.type.name) has no size"))
        }
        return id
    }

    /// The view that begins where `source` begins.
    private func sameView(as source: TensorID) -> Tensor.View {
        graph[source].view ?? Tensor.View(root: source, byteOffset: 0)
    }
}
