public import Tensor

/// Weights whose places were found one by one: some here, some on other machines.
public struct PlacedWeights: ModelWeights, Sendable {
    public struct Part: WeightSource, Sendable {
        fileprivate var weights: [String: Weight] = [:]

        public func weight(named name: String) -> Weight? { weights[name] }
    }

    private var parts: [ModelPart: Part] = [:]

    public init() {}

    public mutating func place(_ weight: Weight, in part: ModelPart) {
        parts[part, default: Part()].weights[weight.name] = weight
    }

    /// Places the weights of some parts on a backend of this process, which uses them where they are mapped.
    ///
    /// - Throws: `BackendError` where they cannot be taken over.
    public mutating func adopt(_ outline: ModelOutline, _ parts: [ModelPart], on backend: any Backend) throws(BackendError) {
        let files = try outline.file.parts.map { part throws(BackendError) in try backend.adopt(part.mapping) }
        for part in parts {
            for tensor in outline.tensors(of: part) {
                place(
                    Weight(
                        name: tensor.name, type: tensor.type, shape: tensor.shape, buffer: files[tensor.part],
                        byteOffset: tensor.byteOffset), in: part)
            }
        }
    }

    public func weights(of part: ModelPart) -> any WeightSource { parts[part] ?? Part() }
}
