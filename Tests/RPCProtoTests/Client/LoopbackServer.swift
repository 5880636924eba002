import Foundation
import Kernels
import RPCProto
import Synchronization
import Tensor

/// A server on this machine that serves sessions over CPU backends, each connection on a thread of its own.
final class LoopbackServer: Sendable {
    let endpoint: Endpoint
    private let listener: SocketListener
    private let log = Log()

    private final class Log: Sendable {
        let ends = Mutex<[SessionEnd]>([])
    }

    /// - Parameter devices: how many each session has; all are the same processor.
    init(_ dialect: Dialect = .newest, devices: Int = 1, options: SessionOptions = SessionOptions()) throws {
        listener = try SocketListener.listen(host: "127.0.0.1", port: 0)[0]
        endpoint = Endpoint(host: "127.0.0.1", port: listener.port)
        let cpu = try CPUBackend(threads: 2)
        Thread.detachNewThread { [log, listener] in
            while let stream = try? listener.accept() {
                let lanes = (0..<devices).compactMap { _ in try? cpu.lane() }
                let thread = Thread {
                    let end = Session(devices: lanes, options: options, dialect: dialect).serve(stream)
                    stream.interrupt()
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

    func connect(_ limits: ClientLimits = ClientLimits()) throws -> ServerConnection {
        try ServerConnection.connect(to: endpoint, limits: limits)
    }
}

/// Bytes that live as long as somebody holds them.
final class OwnedBytes: Sendable {
    let region: UnsafeSendableBytes

    struct UnsafeSendableBytes: @unchecked Sendable {
        // Sendable: never written after `init`.
        let bytes: UnsafeMutableRawBufferPointer
    }

    init(_ content: [UInt8]) {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 64)
        bytes.copyBytes(from: content)
        region = UnsafeSendableBytes(bytes: bytes)
    }

    deinit { region.bytes.deallocate() }

    static func region(_ content: [UInt8]) -> MemoryRegion {
        let owner = OwnedBytes(content)
        return MemoryRegion(bytes: UnsafeRawBufferPointer(owner.region.bytes), owner: owner)
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
