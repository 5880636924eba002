/// How long a client waits, in seconds. Nothing that it does takes longer than these, whatever the server does.
public struct ClientLimits: Hashable, Sendable {
    /// For a connection, looking up the name included.
    public var connect = 5.0
    /// For the answer to a greeting or a small question.
    public var answer = 10.0
    /// For the answer to a step, and for progress of what is large: it begins anew with every 64 KiB that moved.
    public var step = 120.0
    /// Whether a step's answer is given up as soon as it takes far longer than steps of its size have taken
    /// (``StepForecast``), and a transfer after ``silence``; ``step`` is the most then.
    public var foresees = false
    /// For progress of a transfer, where limits are foreseen.
    public var silence = 6.0
    /// Bytes a second at which the slowest of servers reads a cache from its disk, hashes, or zeroes memory.
    package var slowestMemory = 30e6

    public init(connect: Double = 5, answer: Double = 10, step: Double = 120, foresees: Bool = false) {
        self.connect = connect
        self.answer = answer
        self.step = step
        self.foresees = foresees
    }

    /// For progress of a transfer, or for an answer to which the server first has to go through so many bytes.
    func transfer(of byteCount: Int = 0) -> Double {
        foresees ? min(step, silence + seconds(for: byteCount)) : step
    }

    /// For something that is behind work of so many bytes whose end nobody has confirmed; at most ``step`` longer than
    /// without.
    func extended(_ seconds: Double, owing byteCount: Int) -> Double {
        if byteCount == 0 { return seconds }
        return foresees ? max(seconds, silence) + min(step, self.seconds(for: byteCount)) : max(seconds, step)
    }

    private func seconds(for byteCount: Int) -> Double { Double(byteCount) / slowestMemory }
}
