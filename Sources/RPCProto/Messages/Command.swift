/// What a request asks for, with the numbers of protocol 8.0.0; earlier versions lack some (``Dialect/has(_:)``).
///
/// A request is `command: u8`, `size: u64` and `size` bytes; a response is `size: u64` and `size` bytes. All numbers are
/// little-endian and packed. Commands are carried out strictly in order, so a peer may send many before it reads.
public enum Command: UInt8, CaseIterable, Hashable, Sendable {
    case allocateBuffer = 0
    case getAlignment = 1
    case getMaxSize = 2
    case getBase = 3
    case freeBuffer = 4
    case clearBuffer = 5
    case setTensor = 6
    case setTensorHash = 7
    case getTensor = 8
    case copyTensor = 9
    case computeGraph = 10
    case getDeviceMemory = 11
    case initTensor = 12
    case getAllocationSize = 13
    case hello = 14
    case deviceCount = 15
    case recomputeGraph = 16
    case fillTensor = 17
    case setTensor2D = 18
    case getTensor2D = 19
    case joinCollective = 20
    case reduceCollective = 21
    case leaveCollective = 22

    /// Bytes that every request of this command has in 8.0.0: all of it, or, where data follows, what comes before the
    /// data. For other versions: ``Dialect/headByteCount(of:)``.
    public var headByteCount: Int {
        switch self {
        case .deviceCount: 0
        case .getAlignment, .getMaxSize, .getDeviceMemory, .leaveCollective: 4
        case .getBase, .freeBuffer: 8
        case .clearBuffer: 9
        case .allocateBuffer, .recomputeGraph: 12
        case .computeGraph: 16
        case .hello: ConnectionCapabilities.byteCount
        case .joinCollective: 80
        case .initTensor: TensorRecord.byteCount
        case .reduceCollective: 4 + TensorRecord.byteCount
        case .setTensor: TensorRecord.byteCount + 9
        case .getTensor, .setTensorHash: TensorRecord.byteCount + 16
        case .fillTensor: TensorRecord.byteCount + 17
        case .setTensor2D, .getTensor2D: TensorRecord.byteCount + 32
        case .copyTensor: 2 * TensorRecord.byteCount
        case .getAllocationSize: 4 + 11 * TensorRecord.byteCount
        }
    }

    /// Whether data of the request's own length follows its head.
    public var hasTail: Bool {
        switch self {
        case .setTensor, .setTensor2D, .computeGraph: true
        default: false
        }
    }

    /// ggml's name of it, for logs.
    public var name: String {
        switch self {
        case .allocateBuffer: "ALLOC_BUFFER"
        case .getAlignment: "GET_ALIGNMENT"
        case .getMaxSize: "GET_MAX_SIZE"
        case .getBase: "BUFFER_GET_BASE"
        case .freeBuffer: "FREE_BUFFER"
        case .clearBuffer: "BUFFER_CLEAR"
        case .setTensor: "SET_TENSOR"
        case .setTensorHash: "SET_TENSOR_HASH"
        case .getTensor: "GET_TENSOR"
        case .copyTensor: "COPY_TENSOR"
        case .computeGraph: "GRAPH_COMPUTE"
        case .getDeviceMemory: "GET_DEVICE_MEMORY"
        case .initTensor: "INIT_TENSOR"
        case .getAllocationSize: "GET_ALLOC_SIZE"
        case .hello: "HELLO"
        case .deviceCount: "DEVICE_COUNT"
        case .recomputeGraph: "GRAPH_RECOMPUTE"
        case .fillTensor: "MEMSET_TENSOR"
        case .setTensor2D: "SET_TENSOR_2D"
        case .getTensor2D: "GET_TENSOR_2D"
        case .joinCollective: "COMM_INIT"
        case .reduceCollective: "COMM_ALLREDUCE"
        case .leaveCollective: "COMM_FREE"
        }
    }
}

/// What a peer could use instead of TCP. All zeros declines; this program offers nothing else.
public struct ConnectionCapabilities: Hashable, Sendable {
    public static let byteCount = 24

    public var bytes: [UInt8]

    /// What a head says in greeting a worker of ours for the second time: over this connection it only asks for signs of life.
    /// As an offer of another transport, which is what others use these bytes for, it is none.
    package static let lifeLine = ConnectionCapabilities(bytes: [0, 0, 0, 0] + Array("swiftlet's life line".utf8))

    /// What a worker of ours answers on a life line: which worker it is, by a number that it drew when it began. On other connections
    /// it offers nothing, as clients expect it.
    package static func worker(_ number: UInt64) -> ConnectionCapabilities {
        ConnectionCapabilities(
            bytes: [0, 0, 0, 0] + workerMark + (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } + [0, 0, 0, 0])
    }

    private static let workerMark = Array("swiftlet".utf8)

    /// The number of the worker that answered so on a life line; nil if there is none.
    package var workerNumber: UInt64? {
        guard bytes.count == ConnectionCapabilities.byteCount, bytes[..<4].allSatisfy({ $0 == 0 }),
            Array(bytes[4..<12]) == ConnectionCapabilities.workerMark
        else { return nil }
        return bytes[12..<20].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    public static let none = ConnectionCapabilities(bytes: [UInt8](repeating: 0, count: byteCount))

    public init(bytes: [UInt8]) {
        self.bytes = bytes
    }
}

/// By what heads know workers of ours that serve a second connection while the first is busy.
///
/// The answer to HELLO has a byte behind the version's three that fills up and that nobody reads; stock servers, which serve one
/// connection at a time, leave in it what happened to be there. Ours put a mark in it, and as a byte alone proves little, a server
/// is one of ours only if its largest buffer is ours as well (``Session/largestBuffer``).
package enum Greeting {
    package static let mark: UInt8 = 0x54
    /// From the answer's first byte behind the size.
    static let markPosition = 3
}
