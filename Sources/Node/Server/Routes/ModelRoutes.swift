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
        let rest = request.path(after: "/models/")
        let id = rest.removingPercentEncoding ?? String(rest)
        let listings = models.models
        guard let listing = listings.first(where: { $0.id == id }) else {
            throw APIError(EngineError.unknownModel(id, known: listings.map(\.id)))
        }
        return Response(json: listing.json)
    }
}

extension ModelListing {
    var json: JSONValue {
        [
            "id": .string(id),
            "object": "model",
            "created": .integer(card?.created ?? 0),
            "owned_by": "swiftlet",
            "state": .string(state.rawValue),
            "reason": reason.map(JSONValue.string) ?? .null,
            "places": places.map(JSONValue.string) ?? .null,
            "loads": .integer(loadCount),
            "load_seconds": loadSeconds.map { .number($0) } ?? .null,
            "meta": card?.json ?? .null,
        ]
    }
}

extension ModelCard {
    /// What a listing says of the model itself.
    var json: JSONValue {
        [
            "architecture": .string(architecture),
            "name": name.map(JSONValue.string) ?? .null,
            "description": .string(typeDescription),
            "n_vocab": .integer(vocabularySize),
            "n_ctx": .integer(contextSize),
            "n_ctx_train": .integer(trainingContextSize),
            "n_embd": .integer(embeddingLength),
            "n_params": .integer(parameterCount),
            "n_slots": .integer(slotCount),
            "size": .integer(byteCount),
            "has_chat_template": .bool(hasChatTemplate),
            "makes_vectors": .bool(makesVectors),
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
