import Foundation
import RPCProto
import Synchronization
import Tensor
import Testing

/// Two sessions that reduce together, over sockets of the loopback.
struct CollectiveTests {
    typealias Held = (end: SessionEnd, answers: [[UInt8]])

    private static func options(isAllowed: @escaping @Sendable (NetworkAddress) -> Bool = { $0 == NetworkAddress("127.0.0.1") }) -> CollectiveOptions {
        CollectiveOptions(isAllowed: isAllowed)
    }

    private static func freePort() throws -> UInt32 {
        UInt32(try #require(try SocketListener.listen(host: "127.0.0.1", port: 0).first).port)
    }

    private static func hold(_ talk: Conversation, _ collectives: CollectiveOptions?) throws -> Held {
        var options = SessionOptions()
        options.collectives = collectives
        return try talk.held(options)
    }

    /// Both conversations at once, the second on a thread of its own.
    private static func holdBoth(
        _ first: Conversation, _ firstOptions: CollectiveOptions, _ second: Conversation, _ secondOptions: CollectiveOptions
    ) throws -> (Held, Held) {
        let result = Mutex<Held?>(nil)
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            let held = try? hold(second, secondOptions)
            result.withLock { $0 = held }
            done.signal()
        }
        let held = Result { try hold(first, firstOptions) }
        done.wait()
        return (try held.get(), try #require(result.withLock { $0 }))
    }

    /// Joins as one of two, with `values` in a tensor at the buffer's beginning.
    private static func talk(rank: UInt32, port: UInt32, _ values: [Float]) -> Conversation {
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: UInt64(max(64, values.count * 4 + 64))))
        talk.say(
            .setTensor(.floats(1, [UInt32(values.count)]), isCacheable: false, offset: 0), data: bytes(values))
        talk.say(.joinCollective(device: 0, rank: rank, world: 2, port: port, host: rank == 0 ? "" : "127.0.0.1"))
        return talk
    }

    private static func reduced(_ first: [Float], _ second: [Float]) throws -> ([Float], [Float]) {
        let port = try freePort()
        var talks = [talk(rank: 0, port: port, first), talk(rank: 1, port: port, second)]
        for index in talks.indices {
            let tensor = TensorRecord.floats(1, [UInt32(first.count)])
            talks[index].say(.reduceCollective(device: 0, tensor))
            talks[index].say(.getTensor(tensor, offset: 0, byteCount: UInt64(first.count * 4)))
        }
        let (one, other) = try holdBoth(talks[0], options(), talks[1], options())
        #expect(one.end.isClosed && other.end.isClosed)
        #expect(one.answers[1] == [1] && other.answers[1] == [1])
        return (floats(try #require(one.answers.last)), floats(try #require(other.answers.last)))
    }

    /// By the definition, apart from the program's own.
    private static func rounded(_ value: Float) -> Float {
        if value.isNaN { return .nan }
        let below = Float(bitPattern: value.bitPattern & 0xffff_0000)
        let above = Float(bitPattern: below.bitPattern &+ 0x1_0000)
        let half = below.bitPattern | 0x8000
        if value.bitPattern == half { return (below.bitPattern >> 16) & 1 == 0 ? below : above }
        return value.bitPattern < half ? below : above
    }

    @Test func smallPartsAreSummedExactly() throws {
        let first: [Float] = (0..<32767).map { Float($0) * 0.37 - 1000 }
        let second: [Float] = (0..<32767).map { 1 / Float($0 + 3) }
        let (one, other) = try CollectiveTests.reduced(first, second)
        #expect(one == zip(first, second).map { $0 + $1 })
        #expect(one == other)
    }

    /// More than sockets hold, so that a wrong order would wait forever; and each rank rounds the other's part alone.
    @Test func largePartsTravelRounded() throws {
        let count = 3 << 20
        var first: [Float] = (0..<count).map { Float($0 &* 7919 % 10007) * 0.013 - 60 }
        var second: [Float] = (0..<count).map { Float($0 &* 104729 % 9973) * 1.7e-3 + 2 }
        // Ties to even, both ways; what must not become another kind of number.
        for (index, bits) in [UInt32(0x3f80_8000), 0x3f81_8000, 0x3f80_8001, 0x7f80_0000, 0xff7f_ffff, 0x7f80_0001, 0, 0x8000_0000, 1]
            .enumerated()
        {
            first[index] = 0
            second[index] = Float(bitPattern: bits)
            second[index + 20] = 0
            first[index + 20] = Float(bitPattern: bits)
        }
        let (one, other) = try CollectiveTests.reduced(first, second)
        func differing(_ found: [Float], _ own: [Float], _ others: [Float]) -> Int? {
            found.indices.first { index in
                let wanted = own[index] + CollectiveTests.rounded(others[index])
                return !(found[index] == wanted || found[index].isNaN && wanted.isNaN)
            }
        }
        #expect(differing(one, first, second) == nil)
        #expect(differing(other, second, first) == nil)
    }

    @Test func joiningTwiceLeavingAndJoiningAgain() throws {
        let port = try CollectiveTests.freePort()
        var talks = (UInt32(0)...1).map { CollectiveTests.talk(rank: $0, port: port, [Float($0), 5]) }
        for rank in talks.indices {
            let again = Request.joinCollective(device: 0, rank: UInt32(rank), world: 2, port: port, host: rank == 0 ? "" : "127.0.0.1")
            talks[rank].say(again)
            talks[rank].say(.leaveCollective(device: 0))
            talks[rank].say(again)
            talks[rank].say(.reduceCollective(device: 0, .floats(2, [0])))
            talks[rank].say(.reduceCollective(device: 0, .floats(1, [2])))
            talks[rank].say(.getTensor(.floats(1, [2]), offset: 0, byteCount: 8))
            talks[rank].say(.leaveCollective(device: 0))
            talks[rank].say(.reduceCollective(device: 0, .floats(1, [2])))
        }
        let (one, other) = try CollectiveTests.holdBoth(talks[0], CollectiveTests.options(), talks[1], CollectiveTests.options())
        for held in [one, other] {
            #expect(held.end.code == .unknown)
            #expect(held.answers[1] == [1] && held.answers[2] == [1] && held.answers[3] == [1])
            #expect(floats(held.answers[4]) == [1, 10])
        }
    }

    // MARK: Refusals

    /// A client's word makes no worker listen or dial that was not told to, nor at ports of the system's services.
    @Test func nothingIsJoinedThatIsNotAllowed() throws {
        let port = try CollectiveTests.freePort()
        let off = CollectiveTests.talk(rank: 1, port: port, [1])
        #expect(try CollectiveTests.hold(off, nil).answers[1] == [0])
        let asked = Mutex<[String]>([])
        let never = CollectiveTests.options { address in
            asked.withLock { $0.append("\(address)") }
            return false
        }
        #expect(try CollectiveTests.hold(off, never).answers[1] == [0])
        #expect(asked.withLock { $0 } == ["127.0.0.1"])
        for (device, rank, world, number) in [
            (UInt32(1), UInt32(1), UInt32(2), port), (0, 2, 2, port), (0, 0, 3, port), (0, 0, 1, port), (0, 1, 2, 22), (0, 0, 2, 70000),
            (0, 0, 2, 0),
        ] {
            var talk = Conversation()
            talk.say(.joinCollective(device: device, rank: rank, world: world, port: number, host: "127.0.0.1"))
            let held = try CollectiveTests.hold(talk, CollectiveTests.options())
            #expect(held.end.isClosed)
            #expect(held.answers == [[0]])
        }
    }

    /// Whoever may not come is dropped, and nobody else came.
    @Test func strangersAreNotTaken() throws {
        let port = try CollectiveTests.freePort()
        var deaf = CollectiveTests.options { _ in false }
        deaf.acceptSeconds = 0.5
        var caller = CollectiveTests.options()
        caller.connectSeconds = 0.2
        let (one, other) = try CollectiveTests.holdBoth(
            CollectiveTests.talk(rank: 0, port: port, [1]), deaf, CollectiveTests.talk(rank: 1, port: port, [1]), caller)
        #expect(one.end.isClosed && other.end.isClosed)
        #expect(one.answers[1] == [0] && other.answers[1] == [0])
    }

    /// The partner has done nothing wrong, so it only sees the link end.
    @Test func tensorsThatCannotBeReduced() throws {
        var halves = TensorRecord.floats(1, [4])
        halves.type = 1
        halves.strides = [2, 8, 8, 8]
        var sparse = TensorRecord.floats(1, [2, 2])
        sparse.strides = [4, 16, 32, 32]
        for (tensor, code) in [
            (TensorRecord.floats(1, [4], buffer: 7), SessionError.Code.unknown), (.floats(1, [1 << 20]), .bounds), (halves, .graph),
            (sparse, .graph), (.floats(1, [10]), .limit),
        ] {
            let port = try CollectiveTests.freePort()
            var talks = (UInt32(0)...1).map { CollectiveTests.talk(rank: $0, port: port, [Float](repeating: 1, count: 10)) }
            talks[0].say(.reduceCollective(device: 0, tensor))
            talks[1].say(.reduceCollective(device: 0, .floats(1, [4])))
            var options = CollectiveTests.options()
            options.exchangeByteCount = 36
            let (one, other) = try CollectiveTests.holdBoth(talks[0], options, talks[1], options)
            #expect(one.end.code == code)
            #expect(other.end.code == .link)
        }
    }

    // MARK: Partners that vanish

    @Test func partnersThatCloseOrSayNothing() throws {
        for rank in 0..<2 {
            let port = try CollectiveTests.freePort()
            var talks = (UInt32(0)...1).map { CollectiveTests.talk(rank: $0, port: port, [1]) }
            talks[rank].say(.reduceCollective(device: 0, .floats(1, [1])))
            let (one, other) = try CollectiveTests.holdBoth(talks[0], CollectiveTests.options(), talks[1], CollectiveTests.options())
            #expect([one, other][rank].end.code == .link)
            #expect([one, other][1 - rank].end.isClosed)
        }
        let port = try CollectiveTests.freePort()
        var talk = CollectiveTests.talk(rank: 1, port: port, [1])
        talk.say(.reduceCollective(device: 0, .floats(1, [1])))
        let listener = try #require(try SocketListener.listen(host: "127.0.0.1", port: Int(port)).first)
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread { CollectiveTests.greet(listener, until: done) }
        var impatient = CollectiveTests.options()
        impatient.silenceSeconds = 0.2
        #expect(try CollectiveTests.hold(talk, impatient).end.code == .link)
        done.signal()
    }

    /// The session's own client goes while its worker waits for a partner, or for the partner's part.
    @Test(arguments: [false, true]) func waitingEndsWhenTheClientHasGone(isJoined: Bool) throws {
        let backend = try #require(Conversation.backend)
        var options = SessionOptions()
        options.collectives = CollectiveTests.options()
        let interruption = CollectiveInterruption()
        let session = Session(devices: [backend], options: options, interruption: interruption)
        let port = try CollectiveTests.freePort()
        var talk = CollectiveTests.talk(rank: isJoined ? 1 : 0, port: port, [1])
        talk.say(.reduceCollective(device: 0, .floats(1, [1])))
        let listener = isJoined ? try SocketListener.listen(host: "127.0.0.1", port: Int(port)).first : nil
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            if let listener { CollectiveTests.greet(listener, interruption.interrupt, until: done) } else { interruption.interrupt() }
        }
        let end = session.serve(RecordedStream(talk.bytes))
        done.signal()
        #expect(end.code == .link)
        #expect("\(end)".contains("client has gone"))
    }

    /// A partner that greets as rank 0 does, and says nothing more.
    private static func greet(_ listener: SocketListener, _ then: () -> Void = {}, until done: DispatchSemaphore) {
        guard let stream = try? listener.accept() else { return }
        var capabilities = [UInt8](repeating: 0, count: ConnectionCapabilities.byteCount)
        try? capabilities.withUnsafeMutableBytes { bytes in
            try stream.receive(into: bytes)
            try stream.send(UnsafeRawBufferPointer(bytes), UnsafeRawBufferPointer(start: nil, count: 0))
        }
        // Until the link is joined and its first part is awaited, most likely; the outcome is the same if not.
        Thread.sleep(forTimeInterval: 0.1)
        then()
        done.wait()
    }
}
