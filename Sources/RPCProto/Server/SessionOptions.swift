/// What a session offers, and how much of it.
public struct SessionOptions: Sendable {
    /// Bytes of one graph's message at most. A step of a model of 1,000 layers takes some 20 MB.
    public var graphByteCount = 32 << 20
    /// Bytes of the graphs' messages that are kept, per device, for heads to ask for again.
    public var keptGraphByteCount = 1 << 30
    /// What the graphs' messages of all sessions together are kept from; nil for no common bound.
    public var keptGraphAllowance: ByteAllowance?
    /// Buffers at most. Heads have a handful for each model and context.
    public var bufferCount = 4096
    /// Graphs that are kept ready to run, per device; of the others only the message is kept.
    public var preparedGraphCount = 64
    /// Bytes of the messages of graphs that are kept ready, per device. Memory for being ready is some times as much.
    public var preparedGraphByteCount = 128 << 20
    /// Where tensors are kept over connections; nil for nowhere.
    public var cache: TensorCache?
    /// Who this session's contents in the cache belong to: sessions of one scope are served what any of them stored, and
    /// nothing else. A client's address without its port, for example.
    public var cacheScope = ""
    /// Whether the worker is about to stop. Devices have no memory then, which tells clients that ask now and then to move away.
    public var isLeaving: (@Sendable () -> Bool)?
    /// How clients may link this worker with another; nil for not at all.
    public var collectives: CollectiveOptions?

    /// Whether clients may have a second connection, served on a thread of its own whatever the first is busy with, to ask for
    /// signs of life. Their greetings are answered with a mark that says so (``Greeting``).
    public var hasLifeLines = false
    /// By what heads know this worker from others, whatever address they came by: told on life lines.
    package var workerNumber: UInt64?

    public init() {}
}
