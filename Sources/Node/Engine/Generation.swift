public import Base
public import Jinja

/// One text to be continued.
public struct GenerationRequest: Hashable, Sendable {
    public var prompt: Prompt
    public var sampling: SamplingSettings
    /// Tokens to generate at most; nil goes on until the model ends its text or the context is full. 0 only computes the
    /// prompt.
    public var maxTokens: Int?
    /// Go on after an end-of-text token, which is then never sampled.
    public var ignoreEnd: Bool
    /// Report the log-probability of each chosen token and of this many others; nil reports none.
    public var alternatives: Int?
    /// Which probabilities those are.
    public var probabilities = Probabilities.ofModel

    public enum Probabilities: Hashable, Sendable {
        /// Before any sampling step.
        case ofModel
        /// Those with which the token was drawn: tokens that could not be are not reported.
        case ofChoice
    }
    /// Tokens that end the answer as the model's own end does, also where that is ignored.
    public var stopTokens: Set<Int32>
    /// Go on from what an earlier request left of the same prompt. The answer is the same either way.
    public var reusesPrompt: Bool

    public init(
        prompt: Prompt, sampling: SamplingSettings = .init(), maxTokens: Int? = nil, ignoreEnd: Bool = false,
        alternatives: Int? = nil, stopTokens: Set<Int32> = [], reusesPrompt: Bool = true
    ) {
        self.stopTokens = stopTokens
        self.reusesPrompt = reusesPrompt
        self.prompt = prompt
        self.sampling = sampling
        self.maxTokens = maxTokens
        self.ignoreEnd = ignoreEnd
        self.alternatives = alternatives
    }
}

/// What to continue.
public enum Prompt: Hashable, Sendable {
    /// Plain text: control tokens around it are added, spellings of control tokens inside it are read as such.
    case text(String)
    /// A chat template's output: as `text`, but the begin-of-sequence token is not put in front a second time where the
    /// template wrote it, and what came from the conversation is plain text, whatever it spells (see
    /// ``EngineOptions/parsesSpecialInChats``).
    case rendered(RenderedText)
    /// Exactly these.
    case tokens([Int32])
}

/// How each token is chosen. Values are checked by whoever makes the request: finite, and in the ranges given here.
public struct SamplingSettings: Hashable, Sendable {
    /// 0 takes the most likely token each time. >= 0.
    public var temperature: Float
    /// Choose among this many of the most likely tokens; 0 among all.
    public var topK: Int
    /// Choose among the most likely tokens that together have this share of the probability; 1 among all. 0...1.
    public var topP: Float
    /// Leave out tokens less likely than this times the most likely one; 0 leaves out none. 0...1.
    public var minP: Float
    /// Divide (or multiply, where negative) the logit of a recent token by this; 1 changes nothing. > 0.
    public var repeatPenalty: Float
    /// Take this off a recent token's logit for each time that it occurs.
    public var frequencyPenalty: Float
    /// Take this off the logit of a token that occurs at all among the recent ones.
    public var presencePenalty: Float
    /// Tokens that count as recent, the prompt's included; 0 none, -1 all.
    public var penaltyWindow: Int
    /// Starts the random numbers; nil draws a seed.
    public var seed: UInt32?
    /// Added to logits; `-.infinity` forbids a token. Ids are in the vocabulary.
    public var logitBias: [Int32: Float]

    public init(
        temperature: Float = 0.8, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05, repeatPenalty: Float = 1,
        frequencyPenalty: Float = 0, presencePenalty: Float = 0, penaltyWindow: Int = 64, seed: UInt32? = nil,
        logitBias: [Int32: Float] = [:]
    ) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repeatPenalty = repeatPenalty
        self.frequencyPenalty = frequencyPenalty
        self.presencePenalty = presencePenalty
        self.penaltyWindow = penaltyWindow
        self.seed = seed
        self.logitBias = logitBias
    }
}

/// Messages to be put into a chat template.
public struct Conversation: Hashable, Sendable {
    public struct Message: Hashable, Sendable {
        /// All members, as the template is to see them: `role`, `content` (a string, or parts), and whatever else there is.
        public var fields: JSONObject

        public init(role: String, content: String, name: String? = nil) {
            fields = ["role": .string(role), "content": .string(content)]
            if let name { fields["name"] = .string(name) }
        }

        public init(fields: JSONObject) {
            self.fields = fields
        }

        /// `system`, `user`, `assistant`, `tool`, or what else the template knows.
        public var role: String {
            if case .string(let role)? = fields["role"] { role } else { "" }
        }

        /// The text; of several parts, those that are text, line by line.
        public var content: String {
            switch fields["content"] {
            case .string(let text)?: return text
            case .array(let parts)?:
                let texts = parts.compactMap { part -> String? in
                    guard case .string(let text)? = part["text"] else { return nil }
                    return text
                }
                return texts.joined(separator: "\n")
            default: return ""
            }
        }
    }

    public var messages: [Message]
    /// End with the opening of the assistant's turn.
    public var addGenerationPrompt: Bool
    /// The last message is the beginning of the answer: its turn is opened as the assistant's, and not closed.
    public var continuesFinalMessage: Bool
    /// Further variables for the template.
    public var variables: [String: JSONValue]

    public init(
        messages: [Message], addGenerationPrompt: Bool = true, continuesFinalMessage: Bool = false, variables: [String: JSONValue] = [:]
    ) {
        self.continuesFinalMessage = continuesFinalMessage
        self.messages = messages
        self.addGenerationPrompt = addGenerationPrompt
        self.variables = variables
    }
}

/// What happens to a request, in order: ``prompt(tokens:cached:)`` once, when its prompt is computed, then
/// tokens, then ``finished(_:_:)`` once.
public enum GenerationEvent: Hashable, Sendable {
    /// The prompt is computed, `cachedTokens` of it found in the slot from an earlier request.
    case prompt(tokens: Int, cached: Int)
    case token(GeneratedToken)
    case finished(FinishReason, GenerationTimings)
}

/// One token of the answer. The token that ends a text is not among them.
public struct GeneratedToken: Hashable, Sendable {
    public struct Alternative: Hashable, Sendable {
        public var id: Int32
        public var bytes: [UInt8]
        /// Natural logarithm of the probability; which, ``GenerationRequest/probabilities`` says.
        public var logProbability: Float

        public init(id: Int32, bytes: [UInt8], logProbability: Float) {
            self.id = id
            self.bytes = bytes
            self.logProbability = logProbability
        }
    }

    public var id: Int32
    /// Whole characters only: bytes that begin one are held back until it is complete, so a piece may be empty, and may
    /// hold the ends of earlier tokens. At the end of a text, what never became a character is U+FFFD.
    public var text: String
    /// The token itself and its probability, where ``GenerationRequest/alternatives`` asked for it.
    public var chosen: Alternative?
    /// The most likely tokens, best first.
    public var alternatives: [Alternative]

    public init(id: Int32, text: String, chosen: Alternative? = nil, alternatives: [Alternative] = []) {
        self.id = id
        self.text = text
        self.chosen = chosen
        self.alternatives = alternatives
    }
}

public enum FinishReason: String, Hashable, Sendable {
    /// The model ended its text, or a stop string was met.
    case stop
    /// `maxTokens` are generated or the context is full.
    case length
}

/// Time spent on a request, without waiting in the queue.
public struct GenerationTimings: Hashable, Sendable {
    /// On the prompt's uncached part.
    public var prompt: Duration
    /// On all tokens after the prompt.
    public var generation: Duration

    public init(prompt: Duration = .zero, generation: Duration = .zero) {
        self.prompt = prompt
        self.generation = generation
    }
}
