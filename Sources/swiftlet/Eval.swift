import ArgumentParser
import Base
import Node

struct Eval: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a model's raw logits for comparison.",
        discussion: """
            The file holds little-endian float32: for each position of the input a row of the vocabulary's size. --chunk, --slot and \
            --neighbours change how the rows are computed and must not change a bit of them.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var threads: ThreadOptions
    @OptionGroup(title: "Other machines") var workers: WorkersOptions

    @Option(help: ArgumentHelp("Token ids, separated by commas.", valueName: "ids"))
    var tokens: String?

    @Option(name: .customLong("tokens-file"), help: ArgumentHelp("A file with token ids; - is standard input.", valueName: "file"))
    var tokensFile: String?

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The file to write.", valueName: "file"))
    var output: String

    @Option(help: ArgumentHelp("Tokens computed in one step.", valueName: "n"))
    var chunk = 512

    @Option(help: ArgumentHelp("First position whose row is written.", valueName: "n"))
    var first = 0

    @Option(help: ArgumentHelp("The slot to compute in.", valueName: "n"))
    var slot = 0

    @Option(help: ArgumentHelp("Other sequences computed in the same steps.", valueName: "n"))
    var neighbours = 0

    @Option(
        name: [.customShort("c"), .customLong("ctx-size")],
        help: ArgumentHelp("Tokens that a slot holds. Default: as many as given.", valueName: "n"))
    var contextSize: Int?

    func validate() throws {
        try workers.check()
        if (tokens == nil) == (tokensFile == nil) { throw ValidationError("Give either --tokens or --tokens-file.") }
        try checkPositive(chunk, "--chunk", atMost: 65536)
        try checkPositive(contextSize, "--ctx-size")
        if !(0...1023).contains(slot) { throw ValidationError("--slot must be from 0 to 1023.") }
        if !(0...1023).contains(neighbours) { throw ValidationError("--neighbours must be from 0 to 1023.") }
        if first < 0 { throw ValidationError("--first must be 0 or more.") }
    }

    func run() async throws {
        let text = try tokens ?? String(decoding: Input.bytes(ofFile: tokensFile ?? "-", limit: 1 << 28), as: UTF8.self)
        let ids = try TokenList.parse(text)
        if ids.isEmpty { throw ValidationError("There are no tokens to evaluate.") }
        if first >= ids.count { throw ValidationError("--first \(first) lies behind the last of \(ids.count) tokens.") }
        let evaluator = try await model.evaluator(
            EngineOptions(
                modelPath: model.model, contextSize: contextSize ?? ids.count, slotCount: max(slot, neighbours) + 1,
                threads: threads.threads,
                batchSize: chunk, variant: model.variant, head: workers.options))
        let options = EvaluationOptions(chunkSize: chunk, first: first, slot: slot, neighbours: neighbours)
        let path = output
        try await BlockingWork.alone(name: "eval") {
            let file = try Output(path: path)
            try LogitsFile.write(ids, from: evaluator, options, to: file)
            try file.close()
        }
        try Output.error.write("wrote \(max(0, ids.count - first)) rows of \(evaluator.card.vocabularySize) to \(path)\n")
    }
}
