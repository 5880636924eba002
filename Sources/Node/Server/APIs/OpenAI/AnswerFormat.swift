internal import Base
internal import Foundation
internal import NodeEngine

/// Answers as OpenAI's API tells them.
struct AnswerFormat: AnswerShape {
    enum Kind: Sendable {
        case completion
        case chat
    }

    let kind: Kind
    let id: String
    let created: Int
    let model: String
    let includesUsage: Bool
    /// Whether probabilities are asked for.
    let includesProbabilities: Bool

    var wantsTokens: Bool { includesProbabilities }
    var marksEnd: Bool { true }

    init(_ kind: Kind, model: String, _ options: AnswerOptions) {
        self.kind = kind
        self.model = model
        includesUsage = options.includesUsage
        includesProbabilities = options.alternatives != nil
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        let suffix = String((0..<24).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] })
        id = (kind == .chat ? "chatcmpl-" : "cmpl-") + suffix
        created = Int(Date().timeIntervalSince1970)
    }

    private func envelope(_ object: String, choices: [JSONValue]) -> JSONObject {
        [
            "id": .string(id),
            "object": .string(object),
            "created": .integer(created),
            "model": .string(model),
            "system_fingerprint": .string("swiftlet-\(Version.current)"),
            "choices": .array(choices),
        ]
    }

    // MARK: Whole answers

    func whole(_ answers: [WholeAnswer], usage: AnswerUsage) -> JSONValue {
        var object = envelope(kind == .chat ? "chat.completion" : "text_completion", choices: answers.map(choice))
        object["usage"] = usage.json
        object["timings"] = usage.timingsJSON
        return .object(object)
    }

    private func choice(_ answer: WholeAnswer) -> JSONValue {
        var choice: JSONObject = ["index": .integer(answer.index)]
        let tokens = includesProbabilities ? answer.tokens : nil
        switch kind {
        case .completion:
            choice["text"] = .string(answer.text)
            choice["logprobs"] = tokens.map { TokenReport($0).completion(startingAt: 0) } ?? .null
        case .chat:
            choice["message"] = ["role": "assistant", "content": .string(answer.text), "refusal": nil]
            choice["logprobs"] = tokens.map { TokenReport($0).chat } ?? .null
        }
        choice["finish_reason"] = .string(answer.reason.rawValue)
        return .object(choice)
    }

    // MARK: Chunks

    private func chunk(_ choices: [JSONValue]) -> JSONObject {
        var object = envelope(kind == .chat ? "chat.completion.chunk" : "text_completion", choices: choices)
        if includesUsage { object["usage"] = .null }
        return object
    }

    /// A chat's first chunk, which says who speaks.
    func opening(index: Int) -> JSONValue? {
        guard kind == .chat else { return nil }
        return .object(
            chunk([["index": .integer(index), "delta": ["role": "assistant", "content": ""], "logprobs": nil, "finish_reason": nil]]))
    }

    func piece(index: Int, _ piece: AnswerPiece, offset: Int, usage: AnswerUsage) -> JSONValue {
        var choice: JSONObject = ["index": .integer(index)]
        let tokens = includesProbabilities ? piece.tokens : nil
        switch kind {
        case .completion:
            choice["text"] = .string(piece.text)
            choice["logprobs"] = tokens.map { TokenReport($0).completion(startingAt: offset) } ?? .null
        case .chat:
            choice["delta"] = ["content": .string(piece.text)]
            choice["logprobs"] = tokens.map { TokenReport($0).chat } ?? .null
        }
        choice["finish_reason"] = .null
        return .object(chunk([.object(choice)]))
    }

    func closing(_ answer: WholeAnswer) -> JSONValue {
        var choice: JSONObject = ["index": .integer(answer.index)]
        switch kind {
        case .completion: choice["text"] = ""
        case .chat: choice["delta"] = [:]
        }
        choice["logprobs"] = .null
        choice["finish_reason"] = .string(answer.reason.rawValue)
        return .object(chunk([.object(choice)]))
    }

    func told(_ error: APIError) -> JSONValue { error.body }

    /// The chunk without choices that counts tokens, for those who asked for it.
    func accounting(_ usage: AnswerUsage) -> JSONValue? {
        guard includesUsage else { return nil }
        var object = chunk([])
        object["usage"] = usage.json
        object["timings"] = usage.timingsJSON
        return .object(object)
    }
}

