/// What a ``TensorCache`` did since it was opened, and what it holds.
public struct TensorCacheStatistics: Hashable, Sendable {
    /// Questions for a content that was there, whole and true, and the bytes that need not be sent because of that.
    public var hitCount = 0
    public var hitByteCount = 0
    /// Questions for a content that was not.
    public var missCount = 0
    /// Contents written. One that is there already is only given another name.
    public var storedCount = 0
    public var storedByteCount = 0
    /// Contents removed to make room.
    public var evictedCount = 0
    public var evictedByteCount = 0
    /// Contents removed since they were not what their name says.
    public var damagedCount = 0
    /// Contents that could not be kept: no room on the disk, no permission, a failure of writing.
    public var failedCount = 0
    /// Contents left out since too much waited for the disk.
    public var droppedCount = 0
    /// Bytes in memory that wait for the disk now.
    public var waitingByteCount = 0
    /// Bytes of the contents kept now. Of what other processes did with the same folder it knows since its last look.
    public var currentByteCount = 0

    public init() {}
}
