public import ArgumentParser
import Base
public import Node

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures how fast a model is, with llama-bench's table and fields.",
        discussion: """
            Lists separated by commas measure every combination: -p 128,512 -t 1,2. A length of 0 leaves that kind out. pp is taking \
            in a prompt, tg generating; t/s is tokens per second, the mean and deviation of the repetitions.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup(title: "Other machines") var workers: WorkersOptions

    @Option(name: [.customShort("p"), .customLong("n-prompt")], help: ArgumentHelp("Lengths of prompts.", valueName: "list"))
    var prompts = NumberList([512])

    @Option(name: [.customShort("n"), .customLong("n-gen")], help: ArgumentHelp("Lengths of generations.", valueName: "list"))
    var generations = NumberList([128])

    @Option(name: [.customShort("d"), .customLong("n-depth")], help: ArgumentHelp("Tokens in the context beforehand.", valueName: "list"))
    var depths = NumberList([0])

    @Option(name: [.customShort("t"), .long], help: ArgumentHelp("Threads that compute. Default: one for each core.", valueName: "list"))
    var threads: NumberList?

    @Option(
        name: [.customShort("b"), .customLong("batch-size")], help: ArgumentHelp("Tokens computed in one step at most.", valueName: "list"))
    var batchSizes = NumberList([512])

    @Option(name: [.customShort("r"), .long], help: ArgumentHelp("Times that each is measured.", valueName: "n"))
    var repetitions = 5

    @Option(
        name: [.customShort("o"), .long], help: "How to print: \(BenchmarkTable.Format.allCases.map(\.rawValue).joined(separator: ", ")).")
    var output: BenchmarkTable.Format = .md

    @Flag(name: .customLong("no-warmup"), help: "Do not run each once before measuring.")
    var noWarmUp = false

    func validate() throws {
        try workers.check()
        try checkPositive(repetitions, "--repetitions", atMost: 100_000)
        if (threads?.numbers ?? []).contains(where: { !(1...1024).contains($0) }) {
            throw ValidationError("--threads must be from 1 to 1024.")
        }
        if batchSizes.numbers.contains(where: { !(1...65536).contains($0) }) {
            throw ValidationError("--batch-size must be from 1 to 65536.")
        }
    }

    func run() async throws {
        let threads = threads?.numbers ?? [DeviceListing.coreCount]
        let benchmark = Benchmark(
            prompts: prompts.numbers, generations: generations.numbers, threads: threads, depths: depths.numbers,
            batchSizes: batchSizes.numbers,
            repetitions: repetitions, warmsUp: !noWarmUp)
        if benchmark.works.isEmpty { throw ValidationError("There is nothing to measure: give -p or -n a length above 0.") }
        let evaluator = try await model.evaluator(
            EngineOptions(
                modelPath: model.model, contextSize: benchmark.contextSize, slotCount: 1, threads: threads.max(),
                batchSize: batchSizes.numbers.max() ?? 512, variant: model.variant, head: workers.options))
        let format = output
        let path = model.model
        try await BlockingWork.alone(name: "bench") {
            var table = BenchmarkTable(format, modelPath: path, card: evaluator.card, conditions: evaluator.conditions)
            try Output.standard.write(table.head)
            try benchmark.run(evaluator) { try Output.standard.write(table.part($0)) }
            try Output.standard.write(table.foot)
        }
    }
}

extension BenchmarkTable.Format: ExpressibleByArgument {}
