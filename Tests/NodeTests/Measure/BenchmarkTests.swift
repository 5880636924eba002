import Base
import Node
import Testing

@Suite struct BenchmarkTests {
    private let evaluator = MockEvaluator()

    private func table(_ format: BenchmarkTable.Format, _ results: [BenchmarkResult]) -> String {
        var table = BenchmarkTable(format, modelPath: "m\"1.gguf", card: evaluator.card, conditions: evaluator.conditions)
        return table.head + results.map { table.part($0) }.joined() + table.foot
    }

    private let results = [
        BenchmarkResult(
            work: .init(prompt: 512, generate: 0, threads: 2), samples: [100_000_000, 120_000_000], time: "2026-01-31T12:00:00Z"),
        BenchmarkResult(
            work: .init(prompt: 0, generate: 64, depth: 128, threads: 1), samples: [1_000_000_000], time: "2026-01-31T12:00:00Z"),
    ]

    @Test("Every combination is measured once; lengths of 0 are left out")
    func combinations() {
        let benchmark = Benchmark(prompts: [512, 0], generations: [64, 128], threads: [1, 2], depths: [0, 8], repetitions: 1)
        #expect(benchmark.works.count == 12)
        #expect(benchmark.works.prefix(3).map(\.prompt) == [512, 0, 0])
        #expect(benchmark.works.prefix(3).map(\.generate) == [0, 64, 128])
        #expect(benchmark.contextSize == 520)
    }

    @Test("Each work is warmed up once and repeated")
    func repetitions() throws {
        let evaluator = MockEvaluator()
        var results: [BenchmarkResult] = []
        try Benchmark(prompts: [8], generations: [4], threads: [1], repetitions: 3).run(evaluator) { results.append($0) }
        #expect(evaluator.works.map(\.generate) == [0, 0, 0, 0, 1, 4, 4, 4])
        #expect(results.map(\.samples.count) == [3, 3])
        #expect(results[0].samples == [100_000_000, 120_000_000, 100_000_000])
    }

    @Test("JSON has llama-bench's fields with its types")
    func json() throws {
        let json = try JSONValue(parsing: table(.json, results).utf8)
        #expect(json[0]?["n_prompt"] == 512)
        #expect(json[0]?["n_gen"] == 0)
        #expect(json[0]?["avg_ns"] == 110_000_000)
        #expect(json[0]?["samples_ns"] == [100_000_000, 120_000_000])
        #expect(json[0]?["avg_ts"]?.kind == "a number")
        #expect(json[0]?["cpu_info"] == "a \"fast\" one")
        #expect(json[0]?["model_size"] == 252_706_816)
        #expect(json[1]?["n_depth"] == 128)
        #expect(json[1]?["stddev_ns"] == 0)
        for name in ["build_commit", "backends", "type_k", "flash_attn", "test_time", "stddev_ts", "samples_ts"] {
            #expect(json[1]?[name] != nil, "\(name)")
        }
        let lines = table(.jsonl, results).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(try JSONValue(parsing: lines[1].utf8) == json[1])
    }

    @Test("The table for people has llama-bench's columns")
    func markdown() {
        let lines = table(.md, results).split(separator: "\n").map(String.init)
        #expect(
            lines[0].split(separator: "|").map { $0.filter { $0 != " " } } == [
                "model", "size", "params", "backend", "threads", "test", "t/s",
            ])
        #expect(lines[2].contains("mock 268M Q8_0"))
        #expect(lines[2].contains("241.00 MiB |   268.10 M | CPU "))
        #expect(lines[2].contains("|           pp512 |     4693.33 ± 603.40 |"))
        #expect(lines[3].contains("     tg64 @ d128 |"))
        #expect(Set(lines.prefix(4).map(\.count)).count == 1)
    }

    @Test("CSV quotes every value and doubles quotes inside")
    func csv() {
        let lines = table(.csv, results).split(separator: "\n")
        #expect(lines[0].hasPrefix("build_commit,build_number,cpu_info"))
        #expect(lines[1].contains("\"a \"\"fast\"\" one\",\"\",\"CPU\",\"m\"\"1.gguf\""))
        #expect(lines[0].split(separator: ",").count == lines[1].split(separator: "\",\"", omittingEmptySubsequences: false).count)
    }
}
