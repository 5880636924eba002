import ArgumentParser
import Base
import Node

struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what is in a GGUF file.",
        discussion: "Metadata, tensors, types and sizes. Nothing of the tensors' data is read.")

    @Argument(help: ArgumentHelp("The file; of a split one, the first part.", valueName: "file"))
    var file: String

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(name: .customLong("full-arrays"), help: "Print long arrays of metadata whole (with --json).")
    var fullArrays = false

    func run() async throws {
        let command = self
        let text = try await BlockingWork.alone(name: "inspect") {
            try FileListing.text(ofFile: command.file, json: command.json, fullArrays: command.fullArrays)
        }
        try Output.standard.write(text.hasSuffix("\n") ? text : text + "\n")
    }
}
