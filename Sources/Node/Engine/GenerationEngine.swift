import Foundation
import GGUF
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
    private let thread: EngineThread<GenerationWorker.Message>
    private let counters: EngineCounters
    private let queueLimit: Int
    private let nextID = Atomic(0)
    private let roster: NodeRoster

    /// Blocks: reads the file's metadata and vocabulary, sets the cache aside and runs one token to warm up.
    init(_ options: EngineOptions, _ loaded: LoadedModel, progress: Engines.Progress) throws {
        progress(LoadProgress(stage: "reading vocabulary", fraction: 0.2))
        let tokenizer = try Tokenizers.make(loaded.file)
        self.tokenizer = tokenizer
        let (tokens, rows) = (tokenizer.vocabulary.count, loaded.model.hyperparameters.vocabularySize)
        guard tokens <= rows else {
            throw ModelError(.metadata, "\(options.modelPath): the model computes with \(rows) tokens, but its vocabulary has \(tokens)")
        }
        let source = options.chatTemplate ?? loaded.file.chatTemplate
        template = try ChatTemplate(
            source: source ?? FallbackTemplates.choose(for: tokenizer.vocabulary), tokenizer.vocabulary)
        progress(LoadProgress(stage: "setting memory aside", fraction: 0.6))
        let slotCount = max(1, options.slotCount)
        let contextSize = loaded.contextSize(options)
        card = loaded.card(options, contextSize: contextSize, slotCount: slotCount, hasChatTemplate: source != nil)
        counters = EngineCounters(slotCount: slotCount)
        queueLimit = max(1, options.queueLimit)

        let loadedPass = try loaded.pass(slotCount: slotCount, contextLength: contextSize)
        roster = loadedPass.roster
        progress(LoadProgress(stage: "warming up", fraction: 0.8))
        try GenerationEngine.warmUp(loadedPass)
        // Handed over whole: nothing here keeps a reference to the pass.
        nonisolated(unsafe) let owned = loadedPass
        let (counters, batchSize) = (counters, options.batchSize)
        thread = EngineThread(name: "swiftlet engine") { send in
            GenerationWorker(owned, tokenizer, batchSize: batchSize, counters, send: send)
        }
        progress(LoadProgress(stage: "ready", fraction: 1))
    }

    var status: EngineStatus {
        var status = counters.current
        // A machine can go while nobody asks for anything.
        if status.phase == .ready, let loss = roster.loss {
            status.phase = .failed
            status.reason = loss
        }
        return status
    }

    var nodes: [NodeStatus] { roster.statuses }

    func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) async throws(EngineError) -> [Int32] {
        try await blocking { [tokenizer] in
            tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
        }
    }

    func detokenize(_ tokens: [Int32]) async throws(EngineError) -> [UInt8] {
        try check(tokens)
        return tokenizer.decode(tokens, removeSpecial: false, renderSpecial: true)
    }

    func render(_ conversation: Conversation) async throws(EngineError) -> String {
        try await blocking { [template] () throws(EngineError) -> String in
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
        if status.phase == .failed { throw .unavailable(status.reason ?? "a machine that it needs is gone") }
        guard status.phase == .ready else { throw .stopped }
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
        let patience = Task {
            try await Task.sleep(for: GenerationEngine.endingTime)
            roster.close()
        }
        try? await BlockingWork.run { [thread] in thread.stop() }
        patience.cancel()
        roster.close()
    }

    /// Takes one token in, with both kinds of results that may be asked for.
    private static func warmUp(_ loaded: LoadedPass) throws {
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
        case .rendered(let text):
            return try await blocking { [tokenizer] in
                let tokens = tokenizer.encode(text, addSpecial: true, parseSpecial: true)
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
