import Model
import TestSupport
import Testing

/// That choices among the likeliest tokens are those that all logits lead to, or are left open.
@Suite struct CandidateTests {
    private static func parameters(_ random: inout SeededRandom) -> SamplingParameters {
        var parameters = SamplingParameters()
        parameters.seed = 7
        parameters.temperature = Bool.random(using: &random) ? 0 : 0.9
        parameters.topK = Int.random(in: 1...63, using: &random)
        parameters.penaltyWindow = [0, 8, 64, -1].randomElement(using: &random) ?? 0
        parameters.repeatPenalty = [1, 1.1, 2].randomElement(using: &random) ?? 1
        parameters.frequencyPenalty = [0, 0.5].randomElement(using: &random) ?? 0
        parameters.presencePenalty = [0, 1].randomElement(using: &random) ?? 0
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            let amounts: [Float] = [-.infinity, -3, 0]
            let amount = amounts[Int.random(in: 0..<3, using: &random)]
            let token = Int32.random(in: 0..<300, using: &random)
            parameters.logitBias[token] = amount
        }
        return parameters
    }

    @Test("penalties and biases that only lower leave a choice among the likeliest as it is, or open")
    func choicesAgree() {
        var random = SeededRandom(seed: 3)
        var (made, open) = (0, 0)
        for _ in 0..<400 {
            let parameters = Self.parameters(&random)
            var (few, all) = (Sampler(parameters), Sampler(parameters))
            #expect(few.candidateCount != nil)
            // Few different values, so that many are equal, also at the edge.
            let isCoarse = Int.random(in: 0..<3, using: &random) == 0
            for _ in 0..<20 {
                let logits = (0..<300).map { _ in
                    let value = Float.random(in: -6...10, using: &random)
                    return isCoarse ? value.rounded() : value
                }
                let sorted = logits.enumerated().sorted { ($1.element, $0.offset) < ($0.element, $1.offset) }
                let entries = sorted.prefix(64).map { Candidates.Entry(token: Int32($0.offset), logit: $0.element) }
                let before = few
                var chosen = few.sample(entries)
                if chosen == nil {
                    open += 1
                    few = before
                    chosen = few.sample(logits)
                } else {
                    made += 1
                }
                let expected = all.sample(logits)
                #expect(chosen == expected)
                few.accept(expected)
                all.accept(expected)
            }
        }
        #expect(made > 4000 && open > 0, "\(made) made, \(open) left open")
    }
}
