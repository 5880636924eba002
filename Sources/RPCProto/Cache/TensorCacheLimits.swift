/// How much a ``TensorCache`` keeps.
public struct TensorCacheLimits: Hashable, Sendable {
    /// Bytes of all contents together. What is larger by itself is not kept.
    public var byteCount = 32 << 30
    /// Bytes that a content must have to be kept: sending fewer again costs little, and their number is bounded by this.
    /// Our heads ask for none below, stock heads for none below 10 MiB.
    public var smallestByteCount = Dialect.askedByteCount
    /// Bytes of the disk that are left free, whatever ``byteCount`` allows; on disks of less than 20 times as much it is a
    /// twentieth of the disk.
    public var freeByteCount = 1 << 30
    /// Bytes that wait in memory for the disk, from all sessions together.
    public var waitingByteCount = 128 << 20
    /// Seconds that a session waits for room among them, before a content is left out: fewer than clients wait for progress.
    public var waitingSeconds = 2.0
    /// Names of contents, those of all scopes together.
    public var nameCount = 65536

    public init() {}

    public init(byteCount: Int) {
        self.byteCount = byteCount
    }
}
