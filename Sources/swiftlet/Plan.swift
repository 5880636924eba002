import ArgumentParser
import Base
import Node

struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows which machine would get which layers of a model, and why.",
        discussion: """
            Asks the workers for their free memory and moves nothing. Context and number of requests count: keys and values of all of \
            them are set aside with the layers. serve, run and the other commands place a model the same way.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup(title: "Other machines") var workers: WorkersOptions

    @Option(
        name: [.customShort("c"), .customLong("ctx-size")],
        help: ArgumentHelp("Tokens that one request may hold. Default: the model's own, 4096 at most.", valueName: "n"))
    var contextSize: Int?

    @Option(help: ArgumentHelp("Requests worked on at once.", valueName: "n"))
    var parallel = 4

    @Option(name: .customLong("batch-size"), help: ArgumentHelp("Tokens computed in one step at most.", valueName: "n"))
    var batchSize = 512

    @Flag(help: "Say, too, where a stock llama.cpp head would put the layers.")
    var compare = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        try workers.check()
        try checkPositive(contextSize, "--ctx-size")
        try checkPositive(parallel, "--parallel", atMost: 1024)
        try checkPositive(batchSize, "--batch-size", atMost: 65536)
    }

    func run() async throws {
        let options = EngineOptions(
            modelPath: model.model, contextSize: contextSize, slotCount: parallel, batchSize: batchSize, variant: model.variant,
            head: workers.options)
        let (json, compare) = (json, compare)
        let text = try await BlockingWork.alone(name: "plan") { try PlanListing.text(options, json: json, comparing: compare) }
        try Output.standard.write(text)
    }
}
