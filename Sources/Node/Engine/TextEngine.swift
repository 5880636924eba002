public import Jinja

/// A loaded language model that many callers share: what the HTTP server and the terminal chat stand on.
///
/// None of the calls blocks the calling thread for long: whatever computes (a long tokenization, a template, a model's
/// step) happens on threads of the engine's own, which is why they are `async`.
public protocol TextEngine: Sendable {
    /// What is loaded.
    var card: ModelCard { get }

    /// How busy the engine is, as of now.
    var status: EngineStatus { get }

    /// The machines that the model runs on, this one included, as of now.
    var nodes: [NodeStatus] { get }

    /// Tokens of `text`, which need not be valid UTF-8.
    ///
    /// - Parameters:
    ///   - addSpecial: put the tokens in front and behind that the model wants around a text, such as a
    ///     begin-of-sequence token.
    ///   - parseSpecial: read the spelling of a control token (`<start_of_turn>`) as that token, not as plain text.
    /// - Throws: ``EngineError/stopped`` and ``EngineError/failed(_:)``.
    func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) async throws(EngineError) -> [Int32]

    /// The bytes that `tokens` add to a text, control tokens included in their spelling. Need not be valid UTF-8. A space that the first
    /// token begins with is kept: the bytes of two lists make up those of both.
    ///
    /// - Throws: ``EngineError/invalidToken(_:vocabularySize:)`` for an id that the vocabulary lacks.
    func detokenize(_ tokens: [Int32]) async throws(EngineError) -> [UInt8]

    /// The prompt that the model's chat template makes of a conversation.
    ///
    /// The result holds control tokens in their spelling, the begin-of-sequence token among them if the template writes
    /// it, and tells what of it came from the conversation; it is meant to be generated from as ``Prompt/rendered(_:)``.
    /// - Throws: ``EngineError/template(_:)`` where the template refuses the conversation (roles that do not alternate)
    ///   or the model has none.
    func render(_ conversation: Conversation) async throws(EngineError) -> RenderedText

    /// Puts a request in the queue and returns the stream of what becomes of it.
    ///
    /// Returns as soon as the request is accepted. Everything that makes a request impossible is thrown here, so that a
    /// server can still answer with a status of its own; the stream itself throws only what happens later.
    /// - Throws: ``EngineError/promptTooLong(tokens:limit:)``, ``EngineError/emptyPrompt``,
    ///   ``EngineError/invalidToken(_:vocabularySize:)``, ``EngineError/unsupported(_:)``,
    ///   ``EngineError/overloaded(queued:)``, ``EngineError/stopped``.
    func generate(_ request: GenerationRequest) async throws(EngineError) -> GenerationStream

    /// The vectors of texts, in their order, by a model that is for that.
    ///
    /// - Throws: as ``generate(_:)`` for texts that the model cannot read; ``EngineError/unsupported(_:)`` where it generates.
    func embed(_ texts: [Prompt]) async throws(EngineError) -> [TextVector]

    /// Ends every live request with ``EngineError/stopped``, stops the threads and frees the model. Returns when done;
    /// later calls of anything throw ``EngineError/stopped``.
    func shutdown() async
}

extension TextEngine {
    /// What generates makes no vectors.
    public func embed(_ texts: [Prompt]) async throws(EngineError) -> [TextVector] {
        throw .unsupported("the model \(card.id) generates and makes no vectors of texts (embeddings)")
    }
}

