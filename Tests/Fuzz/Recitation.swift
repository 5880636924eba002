/// Says what it was given, whatever the answers.
final class Recitation: Speaker {
    private var said: [UInt8]?

    init(_ bytes: [UInt8]) {
        said = bytes
    }

    func speak(into bytes: inout [UInt8], after answers: Answers) -> Bool {
        guard let said, !said.isEmpty else { return false }
        bytes += said
        self.said = nil
        return true
    }
}
