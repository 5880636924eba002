/// How the next token is chosen from a model's logits. The defaults are those that users of llama.cpp know.
public struct SamplingParameters: Sendable, Equatable {
    /// Flattens (> 1) or sharpens (< 1) the distribution; 0 and below take the likeliest token.
    public var temperature: Float = 0.8
    /// Only so many of the likeliest tokens stay; 0 and below keep all.
    public var topK: Int = 40
    /// Only the likeliest tokens that together reach this probability stay; 1 and above keep all, 0 keeps one.
    public var topP: Float = 0.95
    /// Only tokens at least this likely, relative to the likeliest, stay; 0 and below keep all.
    public var minP: Float = 0.05
    /// Divides the logits (those above 0; multiplies those below) of tokens seen lately; 1 does nothing.
    public var repeatPenalty: Float = 1
    /// Taken off a token's logit for each time it was seen lately.
    public var frequencyPenalty: Float = 0
    /// Taken off a token's logit once if it was seen lately.
    public var presencePenalty: Float = 0
    /// How many of the last tokens the penalties look at; 0 switches them off, negative means all.
    public var penaltyWindow: Int = 64
    /// Equal seeds give equal choices for equal logits; nil takes a random one.
    public var seed: UInt64?
    /// Added to the logits of these tokens; minus infinity forbids one.
    public var logitBias: [Int32: Float] = [:]

    public init() {}

    /// Always the likeliest token.
    public static var greedy: SamplingParameters {
        var parameters = SamplingParameters()
        parameters.temperature = 0
        return parameters
    }

    /// Checks values from outside. (A ``Sampler`` comes to no harm from any value; this is to tell who asked.)
    public func check() throws(SamplingError) {
        let numbers: [(String, Float, ClosedRange<Float>)] = [
            ("temperature", temperature, 0...100), ("top_p", topP, 0...1), ("min_p", minP, 0...1),
            ("repeat_penalty", repeatPenalty, 0.001...1000), ("frequency_penalty", frequencyPenalty, -100...100),
            ("presence_penalty", presencePenalty, -100...100),
        ]
        for (name, value, range) in numbers where !range.contains(value) {
            throw .outOfRange(parameter: name, value: value, allowed: range)
        }
        if let bad = logitBias.first(where: { $0.value.isNaN }) { throw .biasNotANumber(token: bad.key) }
    }

    /// Whether penalties and biases make no token likelier.
    var onlyLowers: Bool {
        let penaltiesLower = repeatPenalty >= 1 && frequencyPenalty >= 0 && presencePenalty >= 0
        return logitBias.values.allSatisfy { $0 <= 0 } && (penaltiesLower || !hasPenalties)
    }

    var hasPenalties: Bool {
        penaltyWindow != 0 && (repeatPenalty != 1 || frequencyPenalty != 0 || presencePenalty != 0)
    }
}

/// What can be wrong with sampling parameters.
public enum SamplingError: Error, Equatable, Sendable, CustomStringConvertible {
    case outOfRange(parameter: String, value: Float, allowed: ClosedRange<Float>)
    case biasNotANumber(token: Int32)

    public var description: String {
        switch self {
        case .outOfRange(let parameter, let value, let allowed):
            "\(parameter) is \(value); it must be from \(allowed.lowerBound) to \(allowed.upperBound)"
        case .biasNotANumber(let token): "the logit bias of token \(token) is not a number"
        }
    }
}
