import Foundation
import GGUF
import Jinja
import Kernels
import Model
import Synchronization
import Tensor

/// A model, here or spread over machines, that many requests share: tokenizer and template on the callers' behalf, one thread that
/// computes, steps in which all live requests take part.
final class GenerationEngine: TextEngine {
    let card: ModelCard
    private let tokenizer: any Tokenizer
    private let template: ChatTemplate
    private let parsesSpecialInChats: Bool
    private let thread: EngineThread<GenerationWorker.Message>
    private let counters: EngineCounters
    private let queueLimit: Int
    private let nextID = Atomic(0)
    private let roster: NodeRoster
    /// Finds new places for a model whose machines come and go; nil where they may not.
    private let keeper: ModelKeeper?

    /// On this machine, or on workers all of which must be there. Blocks: reads the file's metadata and vocabulary, sets the cache
    /// aside and runs one token to warm up.
    convenience init(_ options: EngineOptions, _ loaded: LoadedModel, progress: Engines.Progress) throws {
        let parts = try Parts(options, loaded.outline, progress)
        progress(LoadProgress(stage: "setting memory aside", fraction: 0.6))
        let pass = try loaded.pass(slotCount: parts.card.slotCount, contextLength: parts.card.contextSize)
        progress(LoadProgress(stage: "warming up", fraction: 0.8))
        try GenerationEngine.warmUp(pass)
        self.init(options, parts, keeper: nil, roster: pass.roster)
        thread.send(.resume(PassHandover(pass)))
        progress(LoadProgress(stage: "ready", fraction: 1))
    }

    /// Over the workers of a pool, whichever are there, for as long as it runs. Blocks until it is in its first places, or there
    /// turns out to be no room: then it waits for more.
    ///
    /// - Parameter makeRoom: called where there is no room; returns whether there is more now. With nil, it waits.
    convenience init(
        _ options: EngineOptions, over pool: NodePool, makeRoom: (@Sendable () -> Bool)?, progress: @escaping Engines.Progress
    ) throws {
        progress(LoadProgress(stage: "asking \(options.head.workers.count) workers", fraction: 0))
        let spread = try SpreadModel(options)
        let parts = try Parts(options, spread.outline) { _ in }
        let keeper = ModelKeeper(name: parts.card.id, pool: pool, makeRoom: makeRoom ?? { false })
        let work = ModelKeeper.Work(spread)
        pool.waitUntilKnown(atMost: .seconds(10))
        let pass = try keeper.findFirstPlaces(work, waits: makeRoom == nil, progress)
        self.init(options, parts, keeper: keeper, roster: NodeRoster(nodes: []))
        if let pass {
            thread.send(.resume(PassHandover(pass)))
        } else {
            counters.set(phase: .unavailable, reason: "there is no room for it yet")
        }
        let (thread, counters) = (thread, counters)
        keeper.start(
            work,
            ModelKeeper.Engine(
                resume: { thread.send(.resume($0)) }, suspend: { thread.send(.suspend($0)) },
                turnAway: { thread.send(.unavailable($0, endsAll: $1)) }, isBusy: { counters.current.slotsBusy > 0 }))
        progress(LoadProgress(stage: "ready", fraction: 1))
    }

    /// What is known of a model without its weights.
    private struct Parts {
        var tokenizer: any Tokenizer
        var template: ChatTemplate
        var card: ModelCard

        init(_ options: EngineOptions, _ outline: ModelOutline, _ progress: Engines.Progress) throws {
            progress(LoadProgress(stage: "reading vocabulary", fraction: 0.2))
            tokenizer = try Tokenizers.make(outline.file)
            let (tokens, rows) = (tokenizer.vocabulary.count, outline.hyperparameters.vocabularySize)
            guard tokens <= rows else {
                throw ModelError(.metadata, "\(options.modelPath): the model computes with \(rows) tokens, but its vocabulary has \(tokens)")
            }
            let source = options.chatTemplate ?? outline.file.chatTemplate
            template = try ChatTemplate(source: source ?? FallbackTemplates.choose(for: tokenizer.vocabulary), tokenizer.vocabulary)
            card = ModelCard(options, outline, hasChatTemplate: source != nil)
        }
    }

    private init(_ options: EngineOptions, _ parts: Parts, keeper: ModelKeeper?, roster: NodeRoster) {
        card = parts.card
        tokenizer = parts.tokenizer
        template = parts.template
        parsesSpecialInChats = options.parsesSpecialInChats
        let (tokenizer, card) = (parts.tokenizer, parts.card)
        let counters = EngineCounters(slotCount: card.slotCount)
        self.counters = counters
        self.keeper = keeper
        self.roster = roster
        queueLimit = max(1, options.queueLimit)
        var onSuspended: (@Sendable (String) -> Void)?
        if let keeper { onSuspended = { [weak keeper] reason in keeper?.suspended(reason) } }
        let whenSuspended = onSuspended
        let batchSize = options.batchSize
        thread = EngineThread(name: "swiftlet engine") { send in
            GenerationWorker(
                tokenizer, slotCount: card.slotCount, contextLength: card.contextSize, batchSize: batchSize, counters,
                onSuspended: whenSuspended, send: send)
        }
    }

