import Foundation
import RPCProto
import Tensor
import Testing

/// What a client gets that does as it should.
struct SessionTests {
    @Test func tensorsGoInAndComeOut() throws {
        var talk = Conversation()
        talk.say(.deviceCount)
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.getBase(buffer: Conversation.handle(0)))
        let tensor = TensorRecord.floats(1, [8])
        talk.say(.setTensor(tensor, isCacheable: false, offset: 8), data: bytes([1, 2, 3]))
        talk.say(.getTensor(tensor, offset: 0, byteCount: 24))
        talk.say(.fillTensor(tensor, offset: 12, byteCount: 4, value: 0))
        talk.say(.getTensor2D(tensor, .init(offset: 8, byteCount: 4, copies: 2, stride: 8)))
        talk.say(.setTensor2D(tensor, .init(offset: 0, byteCount: 4, copies: 2, stride: 12)), data: bytes([7, 8]))
        talk.say(.copyTensor(from: tensor, to: .floats(2, [8], at: 64)))
        talk.say(.getTensor(.floats(2, [8], at: 64), offset: 0, byteCount: 32))
        talk.say(.clearBuffer(buffer: Conversation.handle(0), value: 0))
        talk.say(.getTensor(tensor, offset: 0, byteCount: 8))
        let (end, answers) = try talk.held()
        #expect(end.isClosed)
        #expect(answers[0] == [1, 0, 0, 0])
        #expect(answers[1].prefix(8) == [1, 0, 0, 0, 0, 0, 0, 0])
        #expect(answers[2] == withUnsafeBytes(of: Conversation.base(0).littleEndian) { Array($0) })
        #expect(floats(answers[3]) == [0, 0, 1, 2, 3, 0])
        #expect(floats(answers[4]) == [1, 3])
        #expect(answers[5] == [1])
        #expect(floats(answers[6]) == [7, 0, 1, 8, 3, 0, 0, 0])
        #expect(floats(answers[7]) == [0, 0])
    }

    /// x + y, then that twice over: 2 is ADD.
    private static func sum(uid: UInt64, flags: Int32 = 16) -> GraphMessage {
        let x = TensorRecord.floats(1, [4])
        let y = TensorRecord.floats(2, [4], at: 32)
        var z = TensorRecord.floats(3, [4], at: 64, operation: 2, sources: [1, 2])
        z.flags = flags
        return GraphMessage(nodes: [3], tensors: [z, x, y])
    }

    @Test func graphsAreComputedAndComputedAgain() throws {
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.setTensor(.floats(1, [4]), isCacheable: false, offset: 0), data: bytes([1, 2, 3, 4]))
        talk.say(.setTensor(.floats(2, [4], at: 32), isCacheable: false, offset: 0), data: bytes([10, 20, 30, 40]))
        talk.compute(SessionTests.sum(uid: 5), uid: 5)
        talk.say(.getTensor(.floats(3, [4], at: 64), offset: 0, byteCount: 16))
        talk.say(.setTensor(.floats(1, [4]), isCacheable: false, offset: 0), data: bytes([5, 5, 5, 5]))
        talk.say(.recomputeGraph(device: 0, uid: 5))
        talk.say(.getTensor(.floats(3, [4], at: 64), offset: 0, byteCount: 16))
        let (end, answers) = try talk.held()
        #expect(end.isClosed)
        #expect(floats(answers[1]) == [11, 22, 33, 44])
        #expect(floats(answers[2]) == [15, 25, 35, 45])
    }

    /// Programs that measure operations list one many times.
    @Test func nodesThatAreListedTwiceAreComputedTwice() throws {
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.setTensor(.floats(1, [4]), isCacheable: false, offset: 0), data: bytes([1, 2, 3, 4]))
        talk.say(.setTensor(.floats(2, [4], at: 32), isCacheable: false, offset: 0), data: bytes([10, 20, 30, 40]))
        // In place, so that it shows.
        let sum = TensorRecord.floats(3, [4], operation: 2, sources: [1, 2])
        talk.compute(GraphMessage(nodes: [3, 3, 3], tensors: [sum, .floats(1, [4]), .floats(2, [4], at: 32)]))
        talk.say(.getTensor(.floats(1, [4]), offset: 0, byteCount: 16))
        let (end, answers) = try talk.held()
        #expect(end.isClosed)
        #expect(floats(answers[1]) == [31, 62, 93, 124])
    }

    /// ggml's casts name themselves as what they are written into.
    @Test func castsThatReadThemselves() throws {
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.setTensor(.floats(1, [4]), isCacheable: false, offset: 0), data: bytes([1, 2, 3, 4]))
        let cast = TensorRecord.floats(3, [4], at: 64, operation: UInt32(OperationKind.allCases.firstIndex(of: .cpy) ?? 0), sources: [1, 3])
        talk.compute(GraphMessage(nodes: [3], tensors: [cast, .floats(1, [4])]))
        talk.say(.getTensor(.floats(3, [4], at: 64), offset: 0, byteCount: 16))
        let (end, answers) = try talk.held()
        #expect(end.isClosed)
        #expect(floats(answers[1]) == [1, 2, 3, 4])
    }

    @Test func nodesThatAreNotToBeComputedAreLeftAlone() throws {
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.clearBuffer(buffer: Conversation.handle(0), value: 0x11))
        talk.compute(SessionTests.sum(uid: 0, flags: 0))
        talk.say(.getTensor(.floats(3, [4], at: 64), offset: 0, byteCount: 4))
        let (end, answers) = try talk.held()
        #expect(end.isClosed)
        #expect(answers[1] == [0x11, 0x11, 0x11, 0x11])
    }

    /// A stock head remembers graphs over the freeing of a buffer that they do not touch.
    @Test func graphsOutliveBuffersThatTheyDoNotTouch() throws {
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.allocateBuffer(device: 0, byteCount: 64))
        talk.compute(SessionTests.sum(uid: 7), uid: 7)
        talk.say(.freeBuffer(buffer: Conversation.handle(1)))
        talk.say(.recomputeGraph(device: 0, uid: 7))
        #expect(try talk.held().end.isClosed)
        talk.say(.freeBuffer(buffer: Conversation.handle(0)))
        talk.say(.recomputeGraph(device: 0, uid: 7))
        #expect(try talk.held().end.code == .unknown)
    }

    @Test func graphsPastTheReadyOnesComeBackFromTheirMessages() throws {
        var options = SessionOptions()
        options.preparedGraphCount = 2
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.setTensor(.floats(1, [4]), isCacheable: false, offset: 0), data: bytes([1, 2, 3, 4]))
        for uid in 1...5 { talk.compute(SessionTests.sum(uid: UInt64(uid)), uid: UInt64(uid)) }
        for uid in 1...5 { talk.say(.recomputeGraph(device: 0, uid: UInt64(uid))) }
        talk.say(.getTensor(.floats(3, [4], at: 64), offset: 0, byteCount: 16))
        let (end, answers) = try talk.held(options)
        #expect(end.isClosed)
        #expect(floats(answers[1]) == [1, 2, 3, 4])
    }

    /// Both sides forget all of 1024 graphs before they add one more.
    @Test func theCacheOfGraphsIsClearedWhenFull() throws {
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        for uid in 1...1025 { talk.compute(SessionTests.sum(uid: UInt64(uid)), uid: UInt64(uid)) }
        talk.say(.recomputeGraph(device: 0, uid: 1025))
        #expect(try talk.held().end.isClosed)
        talk.say(.recomputeGraph(device: 0, uid: 1024))
        #expect(try talk.held().end.code == .unknown)
    }

    @Test func memoryThatCannotBeHadIsAnAnswer() throws {
        var talk = Conversation()
        for size in [UInt64.max, 1 << 63, 1 << 62, 1 << 61] { talk.say(.allocateBuffer(device: 0, byteCount: size)) }
        talk.say(.allocateBuffer(device: 0, byteCount: 0))
        talk.say(.joinCollective(device: 0, rank: 0, world: 2, port: 1, host: "somewhere"))
        let (end, answers) = try talk.held()
        #expect(end.isClosed)
        for answer in answers.prefix(4) { #expect(answer == [UInt8](repeating: 0, count: 16)) }
        #expect(answers[4].first == 1)
        #expect(answers[5] == [0])
    }

    @Test func theCacheServesWhatItHasWhole() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = SessionOptions()
        var limits = TensorCacheLimits()
        limits.smallestByteCount = 1
        options.cache = try TensorCache(folder: folder, limits: limits)
        let content = bytes([3, 1, 4, 1, 5])
        let hash = content.withUnsafeBytes { FNVHash.of($0) }
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.setTensorHash(.floats(1, [5]), offset: 0, hash: hash))
        talk.say(.setTensor(.floats(1, [5]), isCacheable: true, offset: 0), data: content)
        talk.say(.setTensorHash(.floats(2, [5], at: 128), offset: 0, hash: hash))
        talk.say(.getTensor(.floats(2, [5], at: 128), offset: 0, byteCount: 20))
        let (end, answers) = try talk.held(options)
        #expect(end.isClosed)
        #expect(answers[1] == [0])
        #expect(answers[2] == [1])
        #expect(answers[3] == content)

        // What does not fit its tensor closes; a file cut short is not served.
        var small = Conversation()
        small.say(.allocateBuffer(device: 0, byteCount: 4096))
        small.say(.setTensorHash(.floats(1, [4]), offset: 0, hash: hash))
        #expect(try small.held(options).end.code == .bounds)
        let file = try #require(FileManager.default.contentsOfDirectory(atPath: folder + "/blobs").first.map { folder + "/blobs/" + $0 })
        try Data(content.dropLast()).write(to: URL(filePath: file))
        var again = Conversation()
        again.say(.allocateBuffer(device: 0, byteCount: 4096))
        again.say(.setTensorHash(.floats(1, [5]), offset: 0, hash: hash))
        #expect(try again.held(options).answers[1] == [0])
    }
}
