import Jinja
import Node
import Synchronization

/// An engine that says a fixed text, byte for byte, whatever it is asked. Its tokens are bytes; 256 begins a text.
final class MockEngine: TextEngine {
    struct Behaviour {
        var script = "The quick brown fox jumps over the lazy dog."
        /// Waited before each token.
        var pause: Duration = .zero
        /// Waited before the prompt is computed, with a slot.
        var prefill: Duration = .zero
        /// Say the script again and again.
        var isEndless = false
        /// Throw this when a request comes.
        var refusal: EngineError?
        /// Throw this after as many tokens; below 0 before the prompt is computed.
        var failure: (after: Int, error: EngineError)?
        var contextSize = 4096
        var nodes: [NodeStatus] = []
    }

    struct Log {
        var requests: [GenerationRequest] = []
        var conversations: [Conversation] = []
        var abandoned = 0
        var tokensSent = 0
        var live = 0
        var isShutDown = false
    }

    static let vocabularySize = 300

    let behaviour: Behaviour
    private let log = Mutex(Log())

    init(_ behaviour: Behaviour = Behaviour()) {
        self.behaviour = behaviour
    }

    var seen: Log { log.withLock { $0 } }

    var card: ModelCard {
        ModelCard(
            id: "mock", architecture: "mock", name: "Mock", created: 1_700_000_000, contextSize: behaviour.contextSize,
            trainingContextSize: 8192, vocabularySize: MockEngine.vocabularySize, embeddingLength: 8, parameterCount: 1000, byteCount: 4000,
            slotCount: 4, typeDescription: "mock 1K F32", hasChatTemplate: true)
    }

    var status: EngineStatus {
        let log = seen
        return EngineStatus(phase: log.isShutDown ? .stopped : .ready, slotsBusy: log.live, slotCount: 4, queued: 0)
    }

    var nodes: [NodeStatus] { behaviour.nodes }

    func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) async throws(EngineError) -> [Int32] {
        (addSpecial ? [256] : []) + text.map { Int32($0) }
    }

    func detokenize(_ tokens: [Int32]) async throws(EngineError) -> [UInt8] {
        tokens.flatMap { $0 < 256 ? [UInt8($0)] : Array("<\($0)>".utf8) }
    }

    func render(_ conversation: Conversation) async throws(EngineError) -> RenderedText {
        log.withLock { $0.conversations.append(conversation) }
        if conversation.messages.first?.role == "assistant" { throw .template("the first message must be the user's") }
        var rendered = RenderedText("")
        for message in conversation.messages {
            rendered.text += "<\(message.role)>"
            let start = rendered.text.utf8.count
            rendered.text += message.content
            if !message.content.isEmpty { rendered.untrusted.append(start..<rendered.text.utf8.count) }
        }
        if conversation.addGenerationPrompt, !conversation.continuesFinalMessage { rendered.text += "<assistant>" }
        return rendered
    }

    func generate(_ request: GenerationRequest) async throws(EngineError) -> GenerationStream {
        if seen.isShutDown { throw .stopped }
        if let refusal = behaviour.refusal { throw refusal }
        let promptTokens: Int
        switch request.prompt {
        case .text(let text): promptTokens = text.utf8.count + 1
        case .rendered(let rendered): promptTokens = rendered.text.utf8.count + 1
        case .tokens(let tokens): promptTokens = tokens.count
        }
        if promptTokens == 0 { throw .emptyPrompt }
        if promptTokens >= behaviour.contextSize { throw .promptTooLong(tokens: promptTokens, limit: behaviour.contextSize - 1) }
        log.withLock {
            $0.requests.append(request)
            $0.live += 1
        }
        let isAbandoned = Flag()
        let (stream, source) = GenerationStream.make {
            isAbandoned.raise()
            self.log.withLock { $0.abandoned += 1 }
        }
        Task.detached { await self.speak(request, promptTokens: promptTokens, to: source, isAbandoned) }
        return stream
    }

    private func speak(_ request: GenerationRequest, promptTokens: Int, to source: GenerationStream.Source, _ isAbandoned: Flag) async {
        defer { log.withLock { $0.live -= 1 } }
        if behaviour.prefill > .zero {
            source.accept()
            try? await Task.sleep(for: behaviour.prefill)
        }
        if let failure = behaviour.failure, failure.after < 0 { return source.fail(failure.error) }
        source.send(.prompt(tokens: promptTokens, cached: promptTokens / 2))
        var decoder = PieceDecoder()
        let script = Array(behaviour.script.utf8)
        var count = 0
        while behaviour.isEndless || count < script.count {
            if let limit = request.maxTokens, count >= limit { return source.send(.finished(.length, timings)).discard() }
            if let failure = behaviour.failure, failure.after == count { return source.fail(failure.error) }
            if behaviour.pause > .zero { try? await Task.sleep(for: behaviour.pause) } else { await Task.yield() }
            if isAbandoned.isRaised { return }
            if seen.isShutDown { return source.fail(.stopped) }
            let byte = script[count % script.count]
            var token = GeneratedToken(id: Int32(byte), text: decoder.push(byte))
            if let alternatives = request.alternatives {
                token.chosen = .init(id: Int32(byte), bytes: [byte], logProbability: -0.5)
                token.alternatives = (0..<alternatives).map {
                    .init(id: Int32($0), bytes: [UInt8(65 + $0)], logProbability: -Float($0) - 0.5)
                }
            }
            source.send(.token(token))
            log.withLock { $0.tokensSent += 1 }
            count += 1
        }
        source.send(.finished(.stop, timings))
    }

    private var timings: GenerationTimings { GenerationTimings(prompt: .milliseconds(5), generation: .milliseconds(20)) }

    func shutdown() async {
        log.withLock { $0.isShutDown = true }
    }
}

extension Bool {
    fileprivate func discard() {}
}

/// Set once, read from anywhere.
final class Flag: Sendable {
    private let state = Mutex(false)
    var isRaised: Bool { state.withLock { $0 } }
    func raise() { state.withLock { $0 = true } }
}

/// Holds bytes back until they are a character.
private struct PieceDecoder {
    private var held: [UInt8] = []

    mutating func push(_ byte: UInt8) -> String {
        held.append(byte)
        guard let text = String(validating: held, as: UTF8.self) else { return "" }
        held = []
        return text
    }
}
