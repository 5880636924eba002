internal import Base
internal import Hummingbird
internal import Logging
internal import NodeCluster
internal import NodeEngine

/// `/v1/embeddings`.
struct EmbeddingRoutes: Sendable {
    let models: any ModelDirectory
    let limits: ServerOptions.Limits

    func embed(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        let lease = try await models.lease(for: fields)
        defer { withExtendedLifetime(lease) {} }
        let engine = lease.engine
        let body = try EmbeddingRequest(fields, card: engine.card)
        do throws(EngineError) {
            let vectors = try await engine.embed(body.texts)
            return Response(json: body.answer(vectors, model: engine.card.id))
        } catch {
            if case .failed(let reason) = error { context.logger.error("the engine failed: \(reason)") }
            throw APIError(error, parameter: "input")
        }
    }
}
