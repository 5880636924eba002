internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import NodeCluster

/// `/tokenize` and `/detokenize`, as llama.cpp's server has them.
struct TokenRoutes: Sendable {
    let models: any ModelDirectory
    let limits: ServerOptions.Limits

    /// `{"content": "text", "add_special": false, "parse_special": true, "with_pieces": false}` → `{"tokens": […]}`.
    func tokenize(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        guard let content = try fields.string("content") else { throw fields.missing("content") }
        let lease = try await models.lease(for: fields)
        defer { withExtendedLifetime(lease) {} }
        let engine = lease.engine
        let tokens = try await engine.tokenize(
            Array(content.utf8), addSpecial: try fields.bool("add_special") ?? false, parseSpecial: try fields.bool("parse_special") ?? true
        )
        guard try fields.bool("with_pieces") ?? false else {
            return Response(json: ["tokens": .array(tokens.map { .integer(Int($0)) })])
        }
        var pieces: [JSONValue] = []
        for token in tokens {
            let bytes = try await engine.detokenize([token])
            // A piece that is no text of its own is told in bytes.
            let piece: JSONValue
            if let text = String(validating: bytes, as: UTF8.self) {
                piece = .string(text)
            } else {
                piece = .array(bytes.map { .integer(Int($0)) })
            }
            pieces.append(["id": .integer(Int(token)), "piece": piece])
        }
        return Response(json: ["tokens": .array(pieces)])
    }

    /// `{"tokens": […]}` → `{"content": "text"}`. Bytes that are no text become U+FFFD.
    func detokenize(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        guard let values = try fields.array("tokens") else { throw fields.missing("tokens") }
        let lease = try await models.lease(for: fields)
        defer { withExtendedLifetime(lease) {} }
        let engine = lease.engine
        let tokens = try CompletionRequest.tokens(values, named: "tokens", vocabularySize: engine.card.vocabularySize)
        let bytes = try await engine.detokenize(tokens)
        return Response(json: ["content": .string(String(decoding: bytes, as: UTF8.self))])
    }
}
