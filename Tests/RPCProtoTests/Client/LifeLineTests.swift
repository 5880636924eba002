import Foundation
import RPCProto
import Synchronization
import Tensor
import Testing

/// A worker of ours is known to be well, or frozen, by a second connection.
struct LifeLineTests {
    private static let second: UInt64 = 1_000_000_000

    /// Up to a worker that has been greeted.
    private func begun(at start: UInt64) -> LifeLine {
        var line = LifeLine(at: start)
        #expect(line.pass(start) == [.connect])
        #expect(line.connected() == [.greet])
        #expect(line.greeted(isOurs: true, start) == [.vouch(true)])
        return line
    }

    @Test func whoDoesNotAnswerAnyMoreIsGivenUp() {
        let second = LifeLineTests.second
        var line = begun(at: 7 * second)
        #expect(line.pass(7 * second + second / 4) == [])
        #expect(line.pass(7 * second + second / 2) == [.ask])
        #expect(line.answered(7 * second + second / 2) == [])
        #expect(line.roundTrip == 0)
        #expect(line.pass(8 * second) == [.ask])
        #expect(line.nextTime == 10 * second + second / 2)
        #expect(line.pass(10 * second) == [])
        #expect(line.pass(11 * second) == [.vouch(false), .close, .giveUp])
        #expect(line.hasEnded)
        #expect(line.pass(99 * second) == [])
    }

    /// A slow link is no frozen worker: what is lost on it is sent again after round trips, of which there must be time for some.
    @Test func whoIsFarAwayHasMoreTime() {
        let second = LifeLineTests.second
        var line = begun(at: 0)
        #expect(line.pass(second) == [.ask])
        #expect(line.answered(second + second * 3 / 10) == [])
        #expect(line.patience == LifeLine.patience + second * 12 / 10)
        var now = second * 2
        // However slow it gets, there is an end.
        for _ in 0..<100 {
            #expect(line.pass(now) == [.ask])
            now += second * 2
            #expect(line.answered(now) == [])
        }
        #expect(line.pass(now) == [.ask])
        #expect((5 * second...6 * second).contains(line.patience))
        #expect(line.pass(now + 6 * second) == [.vouch(false), .close, .giveUp])
    }

    /// An answer that lay there when nobody looked for a while counts.
    @Test func whoWasNotLookedAtIsNotGivenUp() {
        let second = LifeLineTests.second
        var line = begun(at: 0)
        #expect(line.pass(second) == [.ask])
        #expect(line.answered(60 * second) == [])
        #expect(line.pass(60 * second) == [.ask])
    }

    @Test func whoNeverAnsweredIsTriedAgainAndNotGivenUp() {
        let second = LifeLineTests.second
        var line = LifeLine(at: 0)
        var effects: [LifeLine.Effect] = []
        for time in 0..<200 {
            effects += line.pass(UInt64(time) * second / 2)
            if time % 5 == 0 { effects += line.connected() }
        }
        #expect(effects.contains(.close))
        #expect(effects.count { $0 == .connect } > 3)
        #expect(!effects.contains(.giveUp) && !effects.contains(.vouch(true)))
    }

    @Test func aServerOfOthersIsLeftAlone() {
        var line = LifeLine(at: 0)
        #expect(line.pass(0) == [.connect])
        #expect(line.connected() == [.greet])
        #expect(line.greeted(isOurs: false, 5) == [.close])
        #expect(line.hasEnded && line.nextTime == nil)
    }

    /// Whatever happens in whatever order: one is only given up in front of whom a question lay for long enough, and nobody is
    /// vouched for without a connection.
    @Test func anyOrder() {
        let second = LifeLineTests.second
        for seed in 1...200 as ClosedRange<UInt64> {
            var random = SeededFloats(seed)
            var line = LifeLine(at: 0)
            var now: UInt64 = 0
            var asked: UInt64?
            var (isVouchedFor, isOpen) = (false, false)
            for _ in 0..<300 {
                now += random.next() % second
                let draw = random.next() % 16
                let effects =
                    switch draw {
                    case 0: line.broken(now)
                    case 1, 2: line.connected()
                    case 3, 4: line.greeted(isOurs: draw == 3 || random.next() % 8 > 0, now)
                    case 5, 6, 7: line.answered(now)
                    default: line.pass(now)
                    }
                if (5...7).contains(draw) { asked = nil }
                for effect in effects {
                    switch effect {
                    case .connect:
                        #expect(!isOpen)
                        isOpen = true
                    case .greet: #expect(isOpen)
                    case .ask:
                        #expect(isOpen && asked == nil)
                        asked = now
                    case .close: (isOpen, asked) = (false, isVouchedFor ? nil : asked)
                    case .vouch(let isOn): isVouchedFor = isOn
                    case .giveUp: #expect(asked.map { now - $0 >= LifeLine.patience } ?? false)
                    }
                }
                #expect(isOpen || !isVouchedFor)
            }
        }
    }
}

