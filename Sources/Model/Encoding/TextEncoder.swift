public import GGUF
public import Tensor

/// Turns texts into vectors that lie close together where texts mean the like: a model that reads texts whole, on one backend.
///
/// One caller at a time. A text's vector depends on nothing but the text.
public final class TextEncoder {
    public let hyperparameters: Hyperparameters
    /// What of the tokens' results stands for a text: as the file says, the mean where it says nothing.
    public let pooling: Pooling
    private let architecture: any EncoderArchitecture
    private let backend: any Backend
    /// By the number of positions.
    private var graphs: [Int: PreparedText] = [:]

    private struct PreparedText {
        var text: EncoderContext
        var plan: any Plan
        var result: TensorID
        var lastUse: Int
    }

    private var uses = 0
    /// Texts are padded to a multiple of this.
    private static let stride = 32
    /// Graphs kept; the one unused for longest makes room.
    private static let graphLimit = 16

    /// Nothing is read but metadata; a backend of this process uses the weights where they are mapped.
    ///
    /// - Throws: ``ModelError`` for files that are no encoder of a known architecture, `BackendError` where weights cannot be
    ///   taken over.
    public init(_ file: GGUFFile, on backend: any Backend) throws {
        architecture = try Architectures.makeEncoder(ModelMetadata(file), FileWeights(file, on: backend))
        hyperparameters = architecture.hyperparameters
        pooling = architecture.pooling ?? .mean
        self.backend = backend
    }

    /// The figures of a file's model, if it is one for this; nil if it is one that generates, or of no known architecture.
    ///
    /// - Throws: ``ModelError`` for files that are no model at all, or that lack figures.
    public static func figures(of file: GGUFFile) throws(ModelError) -> Hyperparameters? {
        let metadata = try ModelMetadata(file)
        return Architectures.isEncoder(metadata.architecture) ? try Hyperparameters(metadata) : nil
    }

    /// The vector of a text, `[embedding length]`, of length 1 (of length 0 where all of it is 0).
    ///
    /// - Parameter tokens: with the marks of start and end that the vocabulary wants.
    /// - Throws: ``ModelError`` for tokens that the model cannot take, `BackendError`.
    public func embed(_ tokens: [Int32]) throws -> [Float] {
        let limit = hyperparameters.trainedContext
        guard !tokens.isEmpty, tokens.count <= limit else {
            throw ModelError(.batch, "a text of \(tokens.count) tokens is not from 1 to \(limit), which the model can read")
        }
        for token in tokens where token < 0 || Int(token) >= hyperparameters.vocabularySize {
            throw ModelError(.batch, "token \(token) is not in a vocabulary of \(hyperparameters.vocabularySize)")
        }
        let positionCount = min((tokens.count + Self.stride - 1) / Self.stride * Self.stride, limit)
        let graph = try graph(positionCount)
        let padding = positionCount - tokens.count
        let padded = tokens + [Int32](repeating: 0, count: padding)
        let positions = (0..<positionCount).map { Int32(truncatingIfNeeded: $0) }
        let visible = [Float](repeating: 0, count: tokens.count) + [Float](repeating: -.infinity, count: padding)
        let shares = pooling.shares(count: tokens.count) + [Float](repeating: 0, count: padding)
        var result = [Float](repeating: 0, count: hyperparameters.embeddingLength)
        try padded.withUnsafeBytes { padded in
            try positions.withUnsafeBytes { positions in
                try visible.withUnsafeBytes { visible in
                    try shares.withUnsafeBytes { shares in
                        try result.withUnsafeMutableBytes { result in
                            let writes = [
                                Step.Write(tensor: graph.text.tokens, bytes: padded),
                                Step.Write(tensor: graph.text.positions, bytes: positions),
                                Step.Write(tensor: graph.text.visible, bytes: visible),
                                Step.Write(tensor: graph.text.shares, bytes: shares),
                            ]
                            let reads = [Step.Read(tensor: graph.result, into: result)]
                            try backend.run(Step(writes: writes, plan: graph.plan, reads: reads))
                        }
                    }
                }
            }
        }
        Self.normalise(&result)
        return result
    }

    private func graph(_ positionCount: Int) throws -> PreparedText {
        uses += 1
        if let graph = graphs[positionCount] {
            graphs[positionCount]?.lastUse = uses
            return graph
        }
        if graphs.count >= Self.graphLimit, let oldest = graphs.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            graphs.removeValue(forKey: oldest.key)
        }
        let text = EncoderContext(positionCount: positionCount)
        let result = text.pooled(architecture.encode(text))
        text.g.markOutput(result)
        let graph = PreparedText(text: text, plan: try backend.prepare(text.g.finish()), result: result, lastUse: uses)
        graphs[positionCount] = graph
        return graph
    }

    private static func normalise(_ vector: inout [Float]) {
        let square = vector.reduce(0) { $0 + Double($1) * Double($1) }
        guard square > 0 else { return }
        let factor = Float(1 / square.squareRoot())
        for index in vector.indices { vector[index] *= factor }
    }
}
