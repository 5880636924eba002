internal import Base
internal import Foundation
internal import NodeEngine

/// Answers as llama.cpp's server's own `POST /completion` tells them.
struct NativeAnswerFormat: AnswerShape {
    let card: ModelCard
    let request: NativeCompletionRequest
    /// Each prompt as the model reads it.
    let promptTexts: [String]

    private var options: AnswerOptions { request.options }

    var wantsTokens: Bool { options.streams || request.returnsTokens || options.alternatives != nil }
    var marksEnd: Bool { false }

    /// Which slot it was is not known here.
    private static let unknownSlot = -1

    func whole(_ answers: [WholeAnswer], usage: AnswerUsage) -> JSONValue {
        let all = answers.map(end)
        return all.count == 1 ? all[0] : .array(all)
    }

    func opening(index: Int) -> JSONValue? { nil }

    func piece(index: Int, _ piece: AnswerPiece, offset: Int, usage: AnswerUsage) -> JSONValue {
        var object: JSONObject = [
            "index": .integer(index),
            "content": .string(piece.text),
            "tokens": NativeAnswerFormat.ids(piece.tokens),
            "stop": false,
            "id_slot": .integer(NativeAnswerFormat.unknownSlot),
            "tokens_predicted": .integer(usage.completionTokens),
            "tokens_evaluated": .integer(usage.promptTokens),
        ]
        if options.alternatives != nil { object["completion_probabilities"] = probabilities(piece.tokens) }
        return .object(object)
    }

    /// The last chunk has all that a whole answer has, but for what the others said already.
    func closing(_ answer: WholeAnswer) -> JSONValue { end(answer) }

    func accounting(_ usage: AnswerUsage) -> JSONValue? { nil }

    func told(_ error: APIError) -> JSONValue { error.asStock.body }

    // MARK: Inside

    private func end(_ answer: WholeAnswer) -> JSONValue {
        let usage = answer.usage
        let prompt = answer.index / options.answerCount
        var object: JSONObject = [
            "index": .integer(answer.index),
            "content": .string(answer.text),
            "tokens": request.returnsTokens ? NativeAnswerFormat.ids(answer.tokens) : [],
            "id_slot": .integer(NativeAnswerFormat.unknownSlot),
            "stop": true,
            "model": .string(card.id),
            "tokens_predicted": .integer(usage.completionTokens),
            "tokens_evaluated": .integer(usage.promptTokens),
            "generation_settings": NativeSettings.json(options),
            "prompt": .string(promptTexts.indices.contains(prompt) ? promptTexts[prompt] : ""),
            "has_new_line": .bool(answer.hasLineFeed),
            "truncated": .bool(isTruncated(answer)),
            "stop_type": .string(stopType(answer)),
            "stopping_word": .string(answer.stopWord ?? ""),
            // The last token was chosen and is not in the model's memory yet.
            "tokens_cached": .integer(usage.promptTokens + max(0, usage.completionTokens - 1)),
            "timings": usage.timingsJSON,
        ]
        if options.alternatives != nil, !options.streams { object["completion_probabilities"] = probabilities(answer.tokens) }
        return request.responseFields.isEmpty ? .object(object) : .object(chosen(of: object))
    }

    private func stopType(_ answer: WholeAnswer) -> String {
        switch answer.reason {
        case .stop: answer.stopWord == nil ? "eos" : "word"
        case .length: "limit"
        }
    }

    /// Whether the context was full before as many tokens were there as were asked for.
    private func isTruncated(_ answer: WholeAnswer) -> Bool {
        answer.reason == .length && answer.usage.completionTokens < options.maxTokens ?? .max
    }

    private func chosen(of object: JSONObject) -> JSONObject {
        var chosen = JSONObject()
        for path in request.responseFields where path.contains(where: { $0 != "/" }) {
            let value = path.split(separator: "/").reduce(JSONValue.object(object) as JSONValue?) { $0?[String($1)] }
            if let value { chosen[path] = value }
        }
        return chosen
    }

    private static func ids(_ tokens: [GeneratedToken]) -> JSONValue { .array(tokens.map { .integer(Int($0.id)) }) }

    private func probabilities(_ tokens: [GeneratedToken]) -> JSONValue {
        let isOfChoice = options.probabilities == .ofChoice
        func entry(_ alternative: GeneratedToken.Alternative) -> JSONObject {
            let logarithm = Double(alternative.logProbability)
            var object: JSONObject = [
                "id": .integer(Int(alternative.id)),
                "token": .string(String(decoding: alternative.bytes, as: UTF8.self)),
                "bytes": .array(alternative.bytes.map { .integer(Int($0)) }),
            ]
            if isOfChoice {
                object["prob"] = .number(exp(logarithm))
            } else {
                // JSON has no infinity.
                object["logprob"] = .number(max(logarithm, -Double(Float.greatestFiniteMagnitude)))
            }
            return object
        }
        return .array(
            tokens.compactMap { token in
                guard let chosen = token.chosen else { return nil }
                var object = entry(chosen)
                object[isOfChoice ? "top_probs" : "top_logprobs"] = .array(token.alternatives.map { .object(entry($0)) })
                return .object(object)
            })
    }
}
