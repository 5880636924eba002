/// Makes tokens seen lately less likely: the repetition penalty of CTRL (arXiv:1909.05858) and the frequency and
/// presence penalties of OpenAI's interface.
struct Penalties: SamplerStage {
    private let divisor: Float
    private let frequency: Float
    private let presence: Float
    /// How many tokens are looked back at; nil for all.
    private let window: Int?
    /// The last `window` tokens; once full, `oldest` is where the next one goes. Unused where all count.
    private var recent: [Int32] = []
    private var oldest = 0
    /// How often each token occurs among them.
    private var counts: [Int32: Int] = [:]

    init(_ parameters: SamplingParameters) {
        divisor = parameters.repeatPenalty
        frequency = parameters.frequencyPenalty
        presence = parameters.presencePenalty
        window = parameters.penaltyWindow < 0 ? nil : parameters.penaltyWindow
    }

    mutating func apply(to candidates: inout Candidates) {
        for (token, count) in counts {
            candidates.update(token) { logit in
                let scaled = logit <= 0 ? logit * divisor : logit / divisor
                return scaled - Float(count) * frequency - presence
            }
        }
    }

    mutating func accept(_ token: Int32) {
        if let window {
            guard window > 0 else { return }
            if recent.count < window {
                recent.append(token)
            } else {
                forget(recent[oldest])
                recent[oldest] = token
                oldest = (oldest + 1) % window
            }
        }
        counts[token, default: 0] += 1
    }

    private mutating func forget(_ token: Int32) {
        guard let count = counts[token] else { return }
        counts[token] = count > 1 ? count - 1 : nil
    }
}
