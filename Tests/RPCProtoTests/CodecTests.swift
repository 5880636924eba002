import RPCProto
import Tensor
import Testing

/// The codec agrees with itself and with the sizes of the protocol.
struct CodecTests {
    static let record: TensorRecord = {
        var record = TensorRecord.floats(77, [3, 5, 7, 2], operation: 3, sources: [1, 0, 9])
        record.parameters = SIMD16(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, -16)
        record.viewSource = 5
        record.viewOffset = 1 << 40
        record.useCount = -3
        record.name = "blk.0.attn_q.weight"
        return record
    }()

    static let requests: [Request] = [
        .hello(ConnectionCapabilities(bytes: Array(1...24))), .deviceCount, .allocateBuffer(device: 3, byteCount: 1 << 60),
        .getAlignment(device: 1), .getMaxSize(device: 2), .getBase(buffer: 9), .freeBuffer(buffer: 1 << 63),
        .clearBuffer(buffer: 4, value: 0xab), .getDeviceMemory(device: 5), .initTensor(record),
        .setTensor(record, isCacheable: true, offset: 12), .setTensorHash(record, offset: 3, hash: 0xfeed),
        .setTensor2D(record, .init(offset: 1, byteCount: 2, copies: 3, stride: 4)),
        .getTensor(record, offset: 5, byteCount: 6), .getTensor2D(record, .init(offset: 9, byteCount: 8, copies: 7, stride: 6)),
        .copyTensor(from: record, to: .floats(1, [1])), .fillTensor(record, offset: 1, byteCount: 2, value: 3),
        .computeGraph(device: 1, uid: 2, nodeCount: 3), .recomputeGraph(device: 4, uid: 5),
        .joinCollective(device: 1, rank: 1, world: 2, port: 51052, host: "node-b"), .reduceCollective(device: 2, record),
        .leaveCollective(device: 6), .getAllocationSize(device: 1, record, sources: (0..<10).map { _ in record }),
    ]

    @Test func everyCommandIsThere() {
        #expect(Set(CodecTests.requests.map(\.command)) == Set(Command.allCases))
    }

    @Test(arguments: requests) func requestsComeBackAsTheyWent(_ request: Request) {
        let encoded = request.encoded()
        #expect(encoded[0] == request.command.rawValue)
        #expect(encoded.count == 9 + request.command.headByteCount)
        encoded.withUnsafeBytes { bytes in
            #expect(Request(request.command, head: UnsafeRawBufferPointer(rebasing: bytes[9...])) == request)
        }
    }

    /// The sizes that PROTOCOL's table of 8.0.0 gives.
    @Test func headsHaveTheProtocolsSizes() {
        let sizes: [Command: Int] = [
            .allocateBuffer: 12, .getAlignment: 4, .getBase: 8, .clearBuffer: 9, .setTensor: 305, .setTensorHash: 312,
            .getTensor: 312, .copyTensor: 592, .computeGraph: 16, .initTensor: 296, .getAllocationSize: 3260, .hello: 24,
            .deviceCount: 0, .recomputeGraph: 12, .fillTensor: 313, .setTensor2D: 328, .getTensor2D: 328,
            .joinCollective: 80, .reduceCollective: 300, .leaveCollective: 4,
        ]
        for (command, size) in sizes { #expect(command.headByteCount == size, "\(command.name)") }
    }

    @Test func graphsComeBackAsTheyWent() {
        let message = GraphMessage(nodes: [77, 78], tensors: [CodecTests.record, .floats(78, [4])])
        message.encoded.withUnsafeBytes { bytes in
            #expect(GraphMessage(nodeCount: 2, bytes) == message)
            #expect(GraphMessage(nodeCount: 1 << 31, bytes) == nil)
            #expect(GraphMessage(nodeCount: 2, UnsafeRawBufferPointer(rebasing: bytes.dropLast())) == nil)
        }
    }

    @Test func hashIsFNV() {
        let text = Array("foobar".utf8)
        text.withUnsafeBytes { #expect(FNVHash.of($0) == 0x8594_4171_f739_67e8) }
        [UInt8]().withUnsafeBytes { #expect(FNVHash.of($0) == 0xcbf2_9ce4_8422_2325) }
    }
}
