/// How to load a model and run it.
public struct EngineOptions: Hashable, Sendable {
    /// The GGUF file, or the first of a split one.
    public var modelPath: String
    /// Whether others do without the model where its file cannot be used: it was found in a folder, not asked for.
    public var isOptional = false
    /// The name clients use for the model; nil takes the file's.
    public var alias: String?
    /// Tokens that a slot holds; nil takes what the model was trained for, up to a limit that keeps memory modest.
    public var contextSize: Int?
    /// Requests worked on at once.
    public var slotCount: Int
    /// Requests that may wait for a slot.
    public var queueLimit: Int
    /// Threads that compute; nil takes one for each core.
    public var threads: Int?
    /// Tokens computed in one step, at most.
    public var batchSize: Int
    /// The kernels to use (`baseline`, `avx2`, `avx512`); nil takes the best that the processor has.
    public var variant: String?
    /// A chat template to use in place of the model's own.
    public var chatTemplate: String?
    /// Whether spellings of control tokens in a chat's messages are read as those tokens, as llama.cpp's server does. Then
    /// whoever writes a message can end its turn and begin another.
    public var parsesSpecialInChats = false
    /// Whether a result is wanted for every token of a step, as when a model is measured: that takes more memory.
    public var wantsAllResults = false
    /// Which other machines help.
    public var head: HeadOptions

    public init(
        modelPath: String, alias: String? = nil, contextSize: Int? = nil, slotCount: Int = 1, queueLimit: Int = 64,
        threads: Int? = nil, batchSize: Int = 512, variant: String? = nil, chatTemplate: String? = nil,
        head: HeadOptions = HeadOptions()
    ) {
        self.modelPath = modelPath
        self.alias = alias
        self.contextSize = contextSize
        self.slotCount = slotCount
        self.queueLimit = queueLimit
        self.threads = threads
        self.batchSize = batchSize
        self.variant = variant
        self.chatTemplate = chatTemplate
        self.head = head
    }
}

/// How far loading has come.
public struct LoadProgress: Hashable, Sendable {
    /// Told of it, from any thread.
    public typealias Report = @Sendable (LoadProgress) -> Void

    /// `reading metadata`, `loading tensors`, `warming up`.
    public var stage: String
    /// 0...1 over all stages.
    public var fraction: Double

    public init(stage: String, fraction: Double) {
        self.stage = stage
        self.fraction = fraction
    }
}
