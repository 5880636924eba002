/// Memory of a backend, wherever that is. Released when the last reference goes.
public protocol Buffer: AnyObject, Sendable {
    var byteCount: Int { get }
    /// The backend that can use it. A graph whose tensors are placed in another backend's buffers is refused.
    var backend: any Backend { get }
    /// The bytes themselves, where they are this process's and may be written; nil elsewhere. Whoever uses them sees to
    /// it that no run of the backend does at the same time.
    var hostBytes: UnsafeMutableRawBufferPointer? { get }
    /// Makes all bytes zero by giving their memory back to the system, which costs nothing before they are used again.
    /// Returns false where that cannot be. Whoever calls sees to it that no run of the backend uses them.
    func discard() -> Bool
}

extension Buffer {
    public var hostBytes: UnsafeMutableRawBufferPointer? { nil }
    public func discard() -> Bool { false }
}

/// Bytes of this process that outlive a call, with what keeps them alive: a mapped file, for example.
///
/// Backends in this process can use them in place; others copy them over.
public struct MemoryRegion: @unchecked Sendable {
    // Sendable: the bytes are read-only for as long as `owner` lives, and `owner` is Sendable itself.
    public let bytes: UnsafeRawBufferPointer
    public let owner: any AnyObject & Sendable

    /// - Parameter owner: keeps `bytes` valid and unchanged until it is released.
    public init(bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable) {
        self.bytes = bytes
        self.owner = owner
    }
}
