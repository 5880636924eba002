import Foundation
import RPCProto
import Tensor
import Testing

/// Clients of earlier versions are served as their own servers served them: whole conversations, spelled byte by byte
/// where the codec would otherwise only agree with itself.
struct DialectTests {
    static let seven = Dialect.version(WireVersion(7, 0, 0)) ?? .newest
    static let five = Dialect.version(WireVersion(5, 1, 0)) ?? .newest

    // MARK: Names and sizes

    @Test func versionsAreFoundByWhatPeopleWrite() {
        #expect(Dialect.all.map(\.description) == ["8.0", "7.0", "5.1"])
        #expect(Dialect.newest == Dialect.all.first)
        for (text, version) in [("8.0", WireVersion(8, 0, 0)), ("7", .init(7, 0, 0)), ("5.1", .init(5, 1, 0)), ("5.1.0", .init(5, 1, 0))] {
            #expect(Dialect(text)?.version == version, "\(text)")
        }
        for text in ["", "6.0", "8.1", "5.0", "7.0.1", "7.", "7.0.0.0", "-8", "eight", "256", "8 "] {
            #expect(Dialect(text) == nil, "\(text)")
        }
        #expect(Dialect.version(WireVersion(6, 0, 0)) == nil)
    }

    /// The sizes that PROTOCOL's table gives for each version.
    @Test func headsHaveTheirVersionsSizes() {
        let different: [(Command, eight: Int, seven: Int, five: Int)] = [
            (.setTensor, 305, 305, 304), (.computeGraph, 16, 8, 8), (.recomputeGraph, 12, 4, 4),
        ]
        for (command, eight, seven, five) in different {
            #expect(Dialect.newest.headByteCount(of: command) == eight)
            #expect(DialectTests.seven.headByteCount(of: command) == seven)
            #expect(DialectTests.five.headByteCount(of: command) == five)
        }
        for command in Command.allCases where !different.contains(where: { $0.0 == command }) {
            for dialect in Dialect.all { #expect(dialect.headByteCount(of: command) == command.headByteCount) }
        }
    }

    /// What a version carries comes back; what it does not is what a session is to make of its absence.
    @Test(arguments: Dialect.all) func requestsComeBackInEveryVersion(_ dialect: Dialect) {
        for request in CodecTests.requests where dialect.has(request.command) {
            let encoded = request.encoded(tailByteCount: 0, dialect)
            #expect(encoded.count == 9 + dialect.headByteCount(of: request.command))
            let expected: Request =
                switch request {
                case .setTensor(let tensor, _, let offset) where !dialect.hasCacheFlag:
                    .setTensor(tensor, isCacheable: false, offset: offset)
                case .computeGraph(let device, _, let nodeCount) where !dialect.hasGraphNumbers:
                    .computeGraph(device: device, uid: Request.lastGraph, nodeCount: nodeCount)
                case .recomputeGraph(let device, _) where !dialect.hasGraphNumbers:
                    .recomputeGraph(device: device, uid: Request.lastGraph)
                default: request
                }
            encoded.withUnsafeBytes { bytes in
                #expect(Request(request.command, head: UnsafeRawBufferPointer(rebasing: bytes[9...]), dialect) == expected)
            }
        }
    }

    // MARK: Conversations

    /// z = x + y, of four floats each; 2 is ADD.
    private static let x = TensorRecord.floats(1, [4])
    private static let y = TensorRecord.floats(2, [4], at: 32)
    private static let z = TensorRecord.floats(3, [4], at: 64, operation: 2, sources: [1, 2])

    private static func compute(_ node: TensorRecord) -> [UInt8] {
        message(
            10, little(UInt32(0)), little(UInt32(1)), little(node.id), little(UInt32(3)), record(x), record(y), record(node))
    }

    /// What follows the greeting of an allocation, of a size in bytes.
    private static func allocated(_ handle: UInt64, _ size: UInt64) -> [UInt8] { little(UInt64(16)) + little(handle) + little(size) }

    private static func hello(_ major: UInt8, _ minor: UInt8) -> [UInt8] {
        little(UInt64(28)) + [major, minor, 0, 0] + [UInt8](repeating: 0, count: 24)
    }

    private func answered(_ talk: [[UInt8]], _ dialect: Dialect) throws -> (end: SessionEnd, bytes: [UInt8]) {
        guard let backend = Conversation.backend else { throw StreamError(.failed, "no backend") }
        let stream = RecordedStream(talk.flatMap { $0 })
        return (Session(devices: [backend], dialect: dialect).serve(stream), stream.answered)
    }

    /// Sets x and y, computes z, changes x, computes again, fills, clears, frees; with what each version wants said and says.
    private func holdConversation(_ dialect: Dialect, hello: [UInt8], flag: [UInt8], confirmation: [UInt8]) throws {
        let (end, answer) = try answered(
            [
                message(14, [UInt8](repeating: 0, count: 24)),
                message(0, little(UInt32(0)), little(UInt64(4096))),
                message(12, record(DialectTests.x)),
                message(
                    6, record(DialectTests.x), flag, little(UInt64(0)), bytes([1, 2, 3, 4])),
                message(
                    6, record(DialectTests.y), flag, little(UInt64(0)), bytes([10, 20, 30, 40])),
                DialectTests.compute(DialectTests.z),
                message(
                    8, record(DialectTests.z), little(UInt64(0)), little(UInt64(16))),
                message(6, record(DialectTests.x), flag, little(UInt64(8)), bytes([5, 6])),
                message(16, little(UInt32(0))),
                message(
                    8, record(DialectTests.z), little(UInt64(0)), little(UInt64(16))),
                message(
                    17, record(DialectTests.z), little(UInt64(4)), little(UInt64(4)), [0]),
                message(
                    8, record(DialectTests.z), little(UInt64(0)), little(UInt64(8))),
                message(5, little(UInt64(1)), [0]),
                message(
                    8, record(DialectTests.z), little(UInt64(0)), little(UInt64(4))),
                message(4, little(UInt64(1))),
            ], dialect)
        #expect(end.isClosed, "\(end)")
        let expected: [[UInt8]] = [
            hello, DialectTests.allocated(1, 4096), confirmation,
            little(UInt64(16)), bytes([11, 22, 33, 44]),
            little(UInt64(16)), bytes([11, 22, 35, 46]), confirmation,
            little(UInt64(8)), bytes([11, 0]), confirmation,
            little(UInt64(4)), bytes([0]), confirmation,
        ]
        #expect(answer == expected.flatMap { $0 })
    }

    @Test func aConversationInSeven() throws {
        try holdConversation(DialectTests.seven, hello: DialectTests.hello(7, 0), flag: [0], confirmation: [])
    }

    /// Here whatever has nothing to say is answered with a response of no bytes.
    @Test func aConversationInFive() throws {
        try holdConversation(DialectTests.five, hello: DialectTests.hello(5, 1), flag: [], confirmation: little(UInt64(0)))
    }

    // MARK: The last graph

    @Test(arguments: [seven, five]) func onlyTheLastGraphIsKept(_ dialect: Dialect) throws {
        var talk = Conversation(dialect)
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.setTensor(DialectTests.x, isCacheable: false, offset: 0), data: bytes([1, 2, 3, 4]))
        talk.say(.setTensor(DialectTests.y, isCacheable: false, offset: 0), data: bytes([10, 20, 30, 40]))
        talk.say(bytes: DialectTests.compute(DialectTests.z))
        // 7 is MUL.
        talk.say(bytes: DialectTests.compute(.floats(4, [4], at: 128, operation: 7, sources: [1, 2])))
        talk.say(.clearBuffer(buffer: Conversation.handle(0), value: 0))
        talk.say(.setTensor(DialectTests.x, isCacheable: false, offset: 0), data: bytes([1, 2, 3, 4]))
        talk.say(.setTensor(DialectTests.y, isCacheable: false, offset: 0), data: bytes([2, 2, 2, 2]))
        talk.say(.recomputeGraph(device: 0, uid: 0))
        talk.say(.getTensor(DialectTests.z, offset: 0, byteCount: 16))
        talk.say(.getTensor(.floats(4, [4], at: 128), offset: 0, byteCount: 16))
        let (end, answers) = try talk.held()
        #expect(end.isClosed)
        #expect(floats(answers[answers.count - 2]) == [0, 0, 0, 0])
        #expect(floats(answers[answers.count - 1]) == [2, 4, 6, 8])
    }

