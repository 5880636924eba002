import Node
import Synchronization

/// A model whose logits are a simple function of the token and its position.
final class MockEvaluator: Evaluator {
    struct Vocabulary: VocabularyReader {
        let vocabularySize = 260
        var beginToken: Int32?

        func tokenize(_ text: [UInt8], addSpecial: Bool, parseSpecial: Bool) throws(EngineError) -> [Int32] {
            (addSpecial ? [beginToken].compactMap { $0 } : []) + text.map { Int32($0) }
        }

        func detokenize(_ tokens: [Int32]) throws(EngineError) -> [UInt8] {
            tokens.map { UInt8(truncatingIfNeeded: $0) }
        }
    }

    let beginToken: Int32?
    private let calls = Mutex<(evaluated: [[Int32]], works: [BenchmarkWork])>(([], []))

    init(beginToken: Int32? = 256) {
        self.beginToken = beginToken
    }

    var evaluated: [[Int32]] { calls.withLock { $0.evaluated } }
    var works: [BenchmarkWork] { calls.withLock { $0.works } }

    var vocabulary: any VocabularyReader { Vocabulary(beginToken: beginToken) }

    var card: ModelCard {
        ModelCard(
            id: "mock", architecture: "mock", created: 0, contextSize: 512, trainingContextSize: 512, vocabularySize: 260,
            embeddingLength: 8,
            parameterCount: 268_098_176, byteCount: 252_706_816, slotCount: 1, typeDescription: "mock 268M Q8_0", hasChatTemplate: false)
    }

    var conditions: BenchmarkConditions { BenchmarkConditions(cpu: "a \"fast\" one", backend: "CPU (mock)") }

    /// Logit of token t after token p: 2 where t is p + 1, else 0.
    func logits(
        for tokens: [Int32], options: EvaluationOptions, each: (_ position: Int, _ logits: UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        calls.withLock { $0.evaluated.append(tokens) }
        for position in tokens.indices where position >= options.first {
            var row = [Float](repeating: 0, count: 260)
            row[(Int(tokens[position]) + 1) % 260] = 2
            try row.withUnsafeBufferPointer { try each(position, $0) }
        }
    }

    func measure(_ work: BenchmarkWork) throws(EngineError) -> Duration {
        let count = calls.withLock { calls in
            calls.works.append(work)
            return calls.works.count
        }
        return .milliseconds(100 + (count % 2) * 20)
    }
}
