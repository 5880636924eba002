/// A request as a typed value. Where data follows (`setTensor`, `setTensor2D`), the value is the head alone, so that the
/// data can go from the socket straight to its place.
public enum Request: Hashable, Sendable {
    case hello(ConnectionCapabilities)
    case deviceCount
    case allocateBuffer(device: UInt32, byteCount: UInt64)
    case getAlignment(device: UInt32)
    case getMaxSize(device: UInt32)
    case getBase(buffer: UInt64)
    case freeBuffer(buffer: UInt64)
    case clearBuffer(buffer: UInt64, value: UInt8)
    case getDeviceMemory(device: UInt32)
    case getAllocationSize(device: UInt32, TensorRecord, sources: [TensorRecord])
    case initTensor(TensorRecord)
    case setTensor(TensorRecord, isCacheable: Bool, offset: UInt64)
    case setTensorHash(TensorRecord, offset: UInt64, hash: UInt64)
    case setTensor2D(TensorRecord, Region2D)
    case getTensor(TensorRecord, offset: UInt64, byteCount: UInt64)
    case getTensor2D(TensorRecord, Region2D)
    case copyTensor(from: TensorRecord, to: TensorRecord)
    case fillTensor(TensorRecord, offset: UInt64, byteCount: UInt64, value: UInt8)
    /// The nodes and tensors follow: see ``GraphMessage``.
    case computeGraph(device: UInt32, uid: UInt64, nodeCount: UInt32)
    case recomputeGraph(device: UInt32, uid: UInt64)
    case joinCollective(device: UInt32, rank: UInt32, world: UInt32, port: UInt32, host: String)
    case reduceCollective(device: UInt32, TensorRecord)
    case leaveCollective(device: UInt32)

    /// Stretches of a tensor at equal distances, as they travel one behind the other.
    public struct Region2D: Hashable, Sendable {
        public var offset: UInt64
        /// Bytes of one stretch.
        public var byteCount: UInt64
        public var copies: UInt64
        /// Bytes between the beginnings of stretches.
        public var stride: UInt64

        public init(offset: UInt64, byteCount: UInt64, copies: UInt64, stride: UInt64) {
            self.offset = offset
            self.byteCount = byteCount
            self.copies = copies
            self.stride = stride
        }
    }

    /// The uid that stands for a device's last graph where graphs have no uids: so, whoever keeps graphs by uid keeps one.
    public static let lastGraph: UInt64 = 1

    /// - Parameter head: ``Dialect/headByteCount(of:)`` bytes.
    public init(_ command: Command, head: UnsafeRawBufferPointer, _ dialect: Dialect = .newest) {
        var reader = PackedReader(head)
        switch command {
        case .hello: self = .hello(ConnectionCapabilities(bytes: Array(head)))
        case .deviceCount: self = .deviceCount
        case .allocateBuffer: self = .allocateBuffer(device: reader.integer(), byteCount: reader.integer())
        case .getAlignment: self = .getAlignment(device: reader.integer())
        case .getMaxSize: self = .getMaxSize(device: reader.integer())
        case .getBase: self = .getBase(buffer: reader.integer())
        case .freeBuffer: self = .freeBuffer(buffer: reader.integer())
        case .clearBuffer: self = .clearBuffer(buffer: reader.integer(), value: reader.integer())
        case .getDeviceMemory: self = .getDeviceMemory(device: reader.integer())
        case .getAllocationSize:
            let device: UInt32 = reader.integer()
            let tensor = TensorRecord(&reader)
            let sources = (0..<TensorRecord.sourceCount).map { _ in TensorRecord(&reader) }
            self = .getAllocationSize(device: device, tensor, sources: sources)
        case .initTensor: self = .initTensor(TensorRecord(&reader))
        case .setTensor:
            self = .setTensor(
                TensorRecord(&reader), isCacheable: dialect.hasCacheFlag && reader.integer(UInt8.self) != 0,
                offset: reader.integer())
        case .setTensorHash:
            self = .setTensorHash(TensorRecord(&reader), offset: reader.integer(), hash: reader.integer())
        case .setTensor2D: self = .setTensor2D(TensorRecord(&reader), Region2D(&reader))
        case .getTensor:
            self = .getTensor(TensorRecord(&reader), offset: reader.integer(), byteCount: reader.integer())
        case .getTensor2D: self = .getTensor2D(TensorRecord(&reader), Region2D(&reader))
        case .copyTensor: self = .copyTensor(from: TensorRecord(&reader), to: TensorRecord(&reader))
        case .fillTensor:
            self = .fillTensor(
                TensorRecord(&reader), offset: reader.integer(), byteCount: reader.integer(), value: reader.integer())
        case .computeGraph:
            self = .computeGraph(
                device: reader.integer(), uid: dialect.hasGraphNumbers ? reader.integer() : Request.lastGraph,
                nodeCount: reader.integer())
        case .recomputeGraph:
            self = .recomputeGraph(
                device: reader.integer(), uid: dialect.hasGraphNumbers ? reader.integer() : Request.lastGraph)
        case .joinCollective:
            self = .joinCollective(
                device: reader.integer(), rank: reader.integer(), world: reader.integer(), port: reader.integer(),
                host: String(zeroTerminated: reader.take(64)))
        case .reduceCollective: self = .reduceCollective(device: reader.integer(), TensorRecord(&reader))
        case .leaveCollective: self = .leaveCollective(device: reader.integer())
        }
    }
}

extension Request.Region2D {
    init(_ reader: inout PackedReader) {
        self.init(
            offset: reader.integer(), byteCount: reader.integer(), copies: reader.integer(), stride: reader.integer())
    }

    func write(to writer: inout PackedWriter) {
        for number in [offset, byteCount, copies, stride] { writer.put(number) }
    }
}
