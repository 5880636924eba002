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

    /// Places the weights of a part where they were loaded.
    ///
    /// - Parameter places: in the order of the part's tensors.
    public mutating func place(_ part: ModelPart, of outline: ModelOutline, at places: [LoadedTensor]) {
        for (tensor, place) in zip(outline.tensors(of: part), places) {
            self.place(
                Weight(name: tensor.name, type: tensor.type, shape: tensor.shape, buffer: place.buffer, byteOffset: place.byteOffset),
                in: part)
        }
    }

    /// Loads the weights of some parts on a backend of this machine, and places them there.
    ///
    /// - Throws: `BackendError` where they cannot be loaded.
    public mutating func load(_ outline: ModelOutline, _ parts: [ModelPart], on backend: any Backend) throws(BackendError) {
        // What several parts share is loaded once.
        var seen = Set<String>()
        let uploads = parts.flatMap { outline.uploads(of: $0) }.filter { seen.insert($0.name).inserted }
        let places = Dictionary(uniqueKeysWithValues: zip(uploads.map(\.name), try backend.load(uploads)))
        for part in parts { place(part, of: outline, at: outline.tensors(of: part).compactMap { places[$0.name] }) }
    }

    public func weights(of part: ModelPart) -> any WeightSource { parts[part] ?? Part() }
}
