/// Chooses tokens from logits. One per request: it remembers what was chosen, and holds the random numbers.
///
/// The order of the stages: logit bias, penalties, stages given from outside (a grammar), then top-k, top-p, min-p and
/// the temperature last, so that top-p and min-p look at the model's own probabilities. With temperature 0 the
/// likeliest token after the first three is taken, the lowest id among equals.
public struct Sampler: Sendable {
    public let parameters: SamplingParameters
    /// The seed in use, also where the parameters leave it open.
    public let seed: UInt64
    /// Everything that comes before truncation.
    private var shaping: [any SamplerStage] = []
    private var truncating: [any SamplerStage] = []
    /// Whether what comes before truncation makes no token likelier.
    private let onlyLowers: Bool
    private var generator: SeededGenerator
    private var candidates = Candidates()

    /// - Parameter stages: run after bias and penalties and before anything is cut off.
    public init(_ parameters: SamplingParameters = .init(), stages: [any SamplerStage] = []) {
        self.parameters = parameters
        seed = parameters.seed ?? UInt64.random(in: .min ... .max)
        generator = SeededGenerator(seed: seed)
        if !parameters.logitBias.isEmpty { shaping.append(LogitBias(parameters.logitBias)) }
        if parameters.hasPenalties { shaping.append(Penalties(parameters)) }
        shaping += stages
        onlyLowers = stages.isEmpty && parameters.onlyLowers
        guard !isGreedy else { return }
        if parameters.topK > 0 { truncating.append(TopK(k: parameters.topK)) }
        if parameters.topP < 1 { truncating.append(TopP(p: parameters.topP)) }
        if parameters.minP > 0 { truncating.append(MinP(p: parameters.minP)) }
        if parameters.temperature != 1 { truncating.append(Temperature(temperature: parameters.temperature)) }
    }

    /// Not above 0, which a NaN is not either.
    private var isGreedy: Bool { !(parameters.temperature > 0) }

    /// Chooses a token; call ``accept(_:)`` with it (or with what was taken instead).
    ///
    /// If no token can be chosen (all logits are minus infinity or NaN) the answer is token 0; likewise for no logits.
    ///
    /// - Parameter logits: one per token of the vocabulary.
    public mutating func sample(_ logits: UnsafeBufferPointer<Float>) -> Int32 {
        if isGreedy, shaping.isEmpty {
            return Int32(truncatingIfNeeded: LogitScan.maximum(of: logits).index)
        }
        candidates.load(logits)
        for index in shaping.indices { shaping[index].apply(to: &candidates) }
        if isGreedy { return candidates.likeliest() ?? 0 }
        for index in truncating.indices { truncating[index].apply(to: &candidates) }
        // One random number per choice, whatever the stages did: choices stay in step with the seed.
        return candidates.draw(generator.nextUnit()) ?? 0
    }

    /// How many of the likeliest tokens, with their logits, are all that a choice depends on; nil where it depends on every
    /// logit, or on more than were worth sending.
    public var candidateCount: Int? {
        guard onlyLowers else { return nil }
        if isGreedy { return 1 }
        return parameters.topK > 0 ? parameters.topK : nil
    }

    /// Chooses a token as ``sample(_:)-(UnsafeBufferPointer<Float>)`` does, from the likeliest tokens alone.
    ///
    /// - Parameter entries: the likeliest of all, the likelier first, among equals the lower token; more than
    ///   ``candidateCount``.
    /// - Returns: nil if they leave the choice open: values that are no numbers, or so many equal ones that others, which
    ///   are not here, may be among the likeliest as well.
    public mutating func sample(_ entries: [Candidates.Entry]) -> Int32? {
        guard let count = candidateCount, count <= entries.count, let last = entries.last, entries.allSatisfy({ $0.logit.isFinite })
        else { return nil }
        candidates.load(sorted: entries[...])
        for index in shaping.indices { shaping[index].apply(to: &candidates) }
        // Whatever is not here was no likelier than the last, and has not become so.
        guard candidates.entries[count - 1].logit > last.logit else { return nil }
        if isGreedy { return candidates.likeliest() }
        for index in truncating.indices { truncating[index].apply(to: &candidates) }
        return candidates.draw(generator.nextUnit()) ?? 0
    }

    /// Chooses a token; see the variant over a buffer pointer.
    public mutating func sample(_ logits: [Float]) -> Int32 { logits.withUnsafeBufferPointer { sample($0) } }

    /// With which probability the last choice fell on a token, and on the likeliest that it could fall on.
    ///
    /// - Parameters:
    ///   - token: what was chosen.
    ///   - count: of the likeliest, at most.
    public func shares(of token: Int32, likeliest count: Int) -> (token: Float, likeliest: [Candidates.Share]) {
        if isGreedy { return (1, count > 0 ? [Candidates.Share(token: token, probability: 1)] : []) }
        return candidates.shares(of: token, likeliest: count)
    }

    /// Makes a token known to the stages that look back. Prompts count too, if they are to.
    public mutating func accept(_ token: Int32) {
        for index in shaping.indices { shaping[index].accept(token) }
    }
}
