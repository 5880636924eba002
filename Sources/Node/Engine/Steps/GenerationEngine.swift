internal import Base
import Foundation
import GGUF
package import Jinja
import Kernels
package import Model
import Synchronization
import Tensor

/// A model, here or spread over machines, that many requests share: tokenizer and template on the callers' behalf, one thread that
/// computes, steps in which all live requests take part.
package final class GenerationEngine: TextEngine {
    package let card: ModelCard
    private let tokenizer: any Tokenizer
    private let template: Template
    private let parsesSpecialInChats: Bool
    private let thread: EngineThread<GenerationWorker.Message>
    private let counters: EngineCounters
    private let queueLimit: Int
    private let nextID = Atomic(0)
    private let keeper: any PassKeeper

    /// Blocks: reads the vocabulary, and has the keeper find the model's first places.
    ///
    /// - Throws: what the keeper throws; `ModelError` for a vocabulary that the model cannot have.
    package init(_ options: EngineOptions, _ outline: ModelOutline, keeper: any PassKeeper, progress: LoadProgress.Report = { _ in }) throws
    {
        let parts = try Parts(options, outline, progress)
        card = parts.card
        tokenizer = parts.tokenizer
        template = parts.template
        parsesSpecialInChats = options.parsesSpecialInChats
        let (tokenizer, card) = (parts.tokenizer, parts.card)
        let counters = EngineCounters(slotCount: card.slotCount)
        self.counters = counters
        self.keeper = keeper
        queueLimit = max(1, options.queueLimit)
        let batchSize = options.batchSize
        let cache = CacheShape(outline.hyperparameters, slotCount: card.slotCount, contextLength: card.contextSize)
        let thread = try EngineThread<GenerationWorker.Message>(name: "engine") { send in
            GenerationWorker(
                tokenizer, cache, batchSize: batchSize, counters,
                onSuspended: { [weak keeper] reason in keeper?.suspended(reason) }, send: send)
        }
        self.thread = thread
        counters.set(phase: .unavailable, reason: "it has no place yet")
        do {
            try keeper.start(
                EngineControl(
                    resume: { pass in
                        // At once, so that whoever was told that the model is there can ask.
                        counters.set(phase: .ready)
                        thread.send(.resume(pass))
                    }, suspend: { thread.send(.suspend($0)) },
                    turnAway: { thread.send(.unavailable($0, $1)) }, isBusy: { counters.current.slotsBusy > 0 }))
        } catch {
            thread.stop()
            throw error
        }
    }

    deinit {
        // Whoever lets go of an engine without ending it leaves no threads and connections behind.
        thread.end()
        keeper.letGo()
    }

    /// How conversations are written; where the model's own way cannot be read, why.
    private enum Template: Sendable {
        case readable(ChatTemplate)
        case broken(String)

        /// - Throws: `TemplateError` for one that the options give: whoever did can mend it.
        init(_ options: EngineOptions, _ file: GGUFFile, _ vocabulary: Vocabulary) throws {
            if let source = options.chatTemplate {
                self = .readable(try ChatTemplate(source: source, vocabulary))
                return
            }
            do {
                let source = try file.chatTemplate() ?? FallbackTemplates.choose(for: vocabulary)
                self = .readable(try ChatTemplate(source: source, vocabulary))
            } catch {
                self = .broken("\(error) (--chat-template-file gives another)")
            }
        }
    }

    /// What is known of a model without its weights.
    private struct Parts {
        var tokenizer: any Tokenizer
        var template: Template
        var card: ModelCard

        init(_ options: EngineOptions, _ outline: ModelOutline, _ progress: LoadProgress.Report) throws {
            progress(LoadProgress(stage: "reading vocabulary", fraction: 0.2))
            tokenizer = try Tokenizers.make(outline.file)
            let (tokens, rows) = (tokenizer.vocabulary.count, outline.hyperparameters.vocabularySize)
            guard tokens <= rows else {
                throw ModelError(
                    .metadata, "\(options.modelPath): the model computes with \(rows) tokens, but its vocabulary has \(tokens)")
            }
            template = try Template(options, outline.file, tokenizer.vocabulary)
            let hasTemplate = options.chatTemplate != nil || outline.file.contains(GGUFFile.chatTemplateKey)
            card = ModelCard(options, outline, hasChatTemplate: hasTemplate)
            card.warnings += tokenizer.vocabulary.warnings
            switch template {
            case .readable(let template): card.chatTemplate = template.source
            case .broken(let reason): card.warnings.append("its chat template cannot be used: \(reason)")
            }
            card.beginText = tokenizer.vocabulary.special.bos.map(tokenizer.vocabulary.text(of:)) ?? ""
            card.endText = tokenizer.vocabulary.special.eos.map(tokenizer.vocabulary.text(of:)) ?? ""
        }
    }

    package var status: EngineStatus {
        var status = counters.current
        // A machine can go while nobody asks for anything.
        if status.phase == .ready, let loss = keeper.loss {
            status.phase = .failed
            status.reason = loss
        }
        return status
    }

    package var nodes: [NodeStatus] { keeper.nodes }

    package func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) async throws(EngineError) -> [Int32] {
        try await blocking { [tokenizer] in
            tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
        }
    }

    package func detokenize(_ tokens: [Int32]) async throws(EngineError) -> [UInt8] {
        try check(tokens)
        return tokenizer.pieces(of: tokens)
    }

    package func render(_ conversation: Conversation) async throws(EngineError) -> RenderedText {
        try await blocking { [template] () throws(EngineError) -> RenderedText in
            switch template {
            case .broken(let reason): throw .template(reason)
            case .readable(let template):
                do throws(TemplateError) {
                    return try template.render(conversation)
                } catch {
                    throw .template("\(error)")
                }
            }
        }
    }

    package func generate(_ request: GenerationRequest) async throws(EngineError) -> GenerationStream {
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
            ignoreEnd: request.ignoreEnd, stopTokens: request.stopTokens, reusesPrompt: request.reusesPrompt,
            alternatives: request.alternatives, probabilities: request.probabilities, source: source)
        guard thread.send(.generate(submission)) else {
            counters.release()
            throw .stopped
        }
        return stream
    }

    package func shutdown() async {
        counters.set(phase: .stopped)
        // A worker that does not answer must not keep us from ending.
        let patience = Task { [keeper] in
            try await Deadlines.sleep(for: GenerationEngine.endingTime)
            keeper.breakOff()
        }
        keeper.letGo()
        try? await BlockingWork.alone(name: "shutdown") { [thread, keeper] in
            thread.stop()
            keeper.stop()
        }
        patience.cancel()
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
