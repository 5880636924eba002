import Foundation
import RPCProto
import Tensor
import Testing

/// Answers that are whole and cannot be, or can be and are unusual.
struct ClientValueTests {
    private func server(_ command: Command, _ response: Response) throws -> LoopbackServer {
        try LoopbackServer { $0 == command ? response.encoded : $1 }
    }

    @Test func valuesThatCannotBe() throws {
        let cases: [(Command, Response)] = [
            (.deviceCount, .deviceCount(0)), (.deviceCount, .deviceCount(65)), (.deviceCount, .deviceCount(.max)),
            (.getAlignment, .number(0)),
            (.getAlignment, .number(48)), (.getAlignment, .number(1 << 40)), (.getAlignment, .number(.max)), (.getMaxSize, .number(0)),
            (.allocateBuffer, .buffer(handle: 1, byteCount: 0)), (.allocateBuffer, .buffer(handle: 1, byteCount: 999)),
            (.allocateBuffer, .buffer(handle: 1, byteCount: .max)), (.getBase, .number(0)), (.getBase, .number(65)),
            (.getBase, .number(.max - 63)), (.getAllocationSize, .number(.max)), (.getAllocationSize, .number(1 << 63)),
        ]
        for (command, response) in cases {
            let server = try server(command, response)
            let outcome = ClientTalk.hold(with: server.endpoint, ClientLimits())
            let error = try #require(outcome.error, "\(command.name) \(response)")
            #expect(error.code == .connection, "\(command.name) \(response): \(error)")
            #expect(error.message.hasPrefix("\(server.endpoint): \(command.name): ") || command == .allocateBuffer, "\(error)")
            #expect(outcome.failure == outcome.later)
        }
    }

    @Test func memoryIsWhatCanBe() throws {
        for (free, total, expected) in [
            (UInt64(10), UInt64(20), (10, 20)), (30, 20, (20, 20)), (.max, .max, (1 << 60, 1 << 60)), (0, 0, (0, 0)),
        ] {
            let server = try server(.getDeviceMemory, .memory(free: free, total: total))
            let memory = try #require(try server.connect().devices.first).memory()
            #expect(memory == DeviceMemory(free: expected.0, total: expected.1))
        }
    }

    /// No room is an answer, after which everything goes on; in 5.1 too, where confirmations lie between the answers.
    @Test(arguments: Dialect.all) func noRoomIsNoBrokenConnection(_ dialect: Dialect) throws {
        let server = try LoopbackServer(dialect)
        let connection = try server.connect()
        let backend = connection.devices[0]
        _ = try backend.allocate(byteCount: 100)
        let error = failure { _ = try backend.allocate(byteCount: 1 << 62) }
        #expect(error?.code == .outOfMemory)
        #expect(error?.message.contains("\(server.endpoint) device 0") == true)
        #expect(throws: BackendError.self) { try backend.reserve(computeByteCount: 1 << 62) }
        #expect(throws: BackendError.self) { try backend.allocate(byteCount: -1) }
        #expect(connection.failure == nil)
        #expect(try backend.allocate(byteCount: 0).byteCount == 0)
        #expect(server.count(of: .freeBuffer) == 1)
    }

    /// A server that wants more memory for results than they have bytes, and wants it aligned further.
    @Test(arguments: Dialect.all) func serversWithWishes(_ dialect: Dialect) throws {
        let plain = try LoopbackServer(dialect)
        let demanding = try LoopbackServer(dialect) { command, answer in
            switch command {
            case .getAlignment: Response.number(512).encoded
            case .getAllocationSize: Response.number(answer[8...].reversed().reduce(0) { $0 << 8 | UInt64($1) } + 1000).encoded
            default: answer
            }
        }
        let models = try [plain, demanding].map { try TinyTransformer(on: $0.connect().devices[0]) }
        let stages = try models.map { try $0.stage(tokens: 3) }
        #expect(stages[1].plan.computeByteCount > stages[0].plan.computeByteCount)
        for step in 0..<3 {
            let results = try zip(models, stages).map { try $0.run($1, first: step * 3, seed: UInt64(step)) }
            #expect(results[0] == results[1])
        }
        // Asked once for each kind of result.
        let count = demanding.count(of: .getAllocationSize)
        _ = try models[1].stage(tokens: 3)
        #expect(demanding.count(of: .getAllocationSize) == count)
    }

    /// A server with small buffers gets the weights in several.
    @Test func weightsAreSpreadOverSmallBuffers() throws {
        let server = try server(.getMaxSize, .number(20_000))
        let backend = try server.connect().devices[0]
        let uploads = TinyTransformer.uploads()
        let places = try backend.load(uploads)
        #expect(Set(places.map { ObjectIdentifier($0.buffer) }).count >= 5)
        for (upload, place) in zip(uploads, places) {
            #expect(place.byteOffset % backend.alignment == 0)
            #expect(place.buffer.byteCount <= 20_000)
            var content = [UInt8](repeating: 0, count: upload.content.bytes.count)
            try content.withUnsafeMutableBytes { try backend.read(place.buffer, at: place.byteOffset, into: $0) }
            #expect(content == Array(upload.content.bytes))
        }
        let large = TensorUpload(
            name: "large", type: .i8, shape: Shape(20_001), content: OwnedBytes.region([UInt8](repeating: 1, count: 20_001)))
        #expect(throws: BackendError.self) { try backend.load([large]) }
        #expect(throws: BackendError.self) { try backend.allocate(byteCount: 20_001) }
        let wrong = TensorUpload(name: "wrong", type: .f32, shape: Shape(4), content: OwnedBytes.region([1, 2, 3]))
        #expect(throws: BackendError.self) { try backend.load([wrong]) }
    }
}
