internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import NodeCluster
internal import NodeEngine

/// `/v1/models`: what can be asked for.
struct ModelRoutes: Sendable {
    let models: any ModelDirectory

    func list(_ request: Request, _ context: ServerContext) -> Response {
        Response(json: ["object": "list", "data": .array(models.models.map(\.json))])
    }

    /// A model's id may hold slashes, so it is the whole rest of the path.
    func retrieve(_ request: Request, _ context: ServerContext) throws -> Response {
        let rest = request.uri.path.dropFirst("/v1/models/".count)
        let id = rest.removingPercentEncoding ?? String(rest)
        let listings = models.models
        guard let listing = listings.first(where: { $0.card.id == id }) else {
            throw APIError(EngineError.unknownModel(id, known: listings.map(\.card.id)))
        }
        return Response(json: listing.json)
    }
}

extension ModelListing {
    var json: JSONValue {
        [
            "id": .string(card.id),
            "object": "model",
            "created": .integer(card.created),
            "owned_by": "swiftlet",
            "state": .string(state.rawValue),
            "reason": reason.map(JSONValue.string) ?? .null,
            "places": places.map(JSONValue.string) ?? .null,
            "loads": .integer(loadCount),
            "load_seconds": loadSeconds.map { .number($0) } ?? .null,
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
}

extension ModelDirectory {
    /// The engine of the model that a body names.
    func lease(for fields: RequestFields) async throws -> ModelLease {
        let name = try fields.string("model")
        do throws(EngineError) {
            return try await lease(name)
        } catch {
            throw APIError(error)
        }
    }
}
