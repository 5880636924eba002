/// A device that could take layers, and what it said of itself.
public struct DeviceSupply: Hashable, Sendable {
    /// For people: `10.0.0.7:50052 device 0`, `local`.
    public var name: String
    /// Whether it is in this process, so that nothing crosses a wire.
    public var isLocal: Bool
    /// Bytes that can be had, and bytes that there are. Both 0: it did not say.
    public var freeByteCount: Int
    public var totalByteCount: Int
    /// Bytes of one buffer at most: no tensor, no layer's keys and values, and no compute buffer may be larger.
    public var largestBufferByteCount: Int
    /// How long the shortest question and its answer take.
    public var roundTrip: Duration?

    public init(
        name: String, isLocal: Bool = false, freeByteCount: Int, totalByteCount: Int, largestBufferByteCount: Int = .max,
        roundTrip: Duration? = nil
    ) {
        self.name = name
        self.isLocal = isLocal
        self.freeByteCount = freeByteCount
        self.totalByteCount = totalByteCount
        self.largestBufferByteCount = largestBufferByteCount
        self.roundTrip = roundTrip
    }

    /// Whether the figures of memory mean anything. Stock servers may be told to report nothing.
    public var saysMemory: Bool { freeByteCount != 0 || totalByteCount != 0 }

    /// Free bytes, within what can be believed.
    var believedFreeByteCount: Int {
        let free = min(max(0, freeByteCount), CheckedDemand.limit)
        return totalByteCount > 0 ? min(free, totalByteCount) : free
    }

    /// Bytes of the free ones that nothing is put in: what a device counts as free is not to the last byte to be had,
    /// and its own tables and buffers of messages come on top.
    var reserveByteCount: Int { DeviceSupply.reserve(free: believedFreeByteCount) }

    /// Bytes that may be used; below 0 where not even the reserve is free.
    var usableByteCount: Int { believedFreeByteCount - reserveByteCount }

    static let leastReserve = 16 << 20
    static func reserve(free: Int) -> Int { max(leastReserve, free / 50) }

    /// The least that must be free so that this much can be used.
    static func free(usable: Int) -> Int { usable + max(leastReserve, (usable - 1) / 49) }
}
