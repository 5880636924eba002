public import Tensor

/// One tensor of a model's file, in a buffer of the backend that computes with it.
public struct Weight: Sendable {
    public var name: String
    public var type: ElementType
    public var shape: Shape
    public var buffer: any Buffer
    public var byteOffset: Int

    public init(name: String, type: ElementType, shape: Shape, buffer: any Buffer, byteOffset: Int) {
        self.name = name
        self.type = type
        self.shape = shape
        self.buffer = buffer
        self.byteOffset = byteOffset
    }
}

/// A piece of a model that can be computed somewhere else than the rest.
public enum ModelPart: Hashable, Sendable {
    /// From tokens to the first layer's input.
    case input
    case layer(Int)
    /// From the last layer's result to logits.
    case output
}

/// A model's weights, part by part: what two parts share may lie in two places.
public protocol ModelWeights {
    /// Where that part's weights are.
    func weights(of part: ModelPart) -> any WeightSource
}

/// The weights of one part by name. Architectures take what they need, with the shape they expect of it.
public protocol WeightSource {
    /// Nil if the file has no tensor of that name.
    func weight(named name: String) -> Weight?
}

extension WeightSource {
    /// The weight, or an error that names it and both shapes.
    func required(_ name: String, _ shape: Shape) throws(ModelError) -> Weight {
        guard let weight = try optional(name, shape) else {
            throw ModelError(.tensor, "the file has no tensor \"\(name)\", which this architecture needs")
        }
        return weight
    }

    /// The weight of the first name, or, in files that have none, of the other.
    func required(_ name: String, orElse other: String, _ shape: Shape) throws(ModelError) -> Weight {
        if let weight = try optional(name, shape) { return weight }
        return try required(other, shape)
    }

    func optional(_ name: String, _ shape: Shape) throws(ModelError) -> Weight? {
        guard let weight = weight(named: name) else { return nil }
        guard weight.shape == shape else {
            throw ModelError(.tensor, "tensor \"\(name)\" has the shape \(weight.shape) where \(shape) is expected")
        }
        return weight
    }
}

extension GraphBuilder {
    /// A weight as a leaf of the graph.
    func weight(_ weight: Weight) -> TensorID {
        placed(weight.name, weight.type, weight.shape, in: weight.buffer, at: weight.byteOffset)
    }
}
