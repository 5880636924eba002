internal import Base
internal import NodeEngine

extension RequestFields {
    /// How tokens are to be chosen. The names are OpenAI's, and llama.cpp's server's where OpenAI has none.
    func sampling(vocabularySize: Int) throws(APIError) -> SamplingSettings {
        try refuseForeignSamplers()
        var settings = SamplingSettings()
        settings.temperature = try number("temperature", in: 0...100) ?? settings.temperature
        settings.topK = try integer("top_k", in: -1...Int(Int32.max)) ?? settings.topK
        if settings.topK < 0 { settings.topK = 0 }
        settings.topP = try number("top_p", in: 0...1) ?? settings.topP
        settings.minP = try number("min_p", in: 0...1) ?? settings.minP
        settings.repeatPenalty = try number("repeat_penalty", in: 0.01...100) ?? settings.repeatPenalty
        settings.frequencyPenalty = try number("frequency_penalty", in: -2...2) ?? settings.frequencyPenalty
        settings.presencePenalty = try number("presence_penalty", in: -2...2) ?? settings.presencePenalty
        settings.penaltyWindow = try integer("repeat_last_n", in: -1...Int(Int32.max)) ?? settings.penaltyWindow
        // A negative seed asks for a random one. Longer seeds than ours are cut to their low 32 bits.
        if let seed = try integer("seed", in: Int.min...Int.max), seed >= 0 {
            settings.seed = UInt32(truncatingIfNeeded: seed)
        }
        settings.logitBias = try logitBias(vocabularySize: vocabularySize)
        return settings
    }

    /// Ways of choosing that other servers have: to ignore them would give answers that were not asked for.
    private func refuseForeignSamplers() throws(APIError) {
        let reason = "this server cannot choose tokens that way"
        let isZero: (JSONValue) -> Bool = { $0 == .integer(0) || $0 == .number(0) || $0 == .bool(false) }
        let isOne: (JSONValue) -> Bool = { $0 == .integer(1) || $0 == .number(1) }
        for name in ["mirostat", "dynatemp_range", "xtc_probability", "dry_multiplier"] {
            try refuse(name, unless: isZero, because: reason)
        }
        try refuse("typical_p", unless: isOne, because: reason)
        for name in ["grammar", "json_schema"] {
            try refuse(name, unless: { $0 == .string("") }, because: "answers cannot be bound to a grammar")
        }
        try refuse(
            "response_format", unless: { $0["type"] == .string("text") },
            because: "answers cannot be bound to a format; use {\"type\": \"text\"}")
    }

    /// `{"1234": -100}`, or llama.cpp's `[[1234, -1.0], [5, false]]`.
    private func logitBias(vocabularySize: Int) throws(APIError) -> [Int32: Float] {
        guard let value = self["logit_bias"] else { return [:] }
        let name = path("logit_bias")
        var biases: [Int32: Float] = [:]
        func add(_ id: Int?, _ bias: JSONValue) throws(APIError) {
            guard let id, id >= 0, id < vocabularySize, let token = Int32(exactly: id) else {
                throw .invalid(
                    "'\(name)' names a token that is not a whole number from 0 to \(vocabularySize - 1).", parameter: name,
                    code: "invalid_value")
            }
            switch bias {
            case .bool(false): biases[token] = -.infinity
            case .integer(let value) where (-100...100).contains(value): biases[token] = value == -100 ? -.infinity : Float(value)
            case .number(let value) where value >= -100 && value <= 100: biases[token] = value == -100 ? -.infinity : Float(value)
            default:
                throw .invalid("'\(name)' has a bias that is not a number from -100 to 100.", parameter: name, code: "invalid_value")
            }
        }
        switch value {
        case .object(let object):
            if object.members.count > 1024 { throw tooManyBiases(name) }
            for member in object.members { try add(Int(member.name), member.value) }
        case .array(let pairs):
            if pairs.count > 1024 { throw tooManyBiases(name) }
            for pair in pairs {
                guard case .array(let parts) = pair, parts.count == 2, case .integer(let id) = parts[0] else {
                    throw .invalid("'\(name)' must hold pairs of a token and a number.", parameter: name, code: "invalid_type")
                }
                try add(id, parts[1])
            }
        default:
            throw .invalid("'\(name)' must be an object of token ids and biases, not \(value.kind).", parameter: name, code: "invalid_type")
        }
        return biases
    }

    private func tooManyBiases(_ name: String) -> APIError {
        .invalid("'\(name)' has more than 1024 entries.", parameter: name, code: "invalid_value")
    }

    /// Strings at which the answer ends: a string, or a list of at most 16.
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
        if stops.count > 16 {
            throw .invalid("'\(name)' may hold at most 16 strings.", parameter: name, code: "invalid_value")
        }
        for stop in stops where stop.isEmpty || stop.utf8.count > 1024 {
            throw .invalid("'\(name)' must hold strings of 1 to 1024 bytes.", parameter: name, code: "invalid_value")
        }
        return stops
    }

    /// Tokens to answer with at most. The newer name wins; `n_predict` is llama.cpp's and takes -1 for no limit.
    func maxTokens() throws(APIError) -> Int? {
        let limit = Int(Int32.max)
        if let tokens = try integer("max_completion_tokens", in: 0...limit) { return tokens }
        if let tokens = try integer("max_tokens", in: 0...limit) { return tokens }
        if let tokens = try integer("n_predict", in: -1...limit), tokens >= 0 { return tokens }
        return nil
    }
}
