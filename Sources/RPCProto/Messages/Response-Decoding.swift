extension Response {
    /// Bytes of the content of every response to this command; nil where the response's length is the request's to say, or
    /// where there is none.
    static func byteCount(answering command: Command) -> Int? {
        switch command {
        case .hello: 4 + ConnectionCapabilities.byteCount
        case .deviceCount: 4
        case .allocateBuffer, .getDeviceMemory: 16
        case .getAlignment, .getMaxSize, .getBase, .getAllocationSize: 8
        case .setTensorHash, .copyTensor, .joinCollective: 1
        case .freeBuffer, .clearBuffer, .initTensor, .setTensor, .setTensor2D, .getTensor, .getTensor2D, .fillTensor, .computeGraph,
            .recomputeGraph, .reduceCollective, .leaveCollective:
            nil
        }
    }

    /// - Parameter content: without the size in front of it; ``byteCount(answering:)`` bytes.
    init?(answering command: Command, content: UnsafeRawBufferPointer) {
        guard content.count == Response.byteCount(answering: command) else { return nil }
        var reader = PackedReader(content)
        switch command {
        case .hello:
            let version = WireVersion(reader.integer(), reader.integer(), reader.integer())
            let mark = reader.integer(UInt8.self)
            self = .hello(version, ConnectionCapabilities(bytes: Array(reader.take(ConnectionCapabilities.byteCount))), mark: mark)
        case .deviceCount: self = .deviceCount(reader.integer())
        case .allocateBuffer: self = .buffer(handle: reader.integer(), byteCount: reader.integer())
        case .getDeviceMemory: self = .memory(free: reader.integer(), total: reader.integer())
        case .getAlignment, .getMaxSize, .getBase, .getAllocationSize: self = .number(reader.integer())
        case .setTensorHash, .copyTensor, .joinCollective: self = .success(reader.integer(UInt8.self) != 0)
        case .freeBuffer, .clearBuffer, .initTensor, .setTensor, .setTensor2D, .getTensor, .getTensor2D, .fillTensor, .computeGraph,
            .recomputeGraph, .reduceCollective, .leaveCollective:
            return nil
        }
    }
}
