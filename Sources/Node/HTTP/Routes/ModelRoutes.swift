internal import HTTPTypes
internal import Hummingbird

/// `/v1/models`: what can be asked for.
struct ModelRoutes: Sendable {
    let engine: any TextEngine

    private var listing: JSONValue {
        let card = engine.card
        return [
            "id": .string(card.id),
            "object": "model",
            "created": .integer(card.created),
            "owned_by": "swiftlet",
            "meta": [
                "architecture": .string(card.architecture),
                "name": card.name.map(JSONValue.string) ?? .null,
                "description": .string(card.typeDescription),
                "n_vocab": .integer(card.vocabularySize),
                "n_ctx": .integer(card.contextSize),
                "n_ctx_train": .integer(card.trainingContextSize),
                "n_embd": .integer(card.embeddingLength),
                "n_params": .integer(card.parameterCount),
                "n_slots": .integer(card.slotCount),
                "size": .integer(card.byteCount),
                "has_chat_template": .bool(card.hasChatTemplate),
            ],
        ]
    }

    func list(_ request: Request, _ context: ServerContext) -> Response {
        Response(json: ["object": "list", "data": [listing]])
    }

    /// A model's id may hold slashes, so it is the whole rest of the path.
    func retrieve(_ request: Request, _ context: ServerContext) throws -> Response {
        let rest = request.uri.path.dropFirst("/v1/models/".count)
        let id = rest.removingPercentEncoding ?? String(rest)
        guard id == engine.card.id else {
            throw APIError(
                .notFound, .notFound, "There is no model '\(id.prefix(200))' here; the one that is here is '\(engine.card.id)'.",
                parameter: "model", code: "model_not_found")
        }
        return Response(json: listing)
    }
}
