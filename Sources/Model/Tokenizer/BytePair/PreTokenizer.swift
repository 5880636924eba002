/// How a text is cut into words before byte pairs are joined within each: `tokenizer.ggml.pre`.
///
/// To add one: its name below, with the passes that its tokenizer's own file describes as regular expressions.
public struct PreTokenizer: Sendable {
    /// One after the other, each within the words of the one before it.
    let passes: [WordPass]
    /// Whether a word that is a token is taken as it is, whatever pairs would make of it (`ignore_merges`).
    var takesWholeWords = false
    /// Whether texts begin with the mark of a start where the file does not say.
    var addsBOS = false

    /// For files that name none: what they were made with is not known, and most of what splits texts is in it.
    public static let unnamed = "default"

    /// Nil for a name that is not known.
    public static func named(_ name: String) -> PreTokenizer? { all[name] }

    public static var names: [String] { all.keys.sorted() }

    /// The words' ends in a text, as indices of its scalars. O(passes · n).
    package func wordEnds(_ text: ScalarText) -> [Int] {
        var ends = text.count > 0 ? [text.count] : []
        for pass in passes {
            var cut: [Int] = []
            cut.reserveCapacity(ends.count)
            var start = 0
            for end in ends {
                pass.cut(start..<end, of: text, into: &cut)
                start = end
            }
            ends = cut
        }
        return ends
    }

    // MARK: Those there are

    private static let all: [String: PreTokenizer] = {
        var all: [String: PreTokenizer] = [:]
        func add(_ preTokenizer: PreTokenizer, _ names: String...) {
            for name in names { all[name] = preTokenizer }
        }
        add(PreTokenizer(passes: [.runs(signs), gpt2, .runs(numbers), .runs(threeDigits)]), unnamed)
        add(PreTokenizer(passes: [.runs(signsAndBacktick), gpt2, .runs(threeDigits)]), "falcon")
        add(
            PreTokenizer(passes: [gpt2]), "gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0",
            "mellum",
            "modern-bert", "mpt", "olmo", "jais", "trillion", "granite-docling")
        add(
            PreTokenizer(passes: [.runs(number), gpt2]), "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
            "mellum2")
        let threes = WordPass.words(WordPattern(digits: 3))
        add(
            PreTokenizer(passes: [threes], takesWholeWords: true, addsBOS: true), "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1",
            "pixtral", "midm-2.0", "lfm2", "jina-v5-nano")
        add(PreTokenizer(passes: [threes]), "dbrx", "smaug-bpe")
        let ones = WordPass.words(WordPattern(digits: 1))
        add(PreTokenizer(passes: [ones]), "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "hunyuan", "solar-open")
        add(PreTokenizer(passes: [.words(WordPattern(digits: 1, lettersTakeMarks: true))]), "qwen35")
        add(
            PreTokenizer(passes: [
                .runs(lineEnd), .runs(alphabets), .runs(wideSigns), .runs(spaceAtEnd), .runs(ideographs), .runs(numbers),
            ]), "deepseek-llm")
        add(
            PreTokenizer(passes: [
                .runs(lineEnd), .runs(ScalarRun(classes: .letter, takesSpaceBefore: true)),
                .runs(ScalarRun(classes: .punctuation, takesSpaceBefore: true)), .runs(ideographs), .runs(number),
            ]), "deepseek-coder")
        return all
    }()

    private static let gpt2 = WordPass.words(WordPattern(digits: nil))
    private static let number = ScalarRun(classes: .number, length: .exactly(1))
    private static let numbers = ScalarRun(classes: .number)
    private static let threeDigits = ScalarRun(scalars: [0x30...0x39], length: .exactly(3))
    private static let lineEnd = ScalarRun(scalars: [0x0A...0x0A, 0x0D...0x0D], length: .exactly(1))
    private static let spaceAtEnd = ScalarRun(classes: .space, isAtEnd: true)
    /// Punctuation, and the symbols `$ + < = > ^ ~ |`.
    private static let signs = ScalarRun(classes: .punctuation, scalars: "$+<=>^~|".unicodeScalars.map { $0.value...$0.value })
    private static let signsAndBacktick = ScalarRun(
        classes: .punctuation, scalars: "$+<=>^~|`".unicodeScalars.map { $0.value...$0.value })
    /// Those of ASCII and their wide forms, quotes and stops. ASCII's letters lie between some of them, and count.
    private static let wideSigns = ScalarRun(
        scalars: [0x21...0x2F, 0x3A...0x7E, 0xFF01...0xFF0F, 0xFF1A...0xFF5E, 0x2018...0x201F, 0x3000...0x3002], takesSpaceBefore: true)
    private static let ideographs = ScalarRun(scalars: [0x4E00...0x9FA5, 0x0800...0x4E00, 0xAC00...0xD7FF])
    private static let alphabets = ScalarRun(scalars: casedLetters, takesSpaceBefore: true)
}
