/// How long a client waits, in seconds. Nothing that it does takes longer than these, whatever the server does.
public struct ClientLimits: Hashable, Sendable {
    /// For a connection, looking up the name included.
    public var connect = 5.0
    /// For the answer to a greeting or a small question.
    public var answer = 10.0
    /// For the answer to a step, and for progress of what is large: it begins anew with every 64 KiB that moved.
    public var step = 120.0

    public init(connect: Double = 5, answer: Double = 10, step: Double = 120) {
        self.connect = connect
        self.answer = answer
        self.step = step
    }
}
