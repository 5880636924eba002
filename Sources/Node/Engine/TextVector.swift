/// A text as a point among others: texts that mean the like lie close together.
public struct TextVector: Hashable, Sendable {
    /// Of length 1.
    public var values: [Float]
    /// Tokens that were read for it, marks included.
    public var tokenCount: Int

    public init(values: [Float], tokenCount: Int) {
        self.values = values
        self.tokenCount = tokenCount
    }
}
