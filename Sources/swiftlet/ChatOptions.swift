import ArgumentParser
import Node

/// How chats are read.
struct ChatOptions: ParsableArguments {
    @Flag(
        name: .customLong("chat-special-tokens"),
        help: ArgumentHelp(
            "Read spellings of control tokens in messages as such, as llama.cpp's server does. Without, they are plain text."))
    var parsesSpecial = false

    @Option(
        name: .customLong("chat-template-file"), help: ArgumentHelp("A chat template to use instead of the model's.", valueName: "file"))
    var templateFile: String?

    /// The text of the file.
    func template() throws -> String? {
        try templateFile.map { String(decoding: try Input.bytes(ofFile: $0, limit: 1 << 24), as: UTF8.self) }
    }
}
