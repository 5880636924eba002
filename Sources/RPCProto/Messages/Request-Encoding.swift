extension Request {
    public var command: Command {
        switch self {
        case .hello: .hello
        case .deviceCount: .deviceCount
        case .allocateBuffer: .allocateBuffer
        case .getAlignment: .getAlignment
        case .getMaxSize: .getMaxSize
        case .getBase: .getBase
        case .freeBuffer: .freeBuffer
        case .clearBuffer: .clearBuffer
        case .getDeviceMemory: .getDeviceMemory
        case .getAllocationSize: .getAllocationSize
        case .initTensor: .initTensor
        case .setTensor: .setTensor
        case .setTensorHash: .setTensorHash
        case .setTensor2D: .setTensor2D
        case .getTensor: .getTensor
        case .getTensor2D: .getTensor2D
        case .copyTensor: .copyTensor
        case .fillTensor: .fillTensor
        case .computeGraph: .computeGraph
        case .recomputeGraph: .recomputeGraph
        case .joinCollective: .joinCollective
        case .reduceCollective: .reduceCollective
        case .leaveCollective: .leaveCollective
        }
    }

    /// The command, the size and the head; `tailByteCount` bytes of data are to follow.
    ///
    /// What a dialect does not carry (the cache's flag, a graph's uid) is left out. Whether it has the command is for the
    /// caller to know: ``Dialect/has(_:)``.
    public func encoded(tailByteCount: Int = 0, _ dialect: Dialect = .newest) -> [UInt8] {
        let headByteCount = dialect.headByteCount(of: command)
        var writer = PackedWriter(reserving: 9 + headByteCount)
        writer.put(command.rawValue)
        writer.put(UInt64(headByteCount + tailByteCount))
        switch self {
        case .hello(let capabilities): writer.put(bytes: capabilities.bytes)
        case .deviceCount: break
        case .allocateBuffer(let device, let byteCount):
            writer.put(device)
            writer.put(byteCount)
        case .getAlignment(let device), .getMaxSize(let device), .getDeviceMemory(let device),
            .leaveCollective(let device):
            writer.put(device)
        case .getBase(let buffer), .freeBuffer(let buffer): writer.put(buffer)
        case .clearBuffer(let buffer, let value):
            writer.put(buffer)
            writer.put(value)
        case .computeGraph(let device, let uid, let nodeCount):
            writer.put(device)
            if dialect.hasGraphNumbers { writer.put(uid) }
            writer.put(nodeCount)
        case .recomputeGraph(let device, let uid):
            writer.put(device)
            if dialect.hasGraphNumbers { writer.put(uid) }
        case .joinCollective(let device, let rank, let world, let port, let host):
            for number in [device, rank, world, port] { writer.put(number) }
            writer.put(host, count: 64)

        // Tensors.
        case .getAllocationSize(let device, let tensor, let sources):
            writer.put(device)
            tensor.write(to: &writer)
            for index in 0..<TensorRecord.sourceCount {
                (index < sources.count ? sources[index] : TensorRecord.absent).write(to: &writer)
            }
        case .initTensor(let tensor): tensor.write(to: &writer)
        case .setTensor(let tensor, let isCacheable, let offset):
            tensor.write(to: &writer)
            if dialect.hasCacheFlag { writer.put(UInt8(isCacheable ? 1 : 0)) }
            writer.put(offset)
        case .setTensorHash(let tensor, let offset, let number), .getTensor(let tensor, let offset, let number):
            tensor.write(to: &writer)
            writer.put(offset)
            writer.put(number)
        case .setTensor2D(let tensor, let region), .getTensor2D(let tensor, let region):
            tensor.write(to: &writer)
            region.write(to: &writer)
        case .copyTensor(let source, let target):
            source.write(to: &writer)
            target.write(to: &writer)
        case .fillTensor(let tensor, let offset, let byteCount, let value):
            tensor.write(to: &writer)
            writer.put(offset)
            writer.put(byteCount)
            writer.put(value)
        case .reduceCollective(let device, let tensor):
            writer.put(device)
            tensor.write(to: &writer)
        }
        return writer.bytes
    }
}

extension TensorRecord {
    /// What stands in the place of a source that is not there.
    static let absent: TensorRecord = {
        var record = TensorRecord()
        record.extents = .zero
        return record
    }()
}
