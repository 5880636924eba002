import ArgumentParser
import Node

/// What every command that loads a model takes.
struct ModelOptions: ParsableArguments {
    @Option(name: [.customShort("m"), .long], help: ArgumentHelp("The GGUF file; of a split one, the first part.", valueName: "file"))
    var model: String

    @Option(
        help: ArgumentHelp("The kernels to use: baseline, avx2 or avx512. Default: the best that the processor has.", valueName: "name"))
    var variant: String?

    @Flag(name: .customLong("no-progress"), help: "Say nothing while loading.")
    var noProgress = false

    /// Loads through `load`, telling how far it has come.
    func loading<Loaded: Sendable>(
        _ load: (@escaping Engines.Progress) async throws -> Loaded, summary: (Loaded) -> String
    ) async throws -> Loaded {
        let report = ProgressReport(loading: model, isQuiet: noProgress)
        do {
            let loaded = try await load { report.show($0) }
            report.finish(summary(loaded))
            return loaded
        } catch {
            report.abort()
            throw error
        }
    }

    /// Says what was odd about the file.
    func tell(_ warnings: [String]) throws {
        if noProgress { return }
        for warning in warnings { try Output.error.write("warning: \(warning)\n") }
    }

    func evaluator(_ options: EngineOptions) async throws -> any Evaluator {
        try await loading({ try await Engines.evaluator(options, progress: $0) }, summary: { "\($0.card.id) (\($0.card.typeDescription))" })
    }
}

/// What `serve` takes: one model or several.
struct ServedModelsOptions: ParsableArguments {
    @Option(
        name: [.customShort("m"), .customLong("model")],
        help: ArgumentHelp(
            """
            A GGUF file (of a split one, the first part), or a folder of them; may be given more than once. One model is loaded at \
            once and kept. Of several, each is loaded when a request names it, and unloaded when another wants its memory.
            """, valueName: "file"))
    var models: [String]

    @Option(
        help: ArgumentHelp("The kernels to use: baseline, avx2 or avx512. Default: the best that the processor has.", valueName: "name"))
    var variant: String?

    @Flag(name: .customLong("no-progress"), help: "Say nothing while loading.")
    var noProgress = false
}

/// How many threads compute.
struct ThreadOptions: ParsableArguments {
    @Option(name: [.customShort("t"), .long], help: ArgumentHelp("Threads that compute. Default: one for each core.", valueName: "n"))
    var threads: Int?

    func validate() throws {
        if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be from 1 to 1024.") }
    }
}

/// Whole numbers separated by commas: `1,2,4`.
struct NumberList: ExpressibleByArgument {
    var numbers: [Int]

    init(_ numbers: [Int]) {
        self.numbers = numbers
    }

    init?(argument: String) {
        numbers = []
        for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let number = Int(word), (0...10_000_000).contains(number) else { return nil }
            numbers.append(number)
        }
    }

    var defaultValueDescription: String { numbers.map(String.init).joined(separator: ",") }
}

func checkPositive(_ value: Int?, _ name: String, atMost limit: Int = 100_000_000) throws {
    if let value, !(1...limit).contains(value) { throw ValidationError("\(name) must be from 1 to \(limit).") }
}
