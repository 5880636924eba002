internal import Base
internal import Hummingbird
internal import Logging
internal import NodeCluster
internal import NodeEngine

/// `/v1/embeddings`.
struct EmbeddingRoutes: Sendable {
    let models: any ModelDirectory
    let limits: ServerOptions.Limits
    let totals: TokenTotals

    func embed(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        return try await embed(fields, member: "input", context) { $0.answer($1, model: $2) }
    }

    /// As llama.cpp's server has it without `/v1`: texts in `input` or `content`, and a list of vectors alone.
    func embedNatively(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        let member = fields["input"] == nil && fields["content"] != nil ? "content" : "input"
        return try await embed(fields, member: member, context) { body, vectors, _ in body.nativeAnswer(vectors) }
    }

    private func embed(
        _ fields: RequestFields, member: String, _ context: ServerContext, _ told: (EmbeddingRequest, [TextVector], String) -> JSONValue
    ) async throws -> Response {
        let lease = try await models.lease(for: fields)
        defer { withExtendedLifetime(lease) {} }
        let engine = lease.engine
        let body = try EmbeddingRequest(fields, member: member, card: engine.card)
        let work = Task {
            var texts: [Prompt] = []
            for text in body.texts {
                // Plain text is the engine's own to read, which holds for spellings of control tokens too.
                if text.parts.count == 1, case .text(let plain) = text.parts[0] {
                    texts.append(.text(plain))
                } else {
                    texts.append(.tokens(try await engine.tokens(of: text)))
                }
            }
            return try await engine.embed(texts)
        }
        // Texts that nobody waits for are not read on.
        let watch = await ConnectionWatch.of(context.channel)
        let departure = watch?.onDeparture { work.cancel() }
        let start = ContinuousClock.now
        let timer = Task {
            try await Deadlines.sleep(for: limits.answerTime)
            work.cancel()
        }
        defer {
            timer.cancel()
            if let departure { watch?.forget(departure) }
        }
        do {
            let vectors = try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                work.cancel()
            }
            totals.add(AnswerUsage(promptTokens: vectors.reduce(0) { $0 + $1.tokenCount }))
            return Response(json: told(body, vectors, engine.card.id))
        } catch let error as EngineError {
            if work.isCancelled, start.duration(to: .now) >= limits.answerTime { throw APIError.answerTimeout }
            if work.isCancelled { throw APIError.clientGone }
            if case .failed(let reason) = error { context.logger.error("the engine failed: \(reason)") }
            throw APIError(error, parameter: member, contextSize: engine.card.contextSize)
        }
    }
}
