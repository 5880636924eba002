internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import NodeCluster
internal import NodeEngine

/// What llama.cpp's server has beside OpenAI's API: `/completion`, `/apply-template`, `/props`, `/slots`.
struct NativeRoutes: Sendable {
    let models: any ModelDirectory
    let limits: ServerOptions.Limits
    let answers: AnswerRoutes

    func complete(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        let lease = try await models.lease(for: fields)
        let engine = lease.engine
        let body = try NativeCompletionRequest(fields, vocabularySize: engine.card.vocabularySize)
        var prompts: [Prompt] = []
        var texts: [String] = []
        for parts in body.prompts {
            let tokens = try await engine.tokens(of: parts)
            prompts.append(.tokens(tokens))
            texts.append(String(decoding: try await engine.detokenize(tokens), as: UTF8.self))
        }
        let format = NativeAnswerFormat(card: engine.card, request: body, promptTexts: texts)
        return try await answers.answer(lease, prompts, body.options, format, parameter: "prompt", context)
    }

    /// `{"messages": […]}` → `{"prompt": "…"}`: what a chat would be asked with.
    func applyTemplate(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        let lease = try await models.lease(for: fields)
        defer { withExtendedLifetime(lease) {} }
        let body = try ChatRequest(fields, vocabularySize: lease.engine.card.vocabularySize)
        do throws(EngineError) {
            return Response(json: ["prompt": .string(try await lease.engine.render(body.conversation).text)])
        } catch {
            throw APIError(error, parameter: "messages")
        }
    }

    /// What is served, and how. Of several models the one that `?model=` names, which is loaded for it; without, only that there are
    /// several.
    func properties(_ request: Request, _ context: ServerContext) async throws -> Response {
        let name = request.uri.queryParameters["model"].map { String($0) }
        if name == nil, models.models.count { $0.card != nil } > 1 {
            return Response(json: [
                "role": "router", "models_autoload": true, "model_alias": "", "model_path": "", "build_info": NativeRoutes.build,
                "default_generation_settings": ["params": nil, "n_ctx": 0],
            ])
        }
        let lease = try await models.lease(name)
        let card = lease.engine.card
        let defaults = try AnswerOptions(RequestFields(JSONObject()), vocabularySize: card.vocabularySize)
        return Response(json: [
            "default_generation_settings": ["params": NativeSettings.json(defaults), "n_ctx": .integer(card.contextSize)],
            "total_slots": .integer(card.slotCount),
            "model_alias": .string(card.id),
            "model_path": .string(card.modelPath),
            "modalities": ["vision": false, "audio": false],
            "chat_template": .string(card.chatTemplate ?? ""),
            "bos_token": .string(card.beginText),
            "eos_token": .string(card.endText),
            "build_info": NativeRoutes.build,
            "is_sleeping": false,
        ])
    }

    private static let build = JSONValue.string("swiftlet-\(Version.current)")

    /// `?fail_on_no_slot` answers with 503 where none is free. Slots are alike, so which of them are busy is not told.
    func slots(_ request: Request, _ context: ServerContext) throws -> Response {
        let status = models.status
        if request.uri.queryParameters["fail_on_no_slot"] != nil, status.slotsBusy >= status.slotCount {
            throw APIError(.serviceUnavailable, .unavailable, "No slot is free.", code: "overloaded")
        }
        // Of several models those that are loaded have slots.
        let loaded = models.models.filter { $0.state == .loaded }
        let contextSize = (loaded.isEmpty ? models.models : loaded).lazy.compactMap(\.card).first?.contextSize ?? 0
        return Response(
            json: .array(
                (0..<status.slotCount).map { index in
                    [
                        "id": .integer(index), "n_ctx": .integer(contextSize), "speculative": false,
                        "is_processing": .bool(index < status.slotsBusy),
                    ]
                }))
    }
}
