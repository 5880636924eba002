internal import Synchronization

/// Bytes that all sessions of a worker together may keep of something.
public final class ByteAllowance: Sendable {
    private let left: Mutex<Int>

    public init(_ byteCount: Int) {
        left = Mutex(byteCount)
    }

    /// Whether as many were left.
    func take(_ byteCount: Int) -> Bool {
        left.withLock { left in
            guard byteCount <= left else { return false }
            left -= byteCount
            return true
        }
    }

    func giveBack(_ byteCount: Int) {
        left.withLock { $0 += byteCount }
    }
}