/// What a model is, for listings and limits.
public struct ModelCard: Hashable, Sendable {
    /// The name clients use: an alias if one was given, else the file's name without folder and suffix.
    public var id: String
    /// `gemma3`.
    public var architecture: String
    /// The name in the file's metadata, where there is one.
    public var name: String?
    /// Seconds since 1970 at which the model was loaded.
    public var created: Int
    /// Tokens that one slot holds, prompt and answer together.
    public var contextSize: Int
    /// Tokens that the model was trained to hold.
    public var trainingContextSize: Int
    public var vocabularySize: Int
    /// Length of the hidden state.
    public var embeddingLength: Int
    public var parameterCount: Int
    /// Bytes of all tensors.
    public var byteCount: Int
    /// Requests that can be worked on at once.
    public var slotCount: Int
    /// `gemma3 270M Q4_K - Medium`: architecture, size and file type as llama-bench names them.
    public var typeDescription: String
    /// Whether there is a chat template to ``TextEngine/render(_:)`` with.
    public var hasChatTemplate: Bool
    /// The file that it is from.
    public var modelPath = ""
    /// The chat template in use, also where the file has none; nil where there is none that could be read.
    public var chatTemplate: String?
    /// The texts of the tokens that begin and end a text, empty where there are none.
    public var beginText = ""
    public var endText = ""
    /// Whether it reads texts whole and makes vectors of them (``TextEngine/embed(_:)``), rather than going on with them.
    public var makesVectors = false
    /// What in its file was odd but could be lived with, for the log.
    public var warnings: [String] = []

    public init(
        id: String, architecture: String, name: String? = nil, created: Int, contextSize: Int, trainingContextSize: Int,
        vocabularySize: Int, embeddingLength: Int, parameterCount: Int, byteCount: Int, slotCount: Int,
        typeDescription: String, hasChatTemplate: Bool
    ) {
        self.id = id
        self.architecture = architecture
        self.name = name
        self.created = created
        self.contextSize = contextSize
        self.trainingContextSize = trainingContextSize
        self.vocabularySize = vocabularySize
        self.embeddingLength = embeddingLength
        self.parameterCount = parameterCount
        self.byteCount = byteCount
        self.slotCount = slotCount
        self.typeDescription = typeDescription
        self.hasChatTemplate = hasChatTemplate
    }
}

/// How busy an engine is.
public struct EngineStatus: Hashable, Sendable {
    public enum Phase: String, Hashable, Sendable {
        case ready
        /// Requests are taken and wait: something of the model was lost or moves, and is being put in its place.
        case recovering
        /// There is no place for the model at present; it goes on when there is.
        case unavailable
        /// Shut down, or being so.
        case stopped
        /// A step failed in a way that later ones would too.
        case failed
    }

    public var phase: Phase
    public var slotsBusy: Int
    public var slotCount: Int
    /// Requests accepted and not yet in a slot.
    public var queued: Int
    /// Why it failed.
    public var reason: String?

    public init(phase: Phase, slotsBusy: Int, slotCount: Int, queued: Int, reason: String? = nil) {
        self.reason = reason
        self.phase = phase
        self.slotsBusy = slotsBusy
        self.slotCount = slotCount
        self.queued = queued
    }
}

/// Why an engine did not do what was asked.
public enum EngineError: Error, Hashable, Sendable {
    /// The prompt leaves no room for an answer: `limit` is the longest that would.
    case promptTooLong(tokens: Int, limit: Int)
    case emptyPrompt
    case invalidToken(Int32, vocabularySize: Int)
    /// The chat template is missing, broken, or refuses the conversation; with its own words.
    case template(String)
    /// The engine cannot do this at all; says what.
    case unsupported(String)
    /// The queue is full. Worth trying again later.
    case overloaded(queued: Int)
    /// There is no model of that name; with the names there are.
    case unknownModel(String, known: [String])
    /// The engine is shut down.
    case stopped
    /// A machine that the model needs is gone; says which, and why.
    case unavailable(String)
    /// Something broke on our side.
    case failed(String)
}

extension EngineError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .promptTooLong(let tokens, let limit):
            "the prompt has \(tokens) tokens, and this model's context leaves room for at most \(limit)"
        case .emptyPrompt: "the prompt has no tokens"
        case .invalidToken(let id, let size): "token \(id) is not in the vocabulary, which has ids 0 to \(size - 1)"
        case .template(let message): "the chat template cannot be used: \(message)"
        case .unsupported(let message): message
        case .overloaded(let queued): "\(queued) requests are waiting already"
        case .unknownModel(let name, let known):
            "there is no model '\(name.prefix(200))' here; there is: \(known.joined(separator: ", "))"
        case .stopped: "the engine is stopped"
        case .unavailable(let message): "the model cannot be used: \(message)"
        case .failed(let message): message
        }
    }
}
