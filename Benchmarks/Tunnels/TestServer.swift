import Base
import Foundation
import RPCProto

struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// What is asked of the server: a kind, and a number of bytes or the size of a message that comes back as it went.
enum Request {
    static let sink: UInt64 = 1
    static let source: UInt64 = 2
    static let echo: UInt64 = 3
    static let pieceByteCount = 1 << 20
}

/// Takes bytes, gives bytes, or sends back what comes, as the first sixteen bytes of a connection say.
final class TestServer: Sendable {
    let port: Int

    init() throws {
        guard let listener = try SocketListener.listen(host: "127.0.0.1", port: 0).first else { throw Failure("there is no port") }
        port = listener.port
        try SystemThread.start(name: "server") {
            while let stream = try? listener.accept() {
                _ = try? SystemThread.start(name: "serving") { try? TestServer.serve(stream) }
            }
        }
    }

    static func serve(_ stream: SocketStream) throws {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: Request.pieceByteCount, alignment: 64)
        defer { piece.deallocate() }
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        let head = UnsafeMutableRawBufferPointer(rebasing: piece[..<16])
        try stream.receive(into: head)
        let (kind, count) = (head.load(as: UInt64.self), Int(head.load(fromByteOffset: 8, as: UInt64.self)))
        switch kind {
        case Request.sink:
            var left = count
            while left > 0 {
                let size = min(left, piece.count)
                try stream.receive(into: UnsafeMutableRawBufferPointer(rebasing: piece[..<size]))
                left -= size
            }
            try stream.send(UnsafeRawBufferPointer(rebasing: piece[..<1]), none)
        case Request.source:
            var left = count
            while left > 0 {
                let size = min(left, piece.count)
                try stream.send(UnsafeRawBufferPointer(rebasing: piece[..<size]), none)
                left -= size
            }
        default:
            while true {
                let message = UnsafeMutableRawBufferPointer(rebasing: piece[..<count])
                try stream.receive(into: message)
                try stream.send(UnsafeRawBufferPointer(message), none)
            }
        }
    }
}

/// The other side.
struct TestClient {
    private let stream: SocketStream

    init(_ stream: SocketStream) { self.stream = stream }

    /// Over plain TCP, as far as it knows.
    init(port: Int) throws {
        let descriptor = try SocketDialer.connect(to: Endpoint(host: "127.0.0.1", port: port), within: 5)
        stream = SocketStream(descriptor: descriptor, peer: "server")
    }

    private func ask(_ kind: UInt64, _ count: Int) throws {
        var head = (kind, UInt64(count))
        try withUnsafeBytes(of: &head) { try stream.send($0, UnsafeRawBufferPointer(start: nil, count: 0)) }
    }

    private func withPiece<Result>(_ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Result) rethrows -> Result {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
        defer { piece.deallocate() }
        piece.initializeMemory(as: UInt8.self, repeating: 7)
        return try body(piece)
    }

    /// Bytes per second from here to there.
    func sink(_ count: Int) throws -> Double {
        try withPiece(Request.pieceByteCount) { piece in
            let begin = MonotonicClock.nanoseconds()
            try ask(Request.sink, count)
            var left = count
            while left > 0 {
                let size = min(left, piece.count)
                try stream.send(UnsafeRawBufferPointer(rebasing: piece[..<size]), UnsafeRawBufferPointer(start: nil, count: 0))
                left -= size
            }
            try stream.receive(into: UnsafeMutableRawBufferPointer(rebasing: piece[..<1]))
            return Double(count) / (Double(MonotonicClock.nanoseconds() - begin) / 1e9)
        }
    }

    /// Bytes per second from there to here.
    func source(_ count: Int) throws -> Double {
        try withPiece(Request.pieceByteCount) { piece in
            let begin = MonotonicClock.nanoseconds()
            try ask(Request.source, count)
            var left = count
            while left > 0 {
                let size = min(left, piece.count)
                try stream.receive(into: UnsafeMutableRawBufferPointer(rebasing: piece[..<size]))
                left -= size
            }
            return Double(count) / (Double(MonotonicClock.nanoseconds() - begin) / 1e9)
        }
    }

    /// Seconds that a message takes there and back, in the middle of all.
    func roundTrip(_ size: Int, _ rounds: Int) throws -> Double {
        try withPiece(size) { piece in
            try ask(Request.echo, size)
            var times: [UInt64] = []
            for _ in 0..<rounds {
                let begin = MonotonicClock.nanoseconds()
                try stream.send(UnsafeRawBufferPointer(piece), UnsafeRawBufferPointer(start: nil, count: 0))
                try stream.receive(into: piece)
                times.append(MonotonicClock.nanoseconds() - begin)
            }
            return Double(times.sorted()[rounds / 2]) / 1e9
        }
    }
}
