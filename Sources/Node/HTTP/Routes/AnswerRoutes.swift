internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// `/v1/completions` and `/v1/chat/completions`.
struct AnswerRoutes: Sendable {
    let engine: any TextEngine
    let limits: ServerOptions.Limits

    func complete(_ request: Request, _ context: ServerContext) async throws -> Response {
        let body = try CompletionRequest(try await request.fields(limits), vocabularySize: engine.card.vocabularySize)
        let format = AnswerFormat(.completion, model: engine.card.id, includesUsage: body.options.includesUsage)
        let echoes = body.echoes ? try await echoes(of: body.prompts) : []
        return try await answer(body.prompts, body.options, format, echoes: echoes, parameter: "prompt", context)
    }

    func chat(_ request: Request, _ context: ServerContext) async throws -> Response {
        let body = try ChatRequest(try await request.fields(limits), vocabularySize: engine.card.vocabularySize)
        let format = AnswerFormat(.chat, model: engine.card.id, includesUsage: body.options.includesUsage)
        let prompt: String
        do throws(EngineError) {
            prompt = try await engine.render(body.conversation)
        } catch {
            throw APIError(error, parameter: "messages")
        }
        return try await answer([.rendered(prompt)], body.options, format, parameter: "messages", context)
    }

    /// The texts to put in front of answers.
    private func echoes(of prompts: [Prompt]) async throws -> [String] {
        var texts: [String] = []
        for prompt in prompts {
            switch prompt {
            case .text(let text), .rendered(let text): texts.append(text)
            case .tokens(let tokens): texts.append(String(decoding: try await engine.detokenize(tokens), as: UTF8.self))
            }
        }
        return texts
    }

    private func answer(
        _ prompts: [Prompt], _ options: AnswerOptions, _ format: AnswerFormat, echoes: [String] = [], parameter: String,
        _ context: ServerContext
    ) async throws -> Response {
        var streams: [GenerationStream] = []
        do throws(EngineError) {
            for prompt in prompts { streams.append(try await engine.generate(options.request(prompt))) }
        } catch {
            for stream in streams { stream.abandon() }
            if case .failed(let reason) = error { context.logger.error("the engine failed: \(reason)") }
            throw APIError(error, parameter: parameter)
        }
        let batch = AnswerBatch(
            streams: streams, options: options, format: format, echoes: echoes, timeLimit: limits.answerTime,
            watch: await ConnectionWatch.of(context.channel), record: context.record, logger: context.logger)
        return options.streams ? batch.streamed() : try await batch.whole()
    }
}
