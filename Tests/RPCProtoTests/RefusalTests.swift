import RPCProto
import Tensor
import Testing

/// Whatever a client gets wrong ends its session with a reason, and nothing else: each case here closes or aborts the stock
/// server.
struct RefusalTests {
    /// After the greeting and a buffer of 4096 bytes.
    private func end(_ say: (inout Conversation) -> Void) throws -> SessionEnd {
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        say(&talk)
        return try talk.held().end
    }

    @Test func greetings() throws {
        var silent = Conversation(greets: false)
        silent.say(.deviceCount)
        #expect(try silent.held().end.code == .malformed)
        #expect(try end { $0.say(.hello(.none)) }.code == .malformed)
        #expect(try Conversation(greets: false).held().end.isClosed)
    }

    @Test func commandsAndSizes() throws {
        for number in [UInt8(23), 24, 100, 255] {
            #expect(try end { $0.say(bytes: [number] + [UInt8](repeating: 0, count: 8)) }.code == .malformed)
        }
        for command in Command.allCases where command != .hello {
            for wrong in [command.headByteCount - 1, command.headByteCount + 1] where wrong >= 0 {
                if command.hasTail && wrong > command.headByteCount { continue }
                let size = withUnsafeBytes(of: UInt64(wrong).littleEndian) { Array($0) }
                let message = [command.rawValue] + size + [UInt8](repeating: 0, count: wrong)
                #expect(try end { $0.say(bytes: message) }.code == .malformed, "\(command.name)")
            }
        }
        // Announced and never sent: nothing is set aside for it.
        let huge = withUnsafeBytes(of: (UInt64(1) << 63).littleEndian) { Array($0) }
        #expect(try end { $0.say(bytes: [10] + huge + [UInt8](repeating: 0, count: 16)) }.code == .limit)
        #expect(try end { $0.say(bytes: [6] + huge + [UInt8](repeating: 0, count: 305)) }.code != nil)
        #expect(try end { $0.say(bytes: [6, 1]) }.isLost)
    }

    @Test func handlesAndDevices() throws {
        let stray = TensorRecord.floats(1, [4], buffer: 5)
        for request in [
            Request.getBase(buffer: 9), .freeBuffer(buffer: 9), .clearBuffer(buffer: 9, value: 0), .getAlignment(device: 1),
            .getMaxSize(device: 1), .getDeviceMemory(device: 9), .allocateBuffer(device: 1, byteCount: 1),
            .getTensor(stray, offset: 0, byteCount: 4), .copyTensor(from: stray, to: stray), .recomputeGraph(device: 1, uid: 1),
            .recomputeGraph(device: 0, uid: 0), .recomputeGraph(device: 0, uid: 12), .fillTensor(stray, offset: 0, byteCount: 1, value: 1),
            .setTensorHash(stray, offset: 0, hash: 1), .getAllocationSize(device: 2, stray, sources: []),
            .reduceCollective(device: 0, .floats(1, [4])), .leaveCollective(device: 3),
        ] {
            #expect(try end { $0.say(request) }.code == .unknown, "\(request.command.name)")
        }
    }

