internal import Foundation
public import NodeEngine

/// How surprised a model is by a text, as llama.cpp measures it.
///
/// The text's tokens are cut into chunks as long as the context. Each is taken in from an empty context, its first token replaced
/// by the one that begins texts where the model has one; the second half of its positions is scored.
public struct Perplexity: Hashable, Sendable {
    /// Tokens scored so far.
    public private(set) var count = 0
    private var sum = 0.0
    private var sumOfSquares = 0.0

    public init() {}

    /// e to the mean negative log-likelihood.
    public var value: Double { count > 0 ? exp(sum / Double(count)) : .nan }

    /// The value's standard error, from the spread of the tokens' own.
    public var error: Double {
        guard count > 1 else { return .nan }
        let mean = sum / Double(count)
        let variance = sumOfSquares / Double(count) - mean * mean
        return variance > 0 ? (variance / Double(count - 1)).squareRoot() * value : 0
    }

    /// Takes a token's negative log-likelihood in, in nats.
    public mutating func add(_ surprise: Double) {
        count += 1
        sum += surprise
        sumOfSquares += surprise * surprise
    }

    /// -log of the probability that `logits` give `token`.
    public static func surprise(of token: Int32, in logits: UnsafeBufferPointer<Float>) -> Double {
        guard token >= 0, Int(token) < logits.count else { return .infinity }
        var highest = -Float.infinity
        for logit in logits where logit > highest { highest = logit }
        var total = 0.0
        for logit in logits { total += Double(exp(logit - highest)) }
        return log(total) - Double(logits[Int(token)] - highest)
    }

    /// How to measure.
    public struct Options: Hashable, Sendable {
        public var contextSize: Int
        public var batchSize: Int
        /// Chunks at most; nil takes all.
        public var chunkLimit: Int?

        public init(contextSize: Int = 512, batchSize: Int = 512, chunkLimit: Int? = nil) {
            self.contextSize = contextSize
            self.batchSize = batchSize
            self.chunkLimit = chunkLimit
        }
    }

    /// Measures a text. Blocks; see ``BlockingWork``.
    ///
    /// - Parameter progress: called after each chunk with the result so far.
    /// - Throws: ``EngineError/unsupported(_:)`` for a text of fewer tokens than two chunks.
    public static func measure(
        _ text: [UInt8], with evaluator: any Evaluator, _ options: Options, progress: (_ chunk: Int, _ of: Int, Perplexity) throws -> Void
    ) throws -> Perplexity {
        let size = options.contextSize
        guard size >= 4 else { throw EngineError.unsupported("a context of \(size) is too short to measure with: give at least 4") }
        let tokens = try evaluator.vocabulary.tokenize(text, addSpecial: true, parseSpecial: false)
        let available = tokens.count / size
        guard available >= 2 else {
            throw EngineError.unsupported(
                """
                the text has \(tokens.count) tokens, and \(2 * size) are needed for a context of \(size): give a longer text or a \
                smaller --ctx-size
                """
            )
        }
        let chunks = min(available, options.chunkLimit ?? available)
        let first = size / 2
        var perplexity = Perplexity()
        for chunk in 0..<chunks {
            let expected = Array(tokens[chunk * size..<(chunk + 1) * size])
            var input = expected
            if let begin = evaluator.vocabulary.beginToken { input[0] = begin }
            // The last position predicts a token of the next chunk and is not scored.
            let evaluation = EvaluationOptions(chunkSize: options.batchSize, first: first)
            try evaluator.logits(for: input, options: evaluation) { position, logits in
                if position + 1 < size { perplexity.add(surprise(of: expected[position + 1], in: logits)) }
            }
            try progress(chunk + 1, chunks, perplexity)
        }
        return perplexity
    }
}