extension AnswerUsage {
    var json: JSONValue {
        [
            "prompt_tokens": .integer(promptTokens),
            "completion_tokens": .integer(completionTokens),
            "total_tokens": .integer(promptTokens + completionTokens),
            "prompt_tokens_details": ["cached_tokens": .integer(cachedTokens)],
        ]
    }

    /// llama.cpp's server's account of time. The first token comes with the prompt, so it counts as no step of the rest.
    var timingsJSON: JSONValue {
        let computed = promptTokens - cachedTokens
        let steps = max(0, completionTokens - 1)
        // Of the milliseconds that are told, so that clients that count again find the same.
        func rate(_ time: Duration, _ count: Int) -> JSONValue {
            .number(time.milliseconds > 0 ? Double(count) * 1e3 / time.milliseconds : 0)
        }
        func each(_ time: Duration, _ count: Int) -> JSONValue { .number(count > 0 ? time.milliseconds / Double(count) : 0) }
        return [
            "cache_n": .integer(cachedTokens),
            "prompt_n": .integer(computed),
            "prompt_ms": .number(timings.prompt.milliseconds),
            "prompt_per_token_ms": each(timings.prompt, computed),
            "prompt_per_second": rate(timings.prompt, computed),
            "predicted_n": .integer(completionTokens),
            "predicted_ms": .number(timings.generation.milliseconds),
            "predicted_per_token_ms": each(timings.generation, steps),
            "predicted_per_second": rate(timings.generation, steps),
        ]
    }
}

/// Probabilities of tokens, in OpenAI's two forms.
private struct TokenReport {
    let tokens: [GeneratedToken]

    init(_ tokens: [GeneratedToken]) {
        self.tokens = tokens
    }

    func chosen(_ token: GeneratedToken) -> GeneratedToken.Alternative {
        token.chosen ?? GeneratedToken.Alternative(id: token.id, bytes: Array(token.text.utf8), logProbability: 0)
    }

    func text(_ alternative: GeneratedToken.Alternative) -> String {
        String(decoding: alternative.bytes, as: UTF8.self)
    }

    func completion(startingAt offset: Int) -> JSONValue {
        var names: [JSONValue] = []
        var probabilities: [JSONValue] = []
        var tops: [JSONValue] = []
        var offsets: [JSONValue] = []
        var position = offset
        for token in tokens {
            let chosen = chosen(token)
            let name = text(chosen)
            names.append(.string(name))
            probabilities.append(.number(Double(chosen.logProbability)))
            var top: JSONObject = [:]
            for alternative in token.alternatives { top[text(alternative)] = .number(Double(alternative.logProbability)) }
            tops.append(.object(top))
            offsets.append(.integer(position))
            position += name.unicodeScalars.count
        }
        return [
            "tokens": .array(names), "token_logprobs": .array(probabilities), "top_logprobs": .array(tops), "text_offset": .array(offsets),
        ]
    }

    private func chat(_ alternative: GeneratedToken.Alternative) -> JSONObject {
        [
            "token": .string(text(alternative)),
            "logprob": .number(Double(alternative.logProbability)),
            "bytes": .array(alternative.bytes.map { .integer(Int($0)) }),
        ]
    }

    var chat: JSONValue {
        let content = tokens.map { token -> JSONValue in
            var entry = chat(chosen(token))
            entry["top_logprobs"] = .array(token.alternatives.map { .object(chat($0)) })
            return .object(entry)
        }
        return ["content": .array(content), "refusal": nil]
    }
}
