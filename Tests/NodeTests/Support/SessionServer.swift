import Foundation
import Kernels
import RPCProto
import Synchronization
import Tensor
import TestSupport

/// A server with as many devices as a test wants, which breaks off connections where it is told to, and cannot do what it
/// is told not to.
final class SessionServer: Sendable {
    /// Whether a connection, by its number, ends when this command comes.
    typealias Breaking = @Sendable (_ connection: Int, Command) -> Bool

    let address: String
    private let listener: SocketListener

    init(
        devices: Int, cache: TensorCache? = nil, refusing: Set<OperationKind> = [], breaking: @escaping Breaking = { _, _ in false }
    ) throws {
        listener = try SocketListener.listen(host: "127.0.0.1", port: 0)[0]
        address = "127.0.0.1:\(listener.port)"
        var limits = CPUBackend.Limits()
        limits.memory = 256 << 20
        let processor = try CPUBackend(threads: 1, limits: limits)
        Thread.detachNewThread { [listener] in
            var count = 0
            while let socket = try? listener.accept() {
                let number = count
                count += 1
                let lanes = (0..<devices).compactMap { _ in try? processor.lane() }.map { PickyBackend($0, refusing: refusing) }
                let thread = Thread {
                    var options = SessionOptions()
                    options.cache = cache
                    _ = Session(devices: lanes, options: options).serve(Stream(socket) { breaking(number, $0) })
                    socket.interrupt()
                }
                thread.stackSize = 8 << 20
                thread.start()
            }
        }
    }

    deinit { listener.stop() }

    private final class Stream: ByteStream {
        private let socket: SocketStream
        private let breaking: (Command) -> Bool

        init(_ socket: SocketStream, _ breaking: @escaping (Command) -> Bool) {
            self.socket = socket
            self.breaking = breaking
        }

        func receiveByte() throws(StreamError) -> UInt8? {
            guard let byte = try socket.receiveByte() else { return nil }
            if let command = Command(rawValue: byte), breaking(command) { return nil }
            return byte
        }

        func receive(into target: UnsafeMutableRawBufferPointer) throws(StreamError) { try socket.receive(into: target) }

        func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) throws(StreamError) {
            try socket.send(first, second)
        }
    }
}
