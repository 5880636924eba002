/// The words of a command line, as a shell would tell them apart: by spaces, but for what stands in quotes or behind a backslash. Nothing
/// else of a shell's is done: no variables, no patterns, no pipes.
public enum CommandWords {
    /// - Throws: for a quote that is not closed, a backslash at the end, or nothing at all.
    public static func split(_ text: String) throws(CommandWordsError) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in text {
            if isEscaped {
                // Within double quotes a backslash means itself unless it stands before one of these.
                if quote == "\"", character != "\"", character != "\\" { word?.append("\\") }
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
                word = word ?? ""
            } else if let open = quote {
                if character == open { quote = nil } else { word?.append(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let whole = word { words.append(whole) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let quote { throw CommandWordsError(description: "the quote \(quote) is not closed") }
        if isEscaped { throw CommandWordsError(description: "nothing follows the backslash") }
        if let whole = word { words.append(whole) }
        guard let first = words.first, !first.isEmpty else { throw CommandWordsError(description: "there is no command") }
        return words
    }

    /// Puts a text wherever `{}` stands.
    public static func fill(_ words: [String], with text: String) -> [String] {
        words.map { word in word.split(separator: "{}", omittingEmptySubsequences: false).joined(separator: text) }
    }
}

/// A command line cannot be taken apart.
public struct CommandWordsError: Error, Hashable, CustomStringConvertible {
    public var description: String
}
