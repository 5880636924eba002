/// Cuts a text into words as BERT does: at white space, with every punctuation mark and every Chinese character a word of its
/// own; controls are left out, and letters lose case and accents where the vocabulary knows none.
struct WordSplitter: Sendable {
    var lowersCase: Bool
    var stripsAccents: Bool

    /// U+2581 in UTF-8, which marks a word's start.
    private static let mark: [UInt8] = [0xE2, 0x96, 0x81]

    /// Calls `body` with each word's bytes behind the mark of its start.
    ///
    /// - Parameter word: memory for one, used again from call to call.
    func forEachWord(of text: ScalarText, in word: inout [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        word.removeAll(keepingCapacity: true)
        word.append(contentsOf: Self.mark)
        func end(_ word: inout [UInt8]) {
            guard word.count > Self.mark.count else { return }
            word.withUnsafeBufferPointer(body)
            word.removeSubrange(Self.mark.count...)
        }
        for original in text.scalars {
            let scalar = stripsAccents ? ScalarLetters.decomposed(original) : original
            let kind = ScalarClass.of(scalar)
            if kind.contains(.space) {
                end(&word)
                continue
            }
            if scalar == 0 || scalar == 0xFFFD || kind.contains(.other) && ScalarLetters.isControl(scalar) { continue }
            if stripsAccents, kind.contains(.mark) { continue }
            let isAlone =
                kind.contains(.punctuation) || (scalar < 0x7F && kind.contains(.symbol)) || Self.isChinese(scalar)
            if isAlone { end(&word) }
            ScalarText.forEachByte(of: lowersCase ? ScalarLetters.lowered(scalar) : scalar) { word.append($0) }
            if isAlone { end(&word) }
        }
        end(&word)
    }

    /// The blocks of Chinese characters, as tokenizers of this kind have them; one begins later than in Unicode.
    private static func isChinese(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
            0x2B920...0x2CEAF, 0x2F800...0x2FA1F:
            true
        default: false
        }
    }
}
