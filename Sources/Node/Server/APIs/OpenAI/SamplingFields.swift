internal import Base
internal import NodeEngine

extension RequestFields {
    /// How tokens are to be chosen. The names are OpenAI's, and llama.cpp's server's where OpenAI has none.
    func sampling() throws(APIError) -> SamplingSettings {
        var settings = SamplingSettings()
        // Below 0 is greedy as well.
        settings.temperature = max(0, try number("temperature", in: -1_000_000...1_000_000) ?? settings.temperature)
        settings.topK = max(0, try integer("top_k", in: Int(Int32.min)...Int(Int32.max)) ?? settings.topK)
        settings.topP = try number("top_p", in: 0...1) ?? settings.topP
        settings.minP = try number("min_p", in: 0...1) ?? settings.minP
        settings.frequencyPenalty = try number("frequency_penalty", in: -1_000_000...1_000_000) ?? settings.frequencyPenalty
        settings.presencePenalty = try number("presence_penalty", in: -1_000_000...1_000_000) ?? settings.presencePenalty
        settings.repeatPenalty = try number("repeat_penalty", in: 0.0001...1_000_000) ?? settings.repeatPenalty
        if let penalty = try number("repetition_penalty", in: 0.0001...1_000_000) {
            if let other = try number("repeat_penalty", in: 0.0001...1_000_000), other != penalty {
                throw .invalid(
                    "'repetition_penalty' and 'repeat_penalty' mean the same and differ.", parameter: path("repetition_penalty"),
                    code: "invalid_value")
            }
            settings.repeatPenalty = penalty
            // vLLM's looks at the whole text, the prompt included.
            if penalty != 1 { settings.penaltyWindow = -1 }
        }
        settings.penaltyWindow = try integer("repeat_last_n", in: -1...Int(Int32.max)) ?? settings.penaltyWindow
        // A negative seed asks for a random one, and so does the one that llama.cpp's server tells of drawn seeds. Longer seeds than ours
        // are cut to their low 32 bits.
        if let seed = try integer("seed", in: Int.min...Int.max), seed >= 0, seed != Int(UInt32.max) {
            settings.seed = UInt32(truncatingIfNeeded: seed)
        }
        return settings
    }

    /// `{"1234": -100, " the": 2}`, or llama.cpp's `[[1234, -1.0], [" the", false]]`.
    func logitBiases(vocabularySize: Int) throws(APIError) -> (tokens: [Int32: Float], texts: [AnswerOptions.TextBias]) {
        guard let value = self["logit_bias"] else { return ([:], []) }
        let name = path("logit_bias")
        var biases: [Int32: Float] = [:]
        var texts: [AnswerOptions.TextBias] = []
        func amount(_ bias: JSONValue) throws(APIError) -> Float {
            let number: Double
            switch bias {
            case .bool(false), .null: return -.infinity
            case .integer(let value): number = Double(value)
            case .number(let value): number = value
            default: throw .invalid("'\(name)' has a bias that is not a number.", parameter: name, code: "invalid_value")
            }
            // OpenAI's way of forbidding a token.
            return number <= -100 ? -.infinity : Float(min(number, 1_000_000))
        }
        func addToken(_ id: Int, _ bias: JSONValue) throws(APIError) {
            guard id >= 0, id < vocabularySize, let token = Int32(exactly: id) else {
                throw .invalid(
                    "'\(name)' names a token that is not a whole number from 0 to \(vocabularySize - 1).", parameter: name,
                    code: "invalid_value")
            }
            biases[token] = try amount(bias)
        }
        func addText(_ text: String, _ bias: JSONValue) throws(APIError) {
            guard !text.isEmpty, text.utf8.count <= 1024 else {
                throw .invalid("'\(name)' must name texts of 1 to 1024 bytes.", parameter: name, code: "invalid_value")
            }
            texts.append(AnswerOptions.TextBias(text: text, bias: try amount(bias)))
        }
        switch value {
        case .object(let object):
            if object.members.count > 1024 { throw tooManyBiases(name) }
            for member in object.members {
                if let id = Int(member.name) { try addToken(id, member.value) } else { try addText(member.name, member.value) }
            }
        case .array(let pairs):
            if pairs.count > 1024 { throw tooManyBiases(name) }
            for pair in pairs {
                // As this server tells them.
                if case .object(let entry) = pair, case .integer(let id)? = entry["token"] {
                    try addToken(id, entry["bias"] ?? .null)
                    continue
                }
                guard case .array(let parts) = pair, parts.count == 2 else {
                    throw .invalid("'\(name)' must hold pairs of a token and a number.", parameter: name, code: "invalid_type")
                }
                switch parts[0] {
                case .integer(let id): try addToken(id, parts[1])
                case .string(let text): try addText(text, parts[1])
                default:
                    throw .invalid(
                        "'\(name)' names a token by \(parts[0].kind) instead of its number or a text.", parameter: name,
                        code: "invalid_type")
                }
            }
        default:
            throw .invalid("'\(name)' must be an object of tokens and biases, not \(value.kind).", parameter: name, code: "invalid_type")
        }
        return (biases, texts)
    }

    private func tooManyBiases(_ name: String) -> APIError {
        .invalid("'\(name)' has more than 1024 entries.", parameter: name, code: "invalid_value")
    }

    /// Strings at which the answer ends: a string, or a list of at most 64. An empty one stops nothing.
    func stops() throws(APIError) -> [String] {
        guard let value = self["stop"] else { return [] }
        let name = path("stop")
        var stops: [String] = []
        switch value {
        case .string(let stop): stops = [stop]
        case .array(let elements):
            for element in elements {
                guard case .string(let stop) = element else {
                    throw .invalid("'\(name)' must hold strings, not \(element.kind).", parameter: name, code: "invalid_type")
                }
                stops.append(stop)
            }
        default:
            throw .invalid("'\(name)' must be a string or a list of strings, not \(value.kind).", parameter: name, code: "invalid_type")
        }
        stops.removeAll(where: \.isEmpty)
        if stops.count > 64 {
            throw .invalid("'\(name)' may hold at most 64 strings.", parameter: name, code: "invalid_value")
        }
        for stop in stops where stop.utf8.count > 1024 {
            throw .invalid("'\(name)' must hold strings of at most 1024 bytes.", parameter: name, code: "invalid_value")
        }
        return stops
    }

    /// Tokens to answer with at most; nil, and -1 in a request, for no limit. Of several names the first that sets a limit counts.
    func maxTokens(_ names: [String] = ["max_completion_tokens", "max_tokens", "n_predict"]) throws(APIError) -> Int? {
        var limit: Int?
        for name in names {
            if let tokens = try integer(name, in: -1...Int(Int32.max)), tokens >= 0 { limit = limit ?? tokens }
        }
        return limit
    }
}
