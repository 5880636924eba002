/// A tensor whose content a backend is to have: weights, which nobody changes once they are there.
public struct TensorUpload: Sendable {
    public var name: String
    public var type: ElementType
    public var shape: Shape
    /// Exactly the tensor's bytes, without gaps.
    public var content: MemoryRegion
    public var hash: Hash

    /// What a server with a cache may know the content by: ggml's 64-bit FNV-1a of its bytes.
    public enum Hash: Hashable, Sendable {
        /// It is not asked for by hash, and no cache is to keep it.
        case none
        case known(UInt64)
        /// Computed if it is worth it, by whoever brings it.
        case onDemand
    }

    public init(name: String, type: ElementType, shape: Shape, content: MemoryRegion, hash: Hash = .none) {
        self.name = name
        self.type = type
        self.shape = shape
        self.content = content
        self.hash = hash
    }

    /// Checks that the content has the size that type and shape say.
    ///
    /// - Throws: `invalidArgument`.
    public func checkSize() throws(BackendError) {
        guard let count = shape.checkedElementCount, shape[0] % type.elementsPerBlock == 0, let size = type.byteCount(elements: count)
        else { throw BackendError(.invalidArgument, tensor: name, "shape \(shape) of \(type.name) has no size") }
        guard size == content.bytes.count else {
            let message = "a content of \(content.bytes.count) bytes for \(shape) of \(type.name), \(size) bytes"
            throw BackendError(.invalidArgument, tensor: name, message)
        }
    }
}

/// Where an uploaded tensor lies.
public struct LoadedTensor: Sendable {
    public var buffer: any Buffer
    public var byteOffset: Int

    public init(buffer: any Buffer, byteOffset: Int) {
        self.buffer = buffer
        self.byteOffset = byteOffset
    }
}

/// How far an upload has come, in bytes of content.
public struct TransferProgress: Hashable, Sendable {
    /// What the device has, sent or found there.
    public var done: Int
    public var total: Int
    /// What had to be sent.
    public var sent: Int

    public init(done: Int, total: Int, sent: Int) {
        self.done = done
        self.total = total
        self.sent = sent
    }
}
