import ArgumentParser

/// How chats are read.
struct ChatOptions: ParsableArguments {
    @Flag(
        name: .customLong("chat-special-tokens"),
        help: ArgumentHelp(
            "Read spellings of control tokens in messages as such, as llama.cpp's server does. Without, they are plain text."))
    var parsesSpecial = false
}
