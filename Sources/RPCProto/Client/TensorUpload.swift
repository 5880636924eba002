public import Tensor

/// A tensor whose content is to be brought to a server.
public struct TensorUpload: Sendable {
    public var name: String
    public var type: ElementType
    public var shape: Shape
    /// Exactly the tensor's bytes, without gaps.
    public var content: MemoryRegion
    public var hash: Hash

    /// The content's ``FNVHash``, by which a server with a cache may know it.
    public enum Hash: Hashable, Sendable {
        /// It is not asked for by hash, and no cache is to keep it.
        case none
        case known(UInt64)
        /// Computed if it is worth it, by ``ContentHashes``.
        case onDemand
    }

    public init(name: String, type: ElementType, shape: Shape, content: MemoryRegion, hash: Hash = .none) {
        self.name = name
        self.type = type
        self.shape = shape
        self.content = content
        self.hash = hash
    }
}

/// Where an uploaded tensor lies.
public struct LoadedTensor: Sendable {
    public var buffer: any Buffer
    public var byteOffset: Int
}

/// How far an upload has come, in bytes of content.
public struct TransferProgress: Hashable, Sendable {
    /// What the server has, sent or found in its cache.
    public var done: Int
    public var total: Int
    /// What had to be sent.
    public var sent: Int
}