    @Test(arguments: [seven, five]) func theLastGraphGoesWithABufferThatItTouches(_ dialect: Dialect) throws {
        var talk = Conversation(dialect)
        talk.say(.recomputeGraph(device: 0, uid: 0))
        #expect(try talk.held().end.code == .unknown)
        talk = Conversation(dialect)
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(bytes: DialectTests.compute(DialectTests.z))
        talk.say(.freeBuffer(buffer: Conversation.handle(1)))
        talk.say(.recomputeGraph(device: 0, uid: 0))
        #expect(try talk.held().end.isClosed)
        talk.say(.freeBuffer(buffer: Conversation.handle(0)))
        talk.say(.recomputeGraph(device: 0, uid: 0))
        #expect(try talk.held().end.code == .unknown)
    }

    // MARK: Refusals

    @Test(arguments: [seven, five]) func commandsOfLaterVersionsAreUnknown(_ dialect: Dialect) throws {
        for number in UInt8(18)...23 {
            var talk = Conversation(dialect)
            talk.say(bytes: message(number, [UInt8](repeating: 0, count: 400)))
            let (end, answers) = try talk.held()
            #expect(end.code == .malformed, "\(number)")
            #expect(answers.isEmpty)
        }
    }

    /// Sizes of another version close the connection.
    @Test func sizesOfOtherVersionsAreRefused() throws {
        for dialect in [DialectTests.seven, DialectTests.five] {
            var talk = Conversation(dialect)
            talk.say(bytes: message(16, little(UInt32(0)), little(UInt64(1))))
            #expect(try talk.held().end.code == .malformed)
        }
        var short = Conversation()
        short.say(bytes: message(16, little(UInt32(0))))
        #expect(try short.held().end.code == .malformed)
        // Without the flag there is one byte less than a SET_TENSOR of 7.0 has.
        let bare = message(6, record(DialectTests.x), little(UInt64(0)))
        for (dialect, isRefused) in [(Dialect.newest, true), (DialectTests.seven, true), (DialectTests.five, false)] {
            var talk = Conversation(dialect)
            talk.say(.allocateBuffer(device: 0, byteCount: 4096))
            talk.say(bytes: bare)
            #expect((try talk.held().end.code == .malformed) == isRefused, "\(dialect)")
        }
    }

