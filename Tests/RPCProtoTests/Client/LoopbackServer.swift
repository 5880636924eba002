import Foundation
import Kernels
import RPCProto
import Synchronization
import Tensor

/// A server on this machine that serves sessions over CPU backends, each connection on a thread of its own.
final class LoopbackServer: Sendable {
    /// Makes of an answer, size and content, what is sent instead.
    typealias Rewriting = @Sendable (Command, [UInt8]) -> [UInt8]
    /// Seconds that the server takes before it looks at a request.
    typealias Pausing = @Sendable (Command) -> Double

    let endpoint: Endpoint
    private let listener: SocketListener
    private let log = Log()

    private final class Log: Sendable {
        let ends = Mutex<[SessionEnd]>([])
        let answers = Mutex<[UInt8]>([])
        let commands = Mutex<[Command: Int]>([:])
    }

    /// - Parameters:
    ///   - devices: how many each session has; all are the same processor.
    ///   - bytesPerSecond: at which it takes what is large; nil for as fast as it can.
    ///   - rewriting: changes answers on their way.
    ///   - pausing: makes it slow at some requests.
    init(
        _ dialect: Dialect = .newest, devices: Int = 1, options: SessionOptions = SessionOptions(), bytesPerSecond: Double? = nil,
        rewriting: Rewriting? = nil, pausing: @escaping Pausing = { _ in 0 }
    ) throws {
        listener = try SocketListener.listen(host: "127.0.0.1", port: 0)[0]
        endpoint = Endpoint(host: "127.0.0.1", port: listener.port)
        let cpu = try CPUBackend(threads: 2)
        Thread.detachNewThread { [log, listener] in
            while let socket = try? listener.accept() {
                let lanes = (0..<devices).compactMap { _ in try? cpu.lane() }
                let thread = Thread {
                    let stream = Stream(socket, dialect, log, pausing, bytesPerSecond, rewriting)
                    let end = Session(devices: lanes, options: options, dialect: dialect).serve(stream)
                    socket.interrupt()
                    log.ends.withLock { $0.append(end) }
                }
                thread.stackSize = 8 << 20
                thread.start()
            }
        }
    }

    deinit { listener.stop() }

    /// How the sessions that are over ended.
    var ends: [SessionEnd] { log.ends.withLock { $0 } }

    /// All that was answered.
    var answers: [UInt8] { log.answers.withLock { $0 } }

    /// How often a command came.
    func count(of command: Command) -> Int { log.commands.withLock { $0[command] ?? 0 } }

    func connect(_ limits: ClientLimits = ClientLimits()) throws -> ServerConnection {
        try ServerConnection.connect(to: endpoint, limits: limits)
    }

    /// The socket, with what goes over it written down and, if wanted, changed.
    private final class Stream: ByteStream {
        private let socket: SocketStream
        private let dialect: Dialect
        private let log: Log
        private let pausing: Pausing
        private let bytesPerSecond: Double?
        private let rewriting: Rewriting?
        private var command = Command.hello

        init(
            _ socket: SocketStream, _ dialect: Dialect, _ log: Log, _ pausing: @escaping Pausing, _ bytesPerSecond: Double?,
            _ rewriting: Rewriting?
        ) {
            self.socket = socket
            self.dialect = dialect
            self.log = log
            self.pausing = pausing
            self.bytesPerSecond = bytesPerSecond
            self.rewriting = rewriting
        }

        func receiveByte() throws(StreamError) -> UInt8? {
            let byte = try socket.receiveByte()
            if let byte, let command = dialect.command(byte) {
                self.command = command
                log.commands.withLock { $0[command, default: 0] += 1 }
                let seconds = pausing(command)
                if seconds > 0 { Thread.sleep(forTimeInterval: seconds) }
            }
            return byte
        }

        func receive(into target: UnsafeMutableRawBufferPointer) throws(StreamError) {
            guard let bytesPerSecond else { return try socket.receive(into: target) }
            var start = 0
            while start < target.count {
                let end = min(target.count, start + 1 << 18)
                try socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: target[start..<end]))
                if end - start > 1 << 12 { Thread.sleep(forTimeInterval: Double(end - start) / bytesPerSecond) }
                start = end
            }
        }

        func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) throws(StreamError) {
            log.answers.withLock { answers in
                answers += first
                answers += second
            }
            guard let rewriting else { return try socket.send(first, second) }
            let changed = rewriting(command, Array(first) + Array(second))
            var failure: StreamError?
            changed.withUnsafeBytes { bytes in
                do throws(StreamError) {
                    try socket.send(bytes, UnsafeRawBufferPointer(start: nil, count: 0))
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
        }
    }
}

/// Bytes that live as long as somebody holds them.
final class OwnedBytes: @unchecked Sendable {
    // Sendable: never written after `init`.
    private let bytes: UnsafeMutableRawBufferPointer

    private init(_ content: [UInt8]) {
        bytes = .allocate(byteCount: content.count, alignment: 64)
        bytes.copyBytes(from: content)
    }

    deinit { bytes.deallocate() }

    static func region(_ content: [UInt8]) -> MemoryRegion {
        let owner = OwnedBytes(content)
        return MemoryRegion(bytes: UnsafeRawBufferPointer(owner.bytes), owner: owner)
    }
}

/// Numbers that look like activations, the same for the same seed.
struct SeededFloats {
    private var state: UInt64

    init(_ seed: UInt64) {
        state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    mutating func floats(_ count: Int, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in (Float(next() >> 40) / Float(1 << 24) - 0.5) * 2 * scale }
    }
}

/// What a backend threw.
func failure(of body: () throws -> Void) -> BackendError? {
    do {
        try body()
        return nil
    } catch {
        return error as? BackendError
    }
}
