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

    public func weights(of part: ModelPart) -> Part { parts[part] ?? Part() }
}