    @Test func regionsOutsideOfTensorsAndBuffers() throws {
        let inside = TensorRecord.floats(1, [4])
        for request in [
            Request.getTensor(inside, offset: 0, byteCount: 17), .getTensor(inside, offset: 17, byteCount: 0),
            .getTensor(inside, offset: .max, byteCount: 2), .getTensor(.floats(1, [1025]), offset: 0, byteCount: 4),
            .getTensor(.floats(1, [4], at: 4090), offset: 0, byteCount: 4),
            .getTensor(.floats(1, [0], at: 4096), offset: 1, byteCount: 0),
            .fillTensor(inside, offset: 8, byteCount: 9, value: 1), .copyTensor(from: .floats(1, [8]), to: inside),
            .getTensor2D(inside, .init(offset: 0, byteCount: 8, copies: 2, stride: 12)),
            .getTensor2D(inside, .init(offset: 0, byteCount: 8, copies: .max, stride: .max)),
        ] {
            #expect(try end { $0.say(request) }.code == .bounds, "\(request)")
        }
        for (size, copies) in [(UInt64(0), UInt64(1)), (1, 0), (0, 0)] {
            let region = Request.Region2D(offset: 0, byteCount: size, copies: copies, stride: 4)
            #expect(try end { $0.say(.getTensor2D(inside, region)) }.code == .malformed)
            #expect(try end { $0.say(.setTensor2D(inside, region)) }.code == .malformed)
        }
        #expect(try end { $0.say(.getTensor2D(inside, .init(offset: 0, byteCount: 16, copies: 1 << 40, stride: 0))) }.code == .limit)
        #expect(try end { $0.say(.setTensor(inside, isCacheable: false, offset: 8), data: [UInt8](repeating: 0, count: 9)) }.code == .bounds)
        #expect(
            try end { $0.say(.setTensor2D(inside, .init(offset: 0, byteCount: 4, copies: 2, stride: 4)), data: [1]) }.code == .malformed)
    }

    @Test func recordsThatMakeNoSense() throws {
        for type in [UInt32(4), 31, 43, 1000, .max] {
            var record = TensorRecord.floats(1, [4])
            record.type = type
            #expect(try end { $0.say(.initTensor(record)) }.code == .malformed)
        }
        var huge = TensorRecord.floats(1, [4])
        huge.extents = SIMD4(repeating: .max)
        huge.strides = SIMD4(repeating: .max)
        #expect(try end { $0.say(.initTensor(huge)) }.code == .bounds)
        var partial = TensorRecord.floats(1, [33])
        partial.type = 8
        #expect(try end { $0.say(.getTensor(partial, offset: 0, byteCount: 1)) }.code == .bounds)
    }

    @Test func graphsThatCannotBe() throws {
        let x = TensorRecord.floats(1, [4])
        func computing(_ nodes: [UInt64], _ tensors: [TensorRecord]) throws -> SessionEnd {
            try end { $0.compute(GraphMessage(nodes: nodes, tensors: tensors)) }
        }
        // A missing node, a missing source, a circle, an operation that there is not.
        #expect(try computing([9], [x]).code == .graph)
        #expect(try computing([3], [.floats(3, [4], at: 64, operation: 2, sources: [1, 8]), x]).code == .graph)
        let circle = [
            TensorRecord.floats(3, [4], at: 64, operation: 2, sources: [4, 1]),
            .floats(4, [4], at: 96, operation: 2, sources: [3, 1]), x,
        ]
        #expect(try computing([3, 4], circle).code == .graph)
        let sum = TensorRecord.floats(3, [4], at: 64, operation: 2, sources: [1, 1])
        #expect(try computing([UInt64](repeating: 3, count: 100_000), [sum, x]).code == .limit)
        #expect(try computing([3], [.floats(3, [4], at: 64, operation: 4000, sources: [1]), x]).code == .graph)
        // Shapes that do not fit, an address without a buffer, a result that lies nowhere, one past the end.
        #expect(try computing([3], [.floats(3, [5], at: 64, operation: 2, sources: [1, 1]), x]).code == .graph)
        #expect(try computing([3], [.floats(3, [4], buffer: 7, at: 64, operation: 2, sources: [1, 1]), x]).code == .bounds)
        var nowhere = sum
        nowhere.buffer = 0
        nowhere.data = 0
        #expect(try computing([3], [nowhere, x]).code == .graph)
        #expect(try computing([3], [.floats(3, [4], at: 4088, operation: 2, sources: [1, 1]), x]).code == .bounds)
        // Lists longer than the message.
        #expect(try end { $0.say(.computeGraph(device: 0, uid: 0, nodeCount: 1000), data: [0, 0, 0, 0]) }.code == .malformed)
        // Functions of the host program: nobody can run them over the wire.
        #expect(try computing([3], [.floats(3, [4], at: 64, operation: 93, sources: [1]), x]).code == .graph)
    }

    /// A chain as long as the message allows is walked, not recursed into.
    @Test func longChains() throws {
        let count: UInt64 = 100_000
        var tensors = [TensorRecord.floats(1, [1])]
        for id in 2...count { tensors.append(.floats(id, [1], operation: 2, sources: [id - 1, id - 1])) }
        // Only the last is a node: what it reads is memory, whatever made it.
        #expect(try end { $0.compute(GraphMessage(nodes: [count], tensors: tensors)) }.isClosed)
    }

    /// Conversations with bytes changed, cut out and doubled end in one of the three ways, and the process goes on.
    @Test(arguments: Dialect.all) func damagedConversations(_ dialect: Dialect) throws {
        var random = Xorshift(state: 0x9e37_79b9_7f4a_7c15)
        var talk = Conversation(dialect)
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.setTensor(.floats(1, [16]), isCacheable: false, offset: 0), data: bytes((0..<16).map(Float.init)))
        let x = TensorRecord.floats(1, [4, 4])
        for operation in [UInt32(2), 7, 24, 25, 28, 46] {
            let node = TensorRecord.floats(2, [4, 4], at: 256, operation: operation, sources: [1, 1])
            talk.compute(GraphMessage(nodes: [2], tensors: [node, x]))
            talk.say(.getTensor(.floats(2, [4, 4], at: 256), offset: 0, byteCount: 64))
        }
        for _ in 0..<2000 {
            var damaged = talk.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 9..<damaged.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: damaged[place] = UInt8.random(in: 0...255, using: &random)
                case 1: damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: damaged.remove(at: place)
                default: damaged.insert(damaged[place], at: place)
                }
            }
            var again = Conversation(greets: false, dialect)
            again.say(bytes: damaged)
            _ = try? again.held()
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Xorshift: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
