/// One way of cutting a text into words. A ``PreTokenizer`` takes several, each over the words that the one before it left.
///
/// The definitions are regular expressions in the tokenizers' own files. Here they are scanners: they take time in the text's
/// length, whatever is in it, where an engine for regular expressions may take any, or run out of stack.
enum WordPass: Sendable {
    /// Runs of certain scalars become words of their own; what is between them stays as it is.
    case runs(ScalarRun)
    /// Everything is cut into words of several kinds.
    case words(WordPattern)

    /// Appends the ends of the words in a range of the text, its own end last. Empty ranges have none.
    func cut(_ range: Range<Int>, of text: ScalarText, into ends: inout [Int]) {
        switch self {
        case .runs(let run): run.cut(range, of: text, into: &ends)
        case .words(let pattern): pattern.cut(range, of: text, into: &ends)
        }
    }
}

/// A run of scalars of a set: `set{1,n}`, perhaps with a white space before it (`\s?`), perhaps only at the end (`$`).
struct ScalarRun: Sendable {
    /// Scalars that belong to it, by class or one by one.
    var classes: ScalarClass = []
    var scalars: [ClosedRange<UInt32>] = []
    /// How many make one word: as many as there are, or exactly so many.
    var length: Length = .any
    /// Whether a white space right before it is part of the word.
    var takesSpaceBefore = false
    /// Whether it counts only where nothing follows.
    var isAtEnd = false

    enum Length: Sendable {
        case any
        case exactly(Int)
    }

    private func contains(_ index: Int, _ text: ScalarText) -> Bool {
        if !text.classes[index].isDisjoint(with: classes) { return true }
        let scalar = text.scalars[index]
        // White space of other scripts is never meant by a range of scalars.
        if scalar >= 0x80, text.classes[index].contains(.space) { return false }
        return scalars.contains { $0.contains(scalar) }
    }

    func cut(_ range: Range<Int>, of text: ScalarText, into ends: inout [Int]) {
        var wordStart = range.lowerBound
        var index = range.lowerBound
        while index < range.upperBound {
            let start = index
            if takesSpaceBefore, text.classes[index].contains(.space), index + 1 < range.upperBound { index += 1 }
            let first = index
            while index < range.upperBound, contains(index, text) {
                index += 1
                if case .exactly(let count) = length, index - first == count { break }
            }
            let isMatch: Bool
            switch length {
            case .any: isMatch = index > first
            case .exactly(let count): isMatch = index - first == count
            }
            guard isMatch, !isAtEnd || index == range.upperBound else {
                // A run that is too short, or not at the end, has no match anywhere inside either.
                index = max(start + 1, index)
                continue
            }
            if start > wordStart { ends.append(start) }
            ends.append(index)
            wordStart = index
        }
        if wordStart < range.upperBound { ends.append(range.upperBound) }
    }
}

/// The family of patterns that GPT-2's began: contractions, letters, digits, punctuation and white space are words each.
///
/// GPT-2 (Radford et al., 2019): `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`. Its successors (GPT-4,
/// Llama 3, Qwen) read contractions in any case, let any one character but a line's end go before letters, cut numbers into
/// groups, and keep ends of lines together.
struct WordPattern: Sendable {
    /// Digits that make one word at most; nil for GPT-2's way, where as many as there are do, with the space before them.
    var digits: Int?
    /// Whether the marks on letters belong to them.
    var lettersTakeMarks = false

    /// As GPT-2 has it, and not as its successors.
    private var isFirst: Bool { digits == nil }

    func cut(_ range: Range<Int>, of text: ScalarText, into ends: inout [Int]) {
        var index = range.lowerBound
        while index < range.upperBound {
            index = end(ofWordAt: index, in: range, text)
            ends.append(index)
        }
    }

    private func end(ofWordAt start: Int, in range: Range<Int>, _ text: ScalarText) -> Int {
        let end = range.upperBound
        let letters: ScalarClass = lettersTakeMarks ? [.letter, .mark] : .letter
        func scalar(_ index: Int) -> UInt32? { index < end ? text.scalars[index] : nil }
        /// Nothing, behind the end.
        func kind(_ index: Int) -> ScalarClass { index < end ? text.classes[index] : [] }
        func isLetter(_ index: Int) -> Bool { !kind(index).isDisjoint(with: letters) }
        /// Whether it is there, and neither white space, nor letter, nor number.
        func isSign(_ index: Int) -> Bool { index < end && kind(index).isDisjoint(with: letters.union([.number, .space])) }
        func isLineEnd(_ index: Int) -> Bool { scalar(index) == 0x0A || scalar(index) == 0x0D }
        func run(from first: Int, _ belongs: (Int) -> Bool) -> Int {
            var index = first
            while belongs(index) { index += 1 }
            return index
        }

        if let length = contraction(scalar(start), scalar(start + 1), scalar(start + 2)) { return start + length }
        let isSpace = scalar(start) == 0x20
        let behindSpace = isSpace ? start + 1 : start

        if isFirst {
            if isLetter(behindSpace) { return run(from: behindSpace, isLetter) }
            if kind(behindSpace).contains(.number) { return run(from: behindSpace) { kind($0).contains(.number) } }
            if isSign(behindSpace) { return run(from: behindSpace, isSign) }
        } else {
            if !isLineEnd(start), !kind(start).contains(.number), isLetter(start) || isLetter(start + 1) {
                return run(from: start + 1, isLetter)
            }
            if kind(start).contains(.number) {
                return run(from: start) { kind($0).contains(.number) && $0 - start < digits ?? .max }
            }
            if isSign(behindSpace) { return run(from: run(from: behindSpace, isSign), isLineEnd) }
        }

        // All white space but its last, which goes with what follows.
        let spaces = run(from: start) { kind($0).contains(.space) }
        if !isFirst, let last = (start..<spaces).last(where: isLineEnd) { return last + 1 }
        if spaces - start > 1, spaces < end { return spaces - 1 }
        return max(spaces, start + 1)
    }

    /// The length of `'s`, `'re` and their like.
    private func contraction(_ first: UInt32?, _ second: UInt32?, _ third: UInt32?) -> Int? {
        guard first == 0x27, let second = letter(second) else { return nil }
        switch second {
        case "s", "t", "m", "d": return 2
        default: break
        }
        switch (second, letter(third)) {
        case ("r", "e"), ("v", "e"), ("l", "l"): return 3
        default: return nil
        }
    }

    /// A letter of ASCII, small where capitals count as small.
    private func letter(_ scalar: UInt32?) -> Unicode.Scalar? {
        guard let scalar, scalar < 0x80 else { return nil }
        let isCapital = (0x41...0x5A).contains(scalar)
        return Unicode.Scalar(UInt8(isCapital && !isFirst ? scalar + 0x20 : scalar))
    }
}
