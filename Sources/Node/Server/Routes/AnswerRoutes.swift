internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NodeCluster
internal import NodeEngine

/// `/v1/completions` and `/v1/chat/completions`.
struct AnswerRoutes: Sendable {
    let models: any ModelDirectory
    let limits: ServerOptions.Limits
    let totals: TokenTotals

    func complete(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        let lease = try await models.lease(for: fields)
        let engine = lease.engine
        let body = try CompletionRequest(fields, vocabularySize: engine.card.vocabularySize)
        let format = AnswerFormat(.completion, model: engine.card.id, body.options)
        let echoes = body.echoes ? try await echoes(of: body.prompts, engine) : []
        return try await answer(lease, body.prompts, body.options, format, echoes: echoes, parameter: "prompt", context)
    }

    func chat(_ request: Request, _ context: ServerContext) async throws -> Response {
        let fields = try await request.fields(limits)
        let lease = try await models.lease(for: fields)
        let engine = lease.engine
        let body = try ChatRequest(fields, vocabularySize: engine.card.vocabularySize)
        let format = AnswerFormat(.chat, model: engine.card.id, body.options)
        let prompt: Prompt
        do throws(EngineError) {
            prompt = .rendered(try await engine.render(body.conversation))
        } catch {
            throw APIError(error, parameter: "messages")
        }
        return try await answer(lease, [prompt], body.options, format, parameter: "messages", context)
    }

    /// The texts to put in front of answers.
    private func echoes(of prompts: [Prompt], _ engine: any TextEngine) async throws -> [String] {
        var texts: [String] = []
        for prompt in prompts {
            switch prompt {
            case .text(let text): texts.append(text)
            case .rendered(let rendered): texts.append(rendered.text)
            case .tokens(let tokens): texts.append(String(decoding: try await engine.detokenize(tokens), as: UTF8.self))
            }
        }
        return texts
    }

    /// - Parameters:
    ///   - echoes: what stands before each prompt's answers; empty for nothing.
    ///   - parameter: the member of the body that holds the prompts.
    func answer(
        _ lease: ModelLease, _ prompts: [Prompt], _ options: AnswerOptions, _ format: any AnswerShape, echoes: [String] = [],
        parameter: String, _ context: ServerContext
    ) async throws -> Response {
        var streams: [GenerationStream] = []
        var options = options
        do throws(EngineError) {
            try await options.resolveTextBiases(lease.engine)
            for prompt in prompts {
                for number in 0..<options.answerCount {
                    streams.append(try await lease.engine.generate(options.request(prompt, number: number)))
                }
            }
        } catch {
            for stream in streams { stream.abandon() }
            if case .failed(let reason) = error { context.logger.error("the engine failed: \(reason)") }
            throw APIError(error, parameter: parameter, contextSize: lease.engine.card.contextSize)
        }
        let batch = AnswerBatch(
            lease: lease, streams: streams, options: options, format: format,
            echoes: echoes.flatMap { Array(repeating: $0, count: options.answerCount) }, timeLimit: limits.answerTime,
            pulseTime: limits.pulseTime, watch: await ConnectionWatch.of(context.channel), record: context.record, logger: context.logger,
            totals: totals)
        return options.streams ? try await batch.streamed() : try await batch.whole()
    }
}
