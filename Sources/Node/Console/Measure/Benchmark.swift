internal import Foundation
public import NodeEngine

/// A plan of measurements and how to take them.
public struct Benchmark: Hashable, Sendable {
    public var works: [BenchmarkWork]
    public var repetitions: Int
    public var warmsUp: Bool

    /// One work for each combination: by thread count, batch size and depth; for each of them first the prompts, then the generations.
    /// Lengths of 0 are left out.
    public init(
        prompts: [Int], generations: [Int], threads: [Int], depths: [Int] = [0], batchSizes: [Int] = [512], repetitions: Int,
        warmsUp: Bool = true
    ) {
        var works: [BenchmarkWork] = []
        for depth in depths {
            for batch in batchSizes {
                for count in threads {
                    for prompt in prompts where prompt > 0 {
                        works.append(BenchmarkWork(prompt: prompt, generate: 0, depth: depth, batchSize: batch, threads: count))
                    }
                    for generation in generations where generation > 0 {
                        works.append(BenchmarkWork(prompt: 0, generate: generation, depth: depth, batchSize: batch, threads: count))
                    }
                }
            }
        }
        self.works = works
        self.repetitions = repetitions
        self.warmsUp = warmsUp
    }

    /// The longest context that a work needs.
    public var contextSize: Int {
        works.reduce(1) { max($0, $1.prompt + $1.generate + $1.depth) }
    }

    /// Takes the measurements in order. Blocks; see ``BlockingWork``.
    public func run(_ evaluator: any Evaluator, report: (BenchmarkResult) throws -> Void) throws {
        for work in works {
            if warmsUp {
                var warmUp = work
                warmUp.depth = 0
                if work.generate > 0 { warmUp.generate = 1 }
                _ = try evaluator.measure(warmUp)
            }
            var samples: [Int] = []
            for _ in 0..<repetitions {
                let (seconds, attoseconds) = try evaluator.measure(work).components
                samples.append(max(1, Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)))
            }
            try report(BenchmarkResult(work: work, samples: samples))
        }
    }
}

/// What one work took, each time.
public struct BenchmarkResult: Hashable, Sendable {
    public var work: BenchmarkWork
    /// Nanoseconds.
    public var samples: [Int]
    /// When the last was taken, in UTC: `2026-01-31T12:00:00Z`.
    public var time: String

    public init(work: BenchmarkWork, samples: [Int], time: String? = nil) {
        self.work = work
        self.samples = samples
        self.time = time ?? Date().formatted(.iso8601)
    }

    /// Tokens per second of each sample.
    public var rates: [Double] {
        samples.map { 1e9 * Double(work.prompt + work.generate) / Double($0) }
    }

    /// `pp512`, `tg128`, `pp512 @ d1024`.
    public var name: String {
        let kind = work.generate == 0 ? "pp\(work.prompt)" : work.prompt == 0 ? "tg\(work.generate)" : "pp\(work.prompt)+tg\(work.generate)"
        return work.depth > 0 ? "\(kind) @ d\(work.depth)" : kind
    }

    static func mean(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
    }

    /// Of a sample: divided by one less than there are.
    static func deviation(_ values: [Double]) -> Double {
        guard values.count > 1 else { return 0 }
        let mean = mean(values)
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (squares / Double(values.count - 1)).squareRoot()
    }
}
