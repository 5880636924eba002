import Foundation
import RPCProto
import Tensor
import Testing

/// Whatever a server answers, or does not: the client says which server and at which command, and neither crashes nor waits
/// past its limits. The time limits are far above what a client may wait: they end a test that hangs.
@Suite(.timeLimit(.minutes(2))) struct BrokenServerTests {
    private static let limits = ClientLimits(connect: 5, answer: 5, step: 5)
    private static let short = ClientLimits(connect: 5, answer: 0.2, step: 0.2)

    /// What a good server answers in ``ClientTalk``.
    private static let recordings: [Dialect: [UInt8]] = {
        var recordings: [Dialect: [UInt8]] = [:]
        for dialect in Dialect.all {
            guard let server = try? LoopbackServer(dialect) else { continue }
            let outcome = ClientTalk.hold(with: server.endpoint, limits)
            if outcome.error == nil { recordings[dialect] = server.answers }
        }
        return recordings
    }()

    private func recording(_ dialect: Dialect) throws -> [UInt8] { try #require(BrokenServerTests.recordings[dialect]) }

    /// That a conversation failed as it should: with the server and a command, and for good.
    private func expectFailure(_ outcome: ClientTalk.Outcome, _ server: ScriptedServer, _ what: String) {
        guard let error = outcome.error else {
            Issue.record("\(what): nothing was noticed")
            return
        }
        #expect(error.code == .connection, "\(what): \(error)")
        #expect(error.message.hasPrefix("\(server.endpoint)"), "\(what): \(error)")
        let isNamed = Command.allCases.contains { error.message.contains($0.name) } || error.message.contains("speaks protocol")
        #expect(isNamed, "\(what): \(error)")
        #expect(outcome.failure == outcome.later, "\(what)")
        if let failure = outcome.failure { #expect(failure == error.message) }
    }

    /// Several at a time, since most of their time is waiting.
    private func sideBySide<Case: Sendable>(_ cases: [Case], _ body: @escaping @Sendable (Case) throws -> Void) throws {
        for start in stride(from: 0, to: cases.count, by: 24) {
            let group = DispatchGroup()
            for one in cases[start..<min(cases.count, start + 24)] {
                group.enter()
                Thread.detachNewThread {
                    do { try body(one) } catch { Issue.record("\(error)") }
                    group.leave()
                }
            }
            group.wait()
        }
    }

    /// The recordings are what they are taken for: played back, they make a whole conversation.
    @Test(arguments: Dialect.all) func recordingsArePlayedBack(_ dialect: Dialect) throws {
        let server = try ScriptedServer(try recording(dialect), .isSilent)
        let outcome = ClientTalk.hold(with: server.endpoint, BrokenServerTests.limits)
        #expect(outcome.error == nil)
        #expect(outcome.results.first == [UInt8](repeating: 0, count: 8) + bytes([1, 2, 3, 4]) + [UInt8](repeating: 0, count: 8))
    }

    /// Every byte of the small answers, some of the contents.
    @Test(arguments: Dialect.all) func answersThatEndAnywhere(_ dialect: Dialect) throws {
        let whole = try recording(dialect)
        let counts = whole.indices.filter { dialect == .newest ? $0 < 700 || $0 % 97 == 0 : $0 % 13 == 0 }
        try sideBySide(counts) { count in
            let server = try ScriptedServer(Array(whole.prefix(count)), .closes)
            expectFailure(ClientTalk.hold(with: server.endpoint, BrokenServerTests.limits), server, "\(dialect), \(count) bytes")
        }
    }

    /// Silence after each whole answer, in the middle of its size, and in the middle of its content.
    @Test(arguments: Dialect.all) func answersThatStopAnywhere(_ dialect: Dialect) throws {
        let whole = try recording(dialect)
        var counts: [Int] = []
        var start = 0
        for answer in whole.separateAnswers {
            counts += [start, start + 3, start + answer.count - 1]
            start += answer.count
        }
        try sideBySide(counts) { count in
            let server = try ScriptedServer(Array(whole.prefix(count)), .isSilent)
            expectFailure(ClientTalk.hold(with: server.endpoint, BrokenServerTests.short), server, "\(dialect), \(count) bytes")
        }
    }

    /// A byte now and then is no progress.
    @Test func answersThatTrickle() throws {
        let whole = try recording(.newest)
        for quick in [0, whole.separateAnswers[0].count, 200] {
            let server = try ScriptedServer(whole, .isSilent, quick: quick)
            expectFailure(ClientTalk.hold(with: server.endpoint, BrokenServerTests.short), server, "\(quick) bytes, then slowly")
        }
    }

    /// Every answer in turn with another size, then endless bytes behind it.
    @Test(arguments: Dialect.all) func answersOfOtherSizes(_ dialect: Dialect) throws {
        let answers = try recording(dialect).separateAnswers
        for index in answers.indices {
            for size in [UInt64(0), UInt64(answers[index].count - 8) + 1, 1 << 20, 1 << 40, .max]
            where size != UInt64(answers[index].count - 8) {
                var changed = answers
                changed[index] = withUnsafeBytes(of: size.littleEndian) { Array($0) } + [UInt8](repeating: 7, count: 1 << 12)
                let server = try ScriptedServer(changed[...index].flatMap { $0 }, .closes)
                expectFailure(
                    ClientTalk.hold(with: server.endpoint, BrokenServerTests.limits), server, "\(dialect), answer \(index) of \(size)")
            }
        }
    }

    /// Any bytes at all: numbers that are no sizes, handles of nothing, addresses at the end of the world.
    @Test(arguments: Dialect.all) func garbage(_ dialect: Dialect) throws {
        let answers = try recording(dialect).separateAnswers
        for seed in 1...150 {
            var random = SeededFloats(UInt64(seed))
            var changed = answers
            for _ in 0...(seed % 3) {
                let index = Int(random.next() % UInt64(changed.count))
                let position = Int(random.next() % UInt64(max(1, min(changed[index].count, 40))))
                guard position < changed[index].count else { continue }
                let values: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, UInt8(truncatingIfNeeded: random.next())]
                for place in position..<min(changed[index].count, position + 1 + seed % 8) {
                    changed[index][place] = values[Int(random.next() % UInt64(values.count))]
                }
            }
            let server = try ScriptedServer(changed.flatMap { $0 }, .closes)
            let outcome = ClientTalk.hold(with: server.endpoint, BrokenServerTests.limits)
            guard let error = outcome.error else { continue }
            // A handle of 0 is no room.
            #expect([.connection, .outOfMemory].contains(error.code), "\(dialect), seed \(seed): \(error)")
        }
        var random = SeededFloats(99)
        for _ in 0..<30 {
            let noise = (0..<4096).map { _ in UInt8(truncatingIfNeeded: random.next() >> 24) }
            let server = try ScriptedServer(noise, .closes)
            expectFailure(ClientTalk.hold(with: server.endpoint, BrokenServerTests.limits), server, "noise")
        }
    }

    /// Gone in the middle of a request, with everything that it would have answered said before.
    @Test(arguments: Dialect.all) func connectionsThatBreakWhileRequestsAreSent(_ dialect: Dialect) throws {
        let whole = try recording(dialect)
        for count in [1, 8, 9, 32, 33, 34, 41, 42, 50, 100, 150, 1000, 2000, 3000, 5000, 10_000, 50_000, 70_000, 73_000] {
            let server = try ScriptedServer(whole, .breaksOff(after: count))
            let outcome = ClientTalk.hold(with: server.endpoint, BrokenServerTests.limits)
            // What it had said may have arrived all the same.
            if outcome.error != nil { expectFailure(outcome, server, "\(dialect), \(count) bytes") }
        }
    }

    // MARK: Greetings

    @Test func versionsThatNobodySpeaks() throws {
        for version in [
            WireVersion(3, 6, 0), .init(4, 0, 0), .init(6, 0, 0), .init(8, 1, 0), .init(9, 0, 0), .init(5, 2, 0), .init(7, 2, 0),
        ] {
            let server = try ScriptedServer(Response.hello(version, .none).encoded, .isSilent)
            let error = try #require(ClientTalk.hold(with: server.endpoint, BrokenServerTests.limits).error)
            #expect(error.message == "\(server.endpoint) speaks protocol \(version); 8.0.0, 7.0.0 and 5.1.0 can be used")
        }
        // Version 3 answers with three bytes.
        let old = try ScriptedServer([3, 0, 0, 0, 0, 0, 0, 0, 3, 6, 0], .isSilent)
        let error = try #require(ClientTalk.hold(with: old.endpoint, BrokenServerTests.limits).error)
        #expect(error.message.contains("3.6.0"))
    }

    /// A stock server that is busy lets clients wait in the queue of the system.
    @Test func aServerThatIsBusy() throws {
        let listener = try SocketListener.listen(host: "127.0.0.1", port: 0)[0]
        let outcome = ClientTalk.hold(with: Endpoint(host: "127.0.0.1", port: listener.port), BrokenServerTests.short)
        let message = try #require(outcome.error?.message)
        #expect(message.contains("accepts connections but does not answer; a stock server serves one client at a time"), "\(message)")
        listener.stop()
    }

    @Test func placesWhereNobodyListens() throws {
        let listener = try SocketListener.listen(host: "127.0.0.1", port: 0)[0]
        let port = listener.port
        listener.stop()
        for host in ["127.0.0.1", "no-such-host.invalid"] {
            let endpoint = Endpoint(host: host, port: port)
            let error = try #require(ClientTalk.hold(with: endpoint, ClientLimits(connect: 0.5)).error)
            #expect(error.code == .connection)
            #expect(error.message.hasPrefix("\(endpoint): cannot connect: "), "\(error)")
        }
    }
}
