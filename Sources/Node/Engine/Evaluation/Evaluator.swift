/// A loaded model for measuring: raw logits and timings, one caller at a time.
///
/// Calls block the calling thread until done. Never make them from a task; see ``BlockingWork``.
public protocol Evaluator: Sendable {
    var card: ModelCard { get }

    var vocabulary: any VocabularyReader { get }

    /// Logits at each position of `tokens`, as they are taken in from an empty context.
    ///
    /// - Parameters:
    ///   - tokens: at most as many as the context holds. No token is added.
    ///   - each: called in order of position, once for each from `options.first` on, with `vocabularySize` values that
    ///     are valid during the call. An error it throws ends the evaluation.
    /// - Throws: ``EngineError``, or what `each` throws.
    func logits(
        for tokens: [Int32], options: EvaluationOptions,
        each: (_ position: Int, _ logits: UnsafeBufferPointer<Float>) throws -> Void
    ) throws

    /// Runs one measurement, from an empty context, and says how long it took. What has to be prepared first is not
    /// part of the time.
    func measure(_ work: BenchmarkWork) throws(EngineError) -> Duration

    /// For benchmark tables: how the model is being run.
    var conditions: BenchmarkConditions { get }
}

/// How ``Evaluator/logits(for:options:each:)`` goes about it. None of it may change the result by a bit within one variant; it is
/// there to prove that.
public struct EvaluationOptions: Hashable, Sendable {
    /// Tokens taken in at once.
    public var chunkSize: Int
    /// First position whose logits are wanted.
    public var first: Int
    /// The slot to use.
    public var slot: Int
    /// Further sequences of other tokens computed in the same steps, in other slots.
    public var neighbours: Int

    public init(chunkSize: Int = 512, first: Int = 0, slot: Int = 0, neighbours: Int = 0) {
        self.chunkSize = chunkSize
        self.first = first
        self.slot = slot
        self.neighbours = neighbours
    }
}

/// What a benchmark row measures.
public struct BenchmarkWork: Hashable, Sendable {
    /// Tokens of prompt taken in, in chunks of the batch size.
    public var prompt: Int
    /// Tokens taken in one by one after it, as in generation but without choosing them.
    public var generate: Int
    /// Tokens already in the context, whose computation is not part of the time.
    public var depth: Int
    public var batchSize: Int
    /// The thread pool's size for this row.
    public var threads: Int

    public init(prompt: Int, generate: Int, depth: Int = 0, batchSize: Int = 512, threads: Int) {
        self.prompt = prompt
        self.generate = generate
        self.depth = depth
        self.batchSize = batchSize
        self.threads = threads
    }
}

/// What a benchmark table says of how the model was run.
public struct BenchmarkConditions: Hashable, Sendable {
    /// The processor, as it names itself.
    public var cpu: String
    /// `CPU (AVX-512)`.
    public var backend: String
    public var cacheTypeK: String
    public var cacheTypeV: String
    public var flashAttention: Bool
    public var memoryMapped: Bool

    public init(
        cpu: String, backend: String, cacheTypeK: String = "f16", cacheTypeV: String = "f16", flashAttention: Bool = true,
        memoryMapped: Bool = true
    ) {
        self.cpu = cpu
        self.backend = backend
        self.cacheTypeK = cacheTypeK
        self.cacheTypeV = cacheTypeV
        self.flashAttention = flashAttention
        self.memoryMapped = memoryMapped
    }
}
