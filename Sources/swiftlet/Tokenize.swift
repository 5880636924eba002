import ArgumentParser
import Base
import Node

struct Tokenize: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the tokens of a text.",
        discussion: """
            Prints a line for each token: its id and its text. --ids prints the ids alone, separated by commas.

            --batch reads many texts of any bytes: each behind its length as a little-endian 32-bit number. One line of ids comes out for \
            each.
            """)

    @Option(name: [.customShort("m"), .long], help: ArgumentHelp("The GGUF file whose vocabulary to use.", valueName: "file"))
    var model: String

    @Option(name: [.customShort("p"), .long], help: ArgumentHelp("The text.", valueName: "text"))
    var prompt: String?

    @Option(name: [.customShort("f"), .long], help: ArgumentHelp("A file that holds the text; - is standard input.", valueName: "file"))
    var file: String?

    @Option(help: ArgumentHelp("A file that holds many texts; - is standard input.", valueName: "file"))
    var batch: String?

    @Flag(help: "Print ids only.")
    var ids = false

    @Flag(name: .customLong("no-bos"), help: "Add no token at the beginning or the end.")
    var plain = false

    @Flag(name: .customLong("no-parse-special"), help: "Read the spelling of control tokens as plain text.")
    var ignoreSpecial = false

    func validate() throws {
        let given = [prompt, file, batch].compactMap { $0 }.count
        if given > 1 { throw ValidationError("Give one of --prompt, --file and --batch.") }
        if given == 0 { throw ValidationError("Give a text: --prompt TEXT, --file FILE or --batch FILE. '--file -' reads standard input.") }
    }

    func run() async throws {
        let vocabulary = try await Engines.vocabulary(path: model)
        let command = self
        try await BlockingWork.alone(name: "tokenize") { try command.print(with: vocabulary) }
    }

    private func print(with vocabulary: any VocabularyReader) throws {
        if let batch {
            var lines = ""
            for text in try StringBatch.parse(try Input.bytes(ofFile: batch)) {
                lines += try tokens(of: text, vocabulary).map(String.init).joined(separator: ",") + "\n"
                if lines.utf8.count > 1 << 16 {
                    try Output.standard.write(lines)
                    lines = ""
                }
            }
            return try Output.standard.write(lines)
        }
        let text = try prompt.map { Array($0.utf8) } ?? Input.bytes(ofFile: file ?? "-")
        let tokens = try tokens(of: text, vocabulary)
        if ids { return try Output.standard.write(tokens.map(String.init).joined(separator: ",") + "\n") }
        for token in tokens {
            let piece = String(decoding: try vocabulary.detokenize([token]), as: UTF8.self)
            try Output.standard.write("\(token)\t\(JSONValue.string(piece).text)\n")
        }
    }

    private func tokens(of text: [UInt8], _ vocabulary: any VocabularyReader) throws -> [Int32] {
        try vocabulary.tokenize(text, addSpecial: !plain, parseSpecial: !ignoreSpecial)
    }
}
