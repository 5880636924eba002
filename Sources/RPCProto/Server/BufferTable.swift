internal import Tensor

/// The buffers of one session, under handles and addresses of the session's own.
///
/// Addresses handed out mean nothing outside of the session: each buffer gets a stretch of a space that begins far from
/// zero, and stretches never overlap, nor are they used again. So no address of the process leaves it, and a session
/// cannot name another's memory.
struct BufferTable {
    struct Entry {
        let handle: UInt64
        /// The synthetic address of its first byte.
        let base: UInt64
        let device: Int
        let buffer: any Buffer

        var byteCount: UInt64 { UInt64(buffer.byteCount) }
    }

    private var entries: [UInt64: Entry] = [:]
    private var nextHandle: UInt64 = 1
    private var nextBase: UInt64 = 1 << 40
    /// Between buffers lies more than a tensor can be off by mistake and still hit.
    private static let gap: UInt64 = 1 << 16
    /// The end of the space: the half of the addresses in which sums of two do not overflow.
    private static let end: UInt64 = 1 << 62

    subscript(handle: UInt64) -> Entry? { entries[handle] }

    var count: Int { entries.count }
    var byteCount: UInt64 { entries.values.reduce(0) { $0 &+ $1.byteCount } }

    /// Whether the space has room for a buffer of this size.
    func hasRoom(for byteCount: UInt64) -> Bool {
        byteCount <= BufferTable.end - nextBase - BufferTable.gap
    }

    /// - Returns: the new handle. The caller has seen that there is room.
    mutating func add(_ buffer: any Buffer, device: Int) -> UInt64 {
        let handle = nextHandle
        nextHandle += 1
        entries[handle] = Entry(handle: handle, base: nextBase, device: device, buffer: buffer)
        let size = UInt64(buffer.byteCount) + BufferTable.gap
        nextBase += (size + BufferTable.gap - 1) / BufferTable.gap * BufferTable.gap
        return handle
    }

    mutating func remove(_ handle: UInt64) -> Entry? { entries.removeValue(forKey: handle) }
}
