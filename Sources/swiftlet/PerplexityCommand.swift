import ArgumentParser
import Base
import Node

struct PerplexityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Measures how well a model predicts a text.",
        discussion: """
            The text is cut into chunks of --ctx-size tokens; the second half of each is scored, as llama-perplexity does. The result is \
            on standard output, the way there on standard error.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var threads: ThreadOptions
    @OptionGroup(title: "Other machines") var workers: WorkersOptions

    @Option(name: [.customShort("f"), .long], help: ArgumentHelp("The text; - is standard input.", valueName: "file"))
    var file: String

    @Option(name: [.customShort("c"), .customLong("ctx-size")], help: ArgumentHelp("Tokens in a chunk.", valueName: "n"))
    var contextSize = 512

    @Option(
        name: [.customShort("b"), .customLong("batch-size")], help: ArgumentHelp("Tokens computed in one step at most.", valueName: "n"))
    var batchSize = 512

    @Option(help: ArgumentHelp("Chunks to take at most.", valueName: "n"))
    var chunks: Int?

    @Flag(help: "Print the result as JSON.")
    var json = false

    func validate() throws {
        try workers.check()
        try checkPositive(contextSize, "--ctx-size")
        try checkPositive(batchSize, "--batch-size", atMost: 65536)
        try checkPositive(chunks, "--chunks")
    }

    func run() async throws {
        let text = try Input.bytes(ofFile: file)
        let evaluator = try await model.evaluator(
            EngineOptions(
                modelPath: model.model, contextSize: contextSize, slotCount: 1, threads: threads.threads, batchSize: batchSize,
                variant: model.variant, head: workers.options))
        let options = Perplexity.Options(contextSize: contextSize, batchSize: batchSize, chunkLimit: chunks)
        let result = try await BlockingWork.alone(name: "perplexity") {
            try Perplexity.measure(text, with: evaluator, options) { chunk, count, perplexity in
                try Output.error.write("chunk \(chunk) of \(count): \(Self.rounded(perplexity.value))\n")
            }
        }
        if json {
            let object: JSONValue = [
                "perplexity": .number(result.value), "error": .number(result.error), "tokens": .integer(result.count),
                "ctx_size": .integer(contextSize),
            ]
            try Output.standard.write(object.text + "\n")
        } else {
            try Output.standard.write(
                "perplexity \(Self.rounded(result.value)) ± \(Self.rounded(result.error)) over \(result.count) tokens\n")
        }
    }

    private static func rounded(_ value: Double) -> String {
        guard value.isFinite else { return "\(value)" }
        return "\((value * 1e5).rounded() / 1e5)"
    }
}
