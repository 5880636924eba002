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
    public func node(_ name: String = "", _ operation: Operation, _ sources: [TensorID?]) -> TensorID {
        let known = sources.map { $0.map { graph[$0] } }
        do throws(GraphError) {
            let result = try operation.inferred(from: known, name: name)
            var tensor = Tensor(
                name: name, type: result.type, shape: result.shape, strides: result.strides, operation: operation,
                sources: sources, flags: .compute)
            if let target = result.viewOfSource, let id = sources[target] {
                tensor.view = view(of: id, addingOffset: 0)
            }
            return append(tensor, isNode: true)
        } catch {
            report(error)
            return sources.lazy.compactMap { $0 }.first ?? input(name, .f32, Shape(1))
        }
    }

    /// Adds a view of `source`'s memory; the offset counts from `source`'s first byte.
    public func view(
        _ name: String = "", of source: TensorID, shape: Shape, strides: Strides, byteOffset: Int = 0
    ) -> TensorID {
        let original = graph[source]
        let tensor = Tensor(
            name: name, type: original.type, shape: shape, strides: strides, operation: .view(byteOffset: byteOffset),
            sources: [source], view: view(of: source, addingOffset: byteOffset), flags: .compute)
        let available = original.byteExtent
        guard byteOffset >= 0, let extent = tensor.checkedByteExtent, extent <= available - byteOffset else {
            let message = "a view of shape \(shape) at byte \(byteOffset) leaves \"\(original.name)\" of \(available) bytes"
            report(GraphError(.extent, tensor: name, message))
            return source
        }
        return append(tensor, isNode: true)
    }

    /// Marks a tensor as read from outside after a run.
    public func markOutput(_ id: TensorID) { graph[id].flags.insert(.output) }

    /// Gives a tensor a name, for errors and traces.
    public func rename(_ id: TensorID, _ name: String) { graph[id].name = name }

    /// All of `source`'s bytes under another shape, without checks: for the reshaping operations.
    func shapedView(_ source: TensorID, _ operation: Operation, _ shape: Shape, _ strides: Strides) -> TensorID {
        let tensor = Tensor(
            name: "", type: graph[source].type, shape: shape, strides: strides, operation: operation,
            sources: [source], view: view(of: source, addingOffset: 0), flags: .compute)
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

    private func view(of source: TensorID, addingOffset offset: Int) -> Tensor.View {
        if let inner = graph[source].view {
            return Tensor.View(root: inner.root, byteOffset: inner.byteOffset + offset)
        }
        return Tensor.View(root: source, byteOffset: offset)
    }
}