    var status: EngineStatus {
        var status = counters.current
        // A machine can go while nobody asks for anything.
        if keeper == nil, status.phase == .ready, let loss = roster.loss {
            status.phase = .failed
            status.reason = loss
        }
        return status
    }

    var nodes: [NodeStatus] { keeper?.nodes ?? roster.statuses }

    func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) async throws(EngineError) -> [Int32] {
        try await blocking { [tokenizer] in
            tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
        }
    }

    func detokenize(_ tokens: [Int32]) async throws(EngineError) -> [UInt8] {
        try check(tokens)
        return tokenizer.decode(tokens, removeSpecial: false, renderSpecial: true)
    }

    func render(_ conversation: Conversation) async throws(EngineError) -> RenderedText {
        try await blocking { [template] () throws(EngineError) -> RenderedText in
            do throws(TemplateError) {
                return try template.render(conversation)
            } catch {
                throw .template("\(error)")
            }
        }
    }

    func generate(_ request: GenerationRequest) async throws(EngineError) -> GenerationStream {
        let prompt = try await tokens(of: request.prompt)
        guard !prompt.isEmpty else { throw .emptyPrompt }
        guard prompt.count < card.contextSize else {
            throw .promptTooLong(tokens: prompt.count, limit: card.contextSize - 1)
        }
        let status = status
        switch status.phase {
        case .ready, .recovering: break
        case .failed, .unavailable: throw .unavailable(status.reason ?? "a machine that it needs is gone")
        case .stopped: throw .stopped
        }
        guard counters.reserve(limit: queueLimit) else { throw .overloaded(queued: queueLimit) }
        let id = nextID.add(1, ordering: .relaxed).newValue
        let (stream, source) = GenerationStream.make { [thread] in thread.send(.abandon(id)) }
        let submission = GenerationWorker.Submission(
            id: id, prompt: prompt, limit: request.maxTokens ?? .max, sampling: SamplingParameters(request, tokenizer.vocabulary),
            ignoreEnd: request.ignoreEnd, alternatives: request.alternatives, source: source)
        guard thread.send(.generate(submission)) else {
            counters.release()
            throw .stopped
        }
        return stream
    }

    func shutdown() async {
        counters.set(phase: .stopped)
        let roster = roster
        // A worker that does not answer must not keep us from ending.
        let patience = Task { [keeper] in
            try await Task.sleep(for: GenerationEngine.endingTime)
            roster.close()
            keeper?.breakOff()
        }
        try? await BlockingWork.run { [thread, keeper] in
            thread.stop()
            keeper?.stop()
        }
        patience.cancel()
        roster.close()
    }

    /// Takes one token in, with both kinds of results that may be asked for.
    static func warmUp(_ loaded: LoadedPass) throws {
        let piece = BatchPiece(slot: 0, firstPosition: 0, tokens: [0], outputs: .last)
        try loaded.pass.run([piece]) { _, _, _ in }
        guard loaded.reducesLogits else { return }
        let step = loaded.pass.makeStep()
        try loaded.pass.begin(step, [piece], wantsCandidates: true)
        do {
            try loaded.pass.run(step)
        } catch {
            throw HeadError.workers(["\(error) (if the worker cannot pick the likeliest tokens itself, --full-logits does without)"])
        }
    }

    /// A step under way may take this long when the engine is shut down.
    private static let endingTime = Duration.seconds(5)

    // MARK: Inside

    private func tokens(of prompt: Prompt) async throws(EngineError) -> [Int32] {
        switch prompt {
        case .tokens(let tokens):
            try check(tokens)
            return tokens
        case .text(let text):
            return try await blocking { [tokenizer] in tokenizer.encode(text, addSpecial: true, parseSpecial: true) }
        case .rendered(let rendered):
            return try await blocking { [tokenizer, parsesSpecialInChats] in
                let tokens = tokenizer.encode(
                    rendered.text, addSpecial: true, plain: parsesSpecialInChats ? [] : rendered.untrusted)
                // The template may have written the token that the tokenizer puts in front.
                let bos = tokenizer.vocabulary.special.bos
                let isDoubled = tokenizer.vocabulary.addBOS && tokens.count > 1 && tokens[0] == bos && tokens[1] == bos
                return isDoubled ? Array(tokens.dropFirst()) : tokens
            }
        }
    }

    private func check(_ tokens: [Int32]) throws(EngineError) {
        if let wrong = tokens.first(where: { $0 < 0 || Int($0) >= card.vocabularySize }) {
            throw .invalidToken(wrong, vocabularySize: card.vocabularySize)
        }
    }

    private func blocking<Result: Sendable>(
        _ work: @escaping @Sendable () throws(EngineError) -> Result
    ) async throws(EngineError) -> Result {
        do {
            return try await BlockingWork.run(work)
        } catch let error as EngineError {
            throw error
        } catch {
            throw .failed("\(error)")
        }
    }
}
