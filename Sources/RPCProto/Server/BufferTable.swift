package import Tensor

/// The buffers of one session, under handles and addresses of the session's own.
///
/// Addresses handed out mean nothing outside of the session: each buffer gets a stretch of a space that begins far from
/// zero, and stretches never overlap, nor are they used again. So no address of the process leaves it, and a session
/// cannot name another's memory.
package struct BufferTable {
    package struct Entry {
        let handle: UInt64
        /// The synthetic address of its first byte.
        package let base: UInt64
        let device: Int
        let buffer: any Buffer

        var byteCount: UInt64 { UInt64(buffer.byteCount) }
    }

    private var entries: [UInt64: Entry] = [:]
    private var nextHandle: UInt64 = 1
    private var nextBase: UInt64
    /// Between buffers lies more than a tensor can be off by mistake and still hit.
    package static let gap: UInt64 = 1 << 16
    /// The end of the space: the half of the addresses in which sums of two do not overflow.
    package static let end: UInt64 = 1 << 62

    /// - Parameter nextBase: where the space begins, a multiple of the gap and at most the end.
    package init(nextBase: UInt64 = 1 << 40) {
        self.nextBase = nextBase
    }

    package subscript(handle: UInt64) -> Entry? { entries[handle] }

    var count: Int { entries.count }
    var byteCount: UInt64 { entries.values.reduce(0) { $0 &+ $1.byteCount } }

    /// Whether the space has room for a buffer of this size.
    package func hasRoom(for byteCount: UInt64) -> Bool {
        // The last buffer may end where the space does: then not even the gap is left.
        nextBase <= BufferTable.end - BufferTable.gap && byteCount <= BufferTable.end - BufferTable.gap - nextBase
    }

    /// - Returns: the new handle; nil if there is no room for what the buffer has come out as.
    package mutating func add(_ buffer: any Buffer, device: Int) -> UInt64? {
        guard hasRoom(for: UInt64(buffer.byteCount)) else { return nil }
        let handle = nextHandle
        nextHandle += 1
        entries[handle] = Entry(handle: handle, base: nextBase, device: device, buffer: buffer)
        let size = UInt64(buffer.byteCount) + BufferTable.gap
        nextBase += (size + BufferTable.gap - 1) / BufferTable.gap * BufferTable.gap
        return handle
    }

    package mutating func remove(_ handle: UInt64) -> Entry? { entries.removeValue(forKey: handle) }
}
