/// One step in the choice of a token: changes logits or takes candidates away. A sampler runs its stages in order, then
/// draws from what is left.
///
/// A grammar is a stage (it excludes tokens that cannot follow), and so are penalties, top-k and temperature.
public protocol SamplerStage: Sendable {
    /// Changes the candidates. Must not leave fewer than one that had a finite logit, unless it means that nothing can follow.
    mutating func apply(to candidates: inout Candidates)

    /// Learns of the token that was chosen (or of a prompt's token).
    mutating func accept(_ token: Int32)
}

extension SamplerStage {
    public mutating func accept(_ token: Int32) {}
}

/// Adds a fixed amount to the logits of some tokens.
struct LogitBias: SamplerStage {
    let bias: [(token: Int32, amount: Float)]

    /// In order of token, so that nothing depends on a dictionary's order.
    init(_ bias: [Int32: Float]) {
        self.bias = bias.sorted { $0.key < $1.key }.map { (token: $0.key, amount: $0.value) }
    }

    mutating func apply(to candidates: inout Candidates) {
        for (token, amount) in bias {
            candidates.update(token) { $0 + amount }
        }
    }
}

/// Keeps the k largest.
struct TopK: SamplerStage {
    let k: Int

    mutating func apply(to candidates: inout Candidates) {
        if k > 0 { candidates.keepLargest(k) }
    }
}

/// Keeps the likeliest that together reach a probability (nucleus sampling, arXiv:1904.09751), at least one.
struct TopP: SamplerStage {
    let p: Float

    mutating func apply(to candidates: inout Candidates) {
        // Also false for what is not a number.
        guard p < 1 else { return }
        candidates.keepNucleus(p)
    }
}

/// Keeps those at least `p` times as likely as the likeliest (arXiv:2407.01082).
struct MinP: SamplerStage {
    let p: Float

    mutating func apply(to candidates: inout Candidates) {
        guard p > 0 else { return }
        candidates.keepRelative(to: min(p, 1))
    }
}

/// Divides all logits by a temperature above 0.
struct Temperature: SamplerStage {
    let temperature: Float

    mutating func apply(to candidates: inout Candidates) { candidates.divide(by: temperature) }
}
