internal import Base
internal import NodeEngine

/// How tokens are chosen, by the names of llama.cpp's server. What cannot be asked for here has the value that leaves it out.
enum NativeSettings {
    static func json(_ options: AnswerOptions) -> JSONValue {
        let sampling = options.sampling
        func number(_ value: Float) -> JSONValue { .number(Double(value)) }
        // Its own mark of a seed that is drawn.
        let seed = sampling.seed.map(Int.init) ?? Int(UInt32.max)
        let limit = JSONValue.integer(options.maxTokens ?? -1)
        let biases = sampling.logitBias.sorted { $0.key < $1.key }.map { token, bias -> JSONValue in
            ["bias": bias.isFinite ? number(bias) : false, "token": .integer(Int(token))]
        }
        return [
            "seed": .integer(seed),
            "temperature": number(sampling.temperature),
            "dynatemp_range": 0.0,
            "dynatemp_exponent": 1.0,
            "top_k": .integer(sampling.topK),
            "top_p": number(sampling.topP),
            "min_p": number(sampling.minP),
            "top_n_sigma": -1.0,
            "xtc_probability": 0.0,
            "xtc_threshold": 0.1,
            "typical_p": 1.0,
            "repeat_last_n": .integer(sampling.penaltyWindow),
            "repeat_penalty": number(sampling.repeatPenalty),
            "presence_penalty": number(sampling.presencePenalty),
            "frequency_penalty": number(sampling.frequencyPenalty),
            "dry_multiplier": 0.0,
            "dry_base": 1.75,
            "dry_allowed_length": 2,
            "dry_penalty_last_n": -1,
            "dry_sequence_breakers": [],
            "mirostat": 0,
            "mirostat_tau": 5.0,
            "mirostat_eta": 0.1,
            "adaptive_target": -1.0,
            "adaptive_decay": 0.9,
            "stop": .array(options.stops.map(JSONValue.string)),
            "max_tokens": limit,
            "n_predict": limit,
            "n_keep": 0,
            "n_discard": 0,
            "ignore_eos": .bool(options.ignoreEnd),
            "stream": .bool(options.streams),
            "logit_bias": .array(biases),
            "n_probs": .integer(options.alternatives ?? 0),
            "min_keep": 0,
            "grammar": "",
            "grammar_lazy": false,
            "grammar_triggers": [],
            "preserved_tokens": [],
            "samplers": ["penalties", "top_k", "top_p", "min_p", "temperature"],
            "timings_per_token": false,
            "post_sampling_probs": .bool(options.probabilities == .ofChoice),
            "lora": [],
        ]
    }
}
