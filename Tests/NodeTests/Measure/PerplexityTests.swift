import Foundation
import Node
import Testing

@Suite struct PerplexityTests {
    private let alphabet = Array(String(repeating: "abcdefghijklmnop", count: 4).utf8)

    @Test("Only the second half of each chunk is scored, its first token replaced by the beginning of a text")
    func method() throws {
        let evaluator = MockEvaluator()
        var seen: [Int] = []
        let result = try Perplexity.measure(alphabet, with: evaluator, .init(contextSize: 16)) { chunk, count, _ in
            #expect(count == 4)
            seen.append(chunk)
        }
        #expect(seen == [1, 2, 3, 4])
        // 65 tokens with the one that begins the text: four chunks of 16, of which positions 8 to 14 predict.
        #expect(result.count == 4 * 7)
        #expect(evaluator.evaluated.count == 4)
        #expect(evaluator.evaluated.allSatisfy { $0.count == 16 && $0[0] == 256 })
        #expect(evaluator.evaluated[1][1] == Int32(alphabet[16]))
    }

    @Test("The value is e to the mean surprise, the error its standard error")
    func value() throws {
        // Without a token that begins texts, chunks of 16 are the alphabet's own: every scored token is the likely one.
        let result = try Perplexity.measure(alphabet, with: MockEvaluator(beginToken: nil), .init(contextSize: 16)) { _, _, _ in }
        let expected = (exp(2.0) + 259) / exp(2.0)
        #expect(abs(result.value - expected) < 1e-4)
        #expect(result.error < 1e-3)
        var spread = Perplexity()
        for surprise in [1.0, 2.0, 3.0, 2.0] { spread.add(surprise) }
        #expect(abs(spread.value - exp(2.0)) < 1e-9)
        #expect(abs(spread.error - (0.5 / 3).squareRoot() * exp(2.0)) < 1e-9)
    }

    @Test("A text that is too short, or a context that is, is an error that says what would do")
    func tooShort() {
        #expect(throws: EngineError.self) {
            try Perplexity.measure([1, 2, 3], with: MockEvaluator(), .init(contextSize: 16)) { _, _, _ in }
        }
        #expect(throws: EngineError.self) { try Perplexity.measure(alphabet, with: MockEvaluator(), .init(contextSize: 2)) { _, _, _ in } }
    }

    @Test("Chunks can be limited")
    func limit() throws {
        let evaluator = MockEvaluator()
        _ = try Perplexity.measure(alphabet, with: evaluator, .init(contextSize: 16, chunkLimit: 2)) { _, _, _ in }
        #expect(evaluator.evaluated.count == 2)
    }

    @Test("Surprise survives logits of any size")
    func surprise() {
        let logits: [Float] = [10_000, 9_999, -10_000]
        logits.withUnsafeBufferPointer { logits in
            #expect(abs(Perplexity.surprise(of: 0, in: logits) - log(1 + exp(-1.0))) < 1e-6)
            #expect(abs(Perplexity.surprise(of: 2, in: logits) - 20_000) < 1)
            #expect(Perplexity.surprise(of: 3, in: logits) == .infinity)
        }
    }
}