    /// 5.1 has no SWIGLU_CLAMP: GLU's kind 6.
    @Test func operationsOfLaterVersionsAreRefused() throws {
        guard let number = OperationKind.allCases.firstIndex(of: .glu) else { throw StreamError(.failed, "no GLU") }
        var node = TensorRecord.floats(3, [4], at: 64, operation: UInt32(number), sources: [1, 2])
        node.parameters[0] = 6
        node.parameters[3] = Int32(bitPattern: Float(1).bitPattern)
        for (dialect, isRefused) in [(DialectTests.seven, false), (DialectTests.five, true)] {
            var talk = Conversation(dialect)
            talk.say(.allocateBuffer(device: 0, byteCount: 4096))
            talk.say(.clearBuffer(buffer: Conversation.handle(0), value: 0))
            talk.say(bytes: DialectTests.compute(node))
            let end = try talk.held().end
            #expect(isRefused ? end.code == .graph : end.isClosed, "\(dialect): \(end)")
        }
    }

    /// Only 5.1's records carry handles of other servers into graphs, and then only where nothing is computed.
    @Test func handlesOfOtherServers() throws {
        var stray = TensorRecord.floats(9, [4], buffer: 40)
        stray.data = 0x7f00_0000_1000
        var colliding = TensorRecord.floats(9, [4])
        colliding.data = 0x7f00_0000_1000
        for foreign in [stray, colliding] {
            // A source that adding does not have: named, never read.
            let message = GraphMessage(nodes: [3], tensors: [DialectTests.z, DialectTests.x, DialectTests.y, foreign])
            for dialect in Dialect.all {
                var listed = Conversation(dialect)
                listed.say(.allocateBuffer(device: 0, byteCount: 4096))
                listed.compute(message)
                #expect(try listed.held().end.isClosed, "\(dialect)")
                var read = Conversation(dialect)
                read.say(.allocateBuffer(device: 0, byteCount: 4096))
                let node = TensorRecord.floats(3, [4], at: 64, operation: 2, sources: [1, 9])
                read.compute(GraphMessage(nodes: [3], tensors: [node, DialectTests.x, foreign]))
                #expect(try read.held().end.code == (dialect.hasForeignHandles ? .graph : .bounds), "\(dialect)")
                var written = foreign
                written.operation = 2
                written.flags = 16
                written.sources = [1, 2]
                var computed = Conversation(dialect)
                computed.say(.allocateBuffer(device: 0, byteCount: 4096))
                computed.compute(GraphMessage(nodes: [9], tensors: [written, DialectTests.x, DialectTests.y]))
                #expect(try computed.held().end.code == .bounds, "\(dialect)")
            }
        }
    }

    // MARK: The cache

    /// Without a flag, size says what a cache keeps; with one, the flag does.
    @Test(arguments: Dialect.all) func whatACacheKeeps(_ dialect: Dialect) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = SessionOptions()
        options.cache = try TensorCache(folder: folder)
        let limit = Int(Dialect.hashedByteCount)
        let count = UInt32(limit / 4 + 1)
        for (byteCount, flag) in [(limit, true), (limit + 4, false)] {
            let content = [UInt8](repeating: UInt8(byteCount & 0xff) + 1, count: byteCount)
            let hash = content.withUnsafeBytes { FNVHash.of($0) }
            var talk = Conversation(dialect)
            talk.say(.allocateBuffer(device: 0, byteCount: UInt64(count) * 4))
            talk.say(.setTensorHash(.floats(1, [count]), offset: 0, hash: hash))
            talk.say(.setTensor(.floats(1, [count]), isCacheable: flag, offset: 0), data: content)
            talk.say(.setTensorHash(.floats(1, [count]), offset: 0, hash: hash))
            let (end, answers) = try talk.held(options)
            #expect(end.isClosed)
            #expect(answers[1] == [0])
            #expect(answers[2] == [dialect.hasCacheFlag == flag ? 1 : 0], "\(dialect): \(byteCount) bytes")
        }
    }
}

/// A message as a client puts it together: command, size, parts.
private func message(_ command: UInt8, _ parts: [UInt8]...) -> [UInt8] {
    let content = parts.flatMap { $0 }
    return [command] + little(UInt64(content.count)) + content
}

private func little(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }

/// A tensor's 296 bytes.
private func record(_ record: TensorRecord) -> [UInt8] { Array(Request.initTensor(record).encoded().dropFirst(9)) }
