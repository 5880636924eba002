import ArgumentParser
import Base
import Node

struct Embed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes vectors of texts with a model for that.",
        discussion: """
            Prints a line for each text: its vector, of length 1, as a list of numbers in JSON. Texts that mean the like have vectors with a \
            large product.

            --batch reads many texts of any bytes: each behind its length as a little-endian 32-bit number.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var threads: ThreadOptions

    @Option(name: [.customShort("p"), .long], help: ArgumentHelp("A text; may be given more than once.", valueName: "text"))
    var prompt: [String] = []

    @Option(help: ArgumentHelp("A file that holds many texts; - is standard input.", valueName: "file"))
    var batch: String?

    func validate() throws {
        if prompt.isEmpty == (batch == nil) { throw ValidationError("Give texts: either --prompt TEXT or --batch FILE.") }
    }

    func run() async throws {
        let texts = try batch.map { try StringBatch.parse(try Input.bytes(ofFile: $0)) } ?? prompt.map { Array($0.utf8) }
        let options = EngineOptions(modelPath: model.model, threads: threads.threads, variant: model.variant)
        let engine = try await model.loading(
            { try await Engines.text(options, progress: $0) }, summary: { "\($0.card.id) (\($0.card.typeDescription))" })
        try model.tell(engine.card.warnings)
        for text in texts {
            let tokens = try await engine.tokenize(text, addSpecial: true, parseSpecial: false)
            for vector in try await engine.embed([.tokens(tokens)]) {
                let numbers = JSONValue.array(vector.values.map { .number(Double($0)) })
                try Output.standard.write(numbers.text + "\n")
            }
        }
        await engine.shutdown()
    }
}
