import Base
import Foundation
import Node
import Synchronization
import Testing

/// A server whose descriptors run out rests, says so once, and goes on when there are some again.
@Suite(.timeLimit(.minutes(2))) struct DescriptorTests {
    #if os(Linux)
        private static let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

        private static func setLimit(_ count: Int) {
            var limits = rlimit()
            getrlimit(kind, &limits)
            limits.rlim_cur = rlim_t(count)
            guard setrlimit(kind, &limits) == 0 else { exit(3) }
        }

        private static func connect(_ descriptor: Int32, _ port: Int) -> Bool {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            } == 0
        }

        /// 97 % of a core went into trying again and again, without a word.
        @Test func aServerThatHasNoneLeftRests() async {
            await #expect(processExitsWith: .exitCode(7)) {
                let log = KeptLog()
                let port = Mutex(0)
                let server = HTTPServer(engine: MockEngine(), options: ServerOptions(port: 0), logger: log.logger(level: .warning)) {
                    given in
                    port.withLock { $0 = given }
                }
                Task { try await server.run() }
                for _ in 0..<1000 where port.withLock({ $0 }) == 0 { try await Task.sleep(for: .milliseconds(10)) }
                let place = port.withLock { $0 }
                // The clients' own descriptors first, then room for two connections at the server.
                let clients = (0..<20).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
                DescriptorTests.setLimit(Int(clients.max() ?? 0) + 3)
                for client in clients where !DescriptorTests.connect(client, place) { exit(4) }
                try await Task.sleep(for: .milliseconds(500))
                let before = clock()
                try await Task.sleep(for: .seconds(3))
                let seconds = Double(clock() - before) / Double(CLOCKS_PER_SEC)
                if seconds > 1.5 { exit(5) }
                if log.lines.count(where: { $0.hasPrefix("warning: accepting failed: ") }) != 1 { exit(6) }
                // They go, and who comes is served.
                for client in clients { close(client) }
                let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                guard DescriptorTests.connect(client, place) else { exit(8) }
                let request = Array("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
                _ = send(client, request, request.count, Int32(MSG_NOSIGNAL))
                var time = timeval(tv_sec: 20, tv_usec: 0)
                setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
                var answer = [UInt8](repeating: 0, count: 12)
                guard recv(client, &answer, 12, Int32(MSG_WAITALL)) == 12, answer == Array("HTTP/1.1 200".utf8) else { exit(9) }
                exit(7)
            }
        }

        @Test func theLimitIsRaisedAsFarAsItGoes() async {
            await #expect(processExitsWith: .exitCode(7)) {
                DescriptorTests.setLimit(64)
                Descriptors.raiseLimit()
                guard let limits = Descriptors.limits else { exit(3) }
                exit(limits.soft == min(limits.hard, 1 << 20) ? 7 : 4)
            }
        }
    #endif
}
