/// A computation as a value: tensors, and which of them to compute in which order.
///
/// Everything that can run a graph is a ``Backend``; a graph knows none of them. Build one with ``GraphBuilder``,
/// or, for graphs from outside, from records that were checked one by one.
public struct Graph: Sendable {
    /// All tensors: leaves (weights, inputs, caches) and nodes. A tensor's sources have lower indices than itself.
    public var tensors: [Tensor]

    /// What to compute, in order. Views and reshapes are listed too and cost nothing.
    public var nodes: [TensorID]

    public init(tensors: [Tensor] = [], nodes: [TensorID] = []) {
        self.tensors = tensors
        self.nodes = nodes
    }

    public subscript(id: TensorID) -> Tensor {
        get { tensors[id.index] }
        set { tensors[id.index] = newValue }
    }

    /// The tensor whose memory `id` uses: itself, or the root of the view that it is.
    public func root(of id: TensorID) -> TensorID { tensors[id.index].view?.root ?? id }
}

/// Why a graph cannot be.
public struct GraphError: Error, Hashable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// The operation is not defined for sources of these shapes.
        case shape
        /// The operation is not defined for sources of these types.
        case type
        /// A parameter lies outside of what the operation allows.
        case parameter
        /// A view or a size reaches beyond its memory, or overflows.
        case extent
        /// The graph's lists contradict themselves: an unknown tensor, a source after its user.
        case structure
    }

    public var code: Code
    /// The name of the tensor that could not be made.
    public var tensor: String
    /// What was wrong, with the figures.
    public var message: String

    public init(_ code: Code, tensor: String, _ message: String) {
        self.code = code
        self.tensor = tensor
        self.message = message
    }

    public var description: String { "tensor \"\(tensor)\": \(message)" }
}
