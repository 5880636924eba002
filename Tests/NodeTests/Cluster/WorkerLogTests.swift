import Base
import Foundation
import Logging
import Node
import NodeWorker
import RPCProto
import Testing

/// What a worker's log says, and what it does not.
@Suite(.timeLimit(.minutes(2))) struct WorkerLogTests {
    private func worker(_ log: KeptLog, _ change: (inout WorkerOptions) -> Void = { _ in }) throws -> Worker {
        var options = WorkerOptions()
        options.port = 0
        options.threads = 1
        options.limits.memory = 64 << 20
        options.graceSeconds = 0
        change(&options)
        return try Worker(options, logger: log.logger())
    }

    /// A connection to the worker, closed by a reset once it has sent some bytes.
    private func probe(_ port: Int, sending bytes: [UInt8]) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        #expect(status == 0)
        _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        usleep(50_000)
        var value = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }

    /// A line for each crowded warnings out.
    @Test func probesThatResetAreCountedAndNotListed() async throws {
        let log = KeptLog()
        let worker = try worker(log)
        let task = Task { try await worker.run() }
        for _ in 0..<5 { probe(worker.port, sending: []) }
        for _ in 0..<1000 where worker.status.sessionsLost < 5 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(worker.status.sessionsLost == 5)
        #expect(log.lines.isEmpty, "\(log.lines)")
        task.cancel()
        _ = await task.result
    }

    /// Clients of old versions greet with nothing.
    @Test func aClientOfAnotherVersionIsSaidToBeOne() async throws {
        let log = KeptLog()
        let worker = try worker(log)
        let task = Task { try await worker.run() }
        probe(worker.port, sending: [14] + [UInt8](repeating: 0, count: 8))
        for _ in 0..<1000 where log.lines.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        let line = try #require(log.lines.first)
        #expect(
            line.hasSuffix(
                "connection closed: HELLO: a client of another version of the protocol: it greets with 0 bytes, those of 8.0.0 with 24 "
                    + "(a worker can speak others too: --protocol)"))
        task.cancel()
        _ = await task.result
    }

    @Test func aCacheThatKeepsNothingSaysSoOnce() {
        let log = KeptLog()
        let line = CacheLine(log.logger())
        for obstacle in [nil, "the disk is full", "the disk is full", nil, nil, "/c: no permission"] { line.show(obstacle, in: "/c") }
        #expect(
            log.lines == [
                "warning: the cache keeps nothing at present: /c: the disk is full",
                "warning: the cache keeps nothing at present: /c: no permission",
            ])
    }

    @Test func whatGoesOnIsToldOnceAMinute() {
        var rest = AcceptingRest()
        #expect([0, 1, 59, 60, 61, 200].map { rest.isNews(at: .seconds($0)) } == [true, false, false, true, false, true])
    }

    /// A name that only looks like an address of this machine lets others in without a warning.
    @Test func onlyLoopbackAddressesAreThisMachines() {
        for (host, isLoopback) in [
            ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("localhost", true), ("127.example.com", false),
            ("127.0.0.1.example.com", false),
            ("0.0.0.0", false), ("::", false), ("10.0.0.1", false), ("::ffff:127.0.0.1", true), ("1::1", false),
        ] {
            var options = WorkerOptions()
            options.hosts = [host]
            #expect(options.isLoopback == isLoopback, "\(host)")
            #expect((options.exposureWarning == nil) == isLoopback, "\(host)")
        }
    }

    /// `10.0.0.7:50052: 10.0.0.7:50052: HELLO: …` said the address twice.
    @Test func eventsSayAnAddressOnce() {
        func line(_ message: String) -> String { NodeEvent(.lost, node: "10.0.0.7:50052", message).line }
        #expect(line("10.0.0.7:50052: HELLO: the server left") == "10.0.0.7:50052: HELLO: the server left")
        #expect(line("10.0.0.7:50052 has closed the connection") == "10.0.0.7:50052: has closed the connection")
        #expect(line("10.0.0.7:500521 is another") == "10.0.0.7:50052: 10.0.0.7:500521 is another")
        #expect(line("is there") == "10.0.0.7:50052: is there")
    }
}
