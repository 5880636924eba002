/// What layers want to know of a step, by what they remember.
struct LayerNeeds: Hashable, Sendable {
    /// Keys and values of all positions.
    var hasFull = false
    /// Those of a sliding window.
    var hasRing = false
    /// Each token's one position, for ropes.
    var hasSinglePositions = false
    /// Four positions of each token, for ropes in sections.
    var hasSections = false
    /// A state for each slot.
    var isRecurrent = false

    init(_ h: Hyperparameters, _ layers: Range<Int>) {
        for state in h.layerStates[layers] {
            if state.hasPositions {
                if state.window == nil { hasFull = true } else { hasRing = true }
                if state.hasSections { hasSections = true } else { hasSinglePositions = true }
            }
            if state.isRecurrent { isRecurrent = true }
        }
    }

    var hasPositions: Bool { hasFull || hasRing }
}

extension Hyperparameters {
    /// Whether any layer has a state that every token changes, so that nothing can be taken back but to a copy.
    public var isRecurrent: Bool { layerStates.contains(where: \.isRecurrent) }

    /// Positions that a query sees in layers with a sliding window; nil where none has one.
    public var window: Int? { layerStates.lazy.compactMap(\.window).first }
}
