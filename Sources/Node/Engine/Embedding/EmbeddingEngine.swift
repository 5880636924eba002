internal import Base
package import GGUF
package import Jinja
internal import Kernels
internal import Model
internal import Synchronization

/// A model that makes vectors of texts, on this machine's processor: one text after another, on threads of its own.
package final class EmbeddingEngine: TextEngine {
    package let card: ModelCard
    private let tokenizer: any Tokenizer
    /// Nil once it is shut down.
    private let encoder: Mutex<TextEncoder?>
    private let turns = Turns()
    private let counters: EngineCounters
    private let queueLimit: Int

    /// Whether a file's model is one for this, rather than one that generates.
    ///
    /// - Throws: `ModelError` for files that are no model at all.
    package static func reads(_ file: GGUFFile) throws -> Bool { try TextEncoder.figures(of: file) != nil }

    /// Blocks: reads the vocabulary.
    ///
    /// - Throws: `ModelError`, `BackendError`, ``EngineError/unsupported(_:)`` for kernels that there are not.
    package init(_ options: EngineOptions, _ file: GGUFFile) throws {
        tokenizer = try Tokenizers.make(file)
        let encoder = try TextEncoder(file, on: CPUBackend(options))
        let (tokens, rows) = (tokenizer.vocabulary.count, encoder.hyperparameters.vocabularySize)
        guard tokens <= rows else {
            throw ModelError(.metadata, "\(options.modelPath): the model computes with \(rows) tokens, but its vocabulary has \(tokens)")
        }
        var card = ModelCard(embeddingWith: options, file, encoder.hyperparameters)
        card.warnings += tokenizer.vocabulary.warnings
        self.card = card
        self.encoder = Mutex(encoder)
        counters = EngineCounters(slotCount: 1)
        queueLimit = max(1, options.queueLimit)
    }

    package var status: EngineStatus { counters.current }

    package var nodes: [NodeStatus] { [] }

    package func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) async throws(EngineError) -> [Int32] {
        do {
            return try await BlockingWork.run { [tokenizer] in tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial) }
        } catch {
            throw .failed("\(error)")
        }
    }

    package func detokenize(_ tokens: [Int32]) async throws(EngineError) -> [UInt8] {
        try check(tokens)
        return tokenizer.pieces(of: tokens)
    }

    package func render(_ conversation: Conversation) async throws(EngineError) -> RenderedText { throw generatesNothing }

    package func generate(_ request: GenerationRequest) async throws(EngineError) -> GenerationStream { throw generatesNothing }

    package func embed(_ texts: [Prompt]) async throws(EngineError) -> [TextVector] {
        guard counters.current.phase != .stopped else { throw .stopped }
        // Before anything is done for it.
        guard counters.reserve(limit: queueLimit) else { throw .overloaded(queued: queueLimit) }
        defer { counters.release() }
        var all: [[Int32]] = []
        for text in texts {
            if Task.isCancelled { throw .stopped }
            let tokens = try await tokens(of: text)
            guard !tokens.isEmpty else { throw .emptyPrompt }
            guard tokens.count <= card.contextSize else { throw .promptTooLong(tokens: tokens.count, limit: card.contextSize) }
            all.append(tokens)
        }
        var vectors: [TextVector] = []
        for tokens in all {
            do {
                // A turn for each text: requests of many let others in between.
                vectors.append(
                    try await turns.take {
                        // Nobody waits for it any more, or the program is to end.
                        if Task.isCancelled || counters.current.phase == .stopped { throw EngineError.stopped }
                        return try await BlockingWork.alone(name: "embed") { [self] in
                            TextVector(values: try vector(of: tokens), tokenCount: tokens.count)
                        }
                    })
            } catch let error as EngineError {
                throw error
            } catch is CancellationError {
                throw .stopped
            } catch {
                throw .failed("\(error)")
            }
        }
        return vectors
    }

    package func shutdown() async {
        counters.set(phase: .stopped)
        // Waits for the text that is being read.
        try? await BlockingWork.alone(name: "shutdown") { [self] in encoder.withLock { $0 = nil } }
    }

    // MARK: Inside

    private var generatesNothing: EngineError {
        .unsupported("the model \(card.id) makes vectors of texts (embeddings) and cannot generate")
    }

    /// Blocks while the text is read.
    private func vector(of tokens: [Int32]) throws -> [Float] {
        try encoder.withLock { encoder in
            guard let encoder else { throw EngineError.stopped }
            return try encoder.embed(tokens)
        }
    }

    private func tokens(of text: Prompt) async throws(EngineError) -> [Int32] {
        switch text {
        case .tokens(let tokens):
            try check(tokens)
            return tokens
        case .text(let text):
            // Nobody's text is to end where it says so.
            return try await tokenize(Array(text.utf8), addSpecial: true, parseSpecial: false)
        case .rendered: throw generatesNothing
        }
    }

    private func check(_ tokens: [Int32]) throws(EngineError) {
        if let wrong = tokens.first(where: { $0 < 0 || Int($0) >= card.vocabularySize }) {
            throw .invalidToken(wrong, vocabularySize: card.vocabularySize)
        }
    }
}
