/// A response as a typed value. Bytes of tensors are answered without being gathered first: see `Session`.
public enum Response: Hashable, Sendable {
    /// - Parameter mark: what is in the byte between the version and the capabilities: ``Greeting``.
    case hello(WireVersion, ConnectionCapabilities, mark: UInt8 = 0)
    case deviceCount(UInt32)
    case buffer(handle: UInt64, byteCount: UInt64)
    /// An alignment, a size, an address.
    case number(UInt64)
    case memory(free: UInt64, total: UInt64)
    case success(Bool)
    /// Done, where a version says so: see ``Dialect/confirms(_:)``.
    case done

    /// The size and the content.
    public var encoded: [UInt8] {
        var content = PackedWriter(reserving: 32)
        switch self {
        case .hello(let version, let capabilities, let mark):
            for part in [version.major, version.minor, version.patch, mark] { content.put(part) }
            content.put(bytes: capabilities.bytes)
        case .deviceCount(let count): content.put(count)
        case .buffer(let handle, let byteCount):
            content.put(handle)
            content.put(byteCount)
        case .number(let number): content.put(number)
        case .memory(let free, let total):
            content.put(free)
            content.put(total)
        case .success(let isTrue): content.put(UInt8(isTrue ? 1 : 0))
        case .done: break
        }
        var writer = PackedWriter(reserving: 8 + content.bytes.count)
        writer.put(UInt64(content.bytes.count))
        writer.put(bytes: content.bytes)
        return writer.bytes
    }
}