/// The same with sockets.
struct LifeLinesTests {
    private static func options() -> SessionOptions {
        var options = SessionOptions()
        options.hasLifeLines = true
        return options
    }

    private func wait(until isSo: () -> Bool) {
        for _ in 0..<1200 where !isSo() { Thread.sleep(forTimeInterval: 0.05) }
        #expect(isSo())
    }

    /// Nobody asks it for anything, or for what would be waited for much longer.
    @Test(.timeLimit(.minutes(2)), arguments: [false, true]) func aFrozenServerIsGivenUp(_ isAsked: Bool) throws {
        let isFrozen = Mutex(false)
        defer { isFrozen.withLock { $0 = false } }
        let server = try LoopbackServer(
            options: LifeLinesTests.options(),
            pausing: { _ in
                while isFrozen.withLock({ $0 }) { Thread.sleep(forTimeInterval: 0.01) }
                return 0
            })
        let connection = try server.connect(ClientLimits(answer: 100))
        let lines = LifeLines()
        let calls = Mutex(0)
        lines.watch(connection) { calls.withLock { $0 += 1 } }
        wait { connection.lifeLineRoundTrip != nil }
        isFrozen.withLock { $0 = true }
        let start = ContinuousClock.now
        if isAsked { #expect(failure { _ = try connection.devices[0].memory() }?.code == .connection) }
        wait { calls.withLock { $0 } == 1 }
        #expect(connection.wasSilent)
        #expect(connection.failure == "\(server.endpoint): the server gave no sign of life for 2.5 s")
        // Far from the limits that hold otherwise.
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    /// What takes longer than was foreseen, on a server that is well.
    @Test(.timeLimit(.minutes(2)), arguments: [false, true]) func aLongGraph(_ hasLifeLine: Bool) throws {
        let server = try LoopbackServer(options: LifeLinesTests.options(), pausing: { $0 == .computeGraph ? 8 : 0 })
        let connection = try server.connect(ClientLimits(foresees: true))
        let lines = LifeLines()
        if hasLifeLine {
            lines.watch(connection) { Issue.record("it was given up") }
            wait { connection.lifeLineRoundTrip != nil }
        }
        let backend = connection.devices[0]
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4))
        let y = g.scale(x, by: 2)
        g.markOutput(y)
        let plan = try backend.prepare(try g.finish())
        var result = [UInt8](repeating: 0, count: 16)
        let error = failure {
            try bytes([1, 2, 3, 4]).withUnsafeBytes { input in
                try result.withUnsafeMutableBytes { output in
                    let (write, read) = (Step.Write(tensor: x, bytes: input), Step.Read(tensor: y, into: output))
                    try backend.run(Step(writes: [write], plan: plan, reads: [read]))
                }
            }
        }
        if hasLifeLine {
            #expect(error == nil)
            #expect(floats(result) == [2, 4, 6, 8])
            #expect(connection.failure == nil)
        } else {
            #expect(error?.code == .connection)
            #expect(connection.wasSilent)
        }
    }

    /// A server of others, which serves one connection at a time, one that says the same largest buffer, and one whose greeting
    /// happens to have the mark.
    @Test(arguments: [(false, true), (true, false)]) func aServerOfOthersGetsNone(_ hasMark: Bool, _ hasLargest: Bool) throws {
        var options = SessionOptions()
        options.hasLifeLines = hasMark
        let server = try LoopbackServer(options: options) { command, answer in
            command == .getMaxSize && !hasLargest ? Response.number(.max).encoded : answer
        }
        let connection = try server.connect()
        let lines = LifeLines()
        lines.watch(connection) { Issue.record("it was given up") }
        Thread.sleep(forTimeInterval: 1)
        #expect(server.count(of: .hello) == 1)
        #expect(connection.lifeLineRoundTrip == nil)
        _ = try connection.devices[0].memory()
    }

    /// Many servers' at once, and each ends with its connection.
    @Test(.timeLimit(.minutes(2))) func manyConnections() throws {
        let server = try LoopbackServer(options: LifeLinesTests.options())
        let lines = LifeLines()
        let connections = try (0..<50).map { _ in try server.connect() }
        for connection in connections { lines.watch(connection) { Issue.record("it was given up") } }
        wait { connections.allSatisfy { $0.lifeLineRoundTrip != nil } }
        #expect(server.count(of: .hello) == 100)
        for connection in connections { connection.close() }
        wait { server.ends.count == 100 }
    }

    /// It is counted among no sessions, so it can do nothing that a session does; and only where there are life lines.
    @Test func aLifeLineIsNoSession() throws {
        for request in [Request.getAlignment(device: 0), .deviceCount, .allocateBuffer(device: 0, byteCount: 64)] {
            var talk = Conversation(greets: false)
            talk.say(.hello(.lifeLine))
            talk.say(.getAlignment(device: 0))
            talk.say(request)
            let isAllowed = request == .getAlignment(device: 0)
            #expect(try talk.held(LifeLinesTests.options()).end.code == (isAllowed ? nil : .malformed))
            #expect(try talk.held().end.isClosed)
        }
    }
}
