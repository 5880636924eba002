internal import NIOCore
internal import NIOSSL
internal import NIOTLS
internal import RPCProto
internal import Synchronization

/// TLS around a stream that a thread reads and writes itself (``StreamSeal``): swift-nio-ssl's handler in a pipeline without socket or
/// thread, so that a message costs its encryption and nothing is handed from thread to thread.
final class TLSSeal: StreamSeal, @unchecked Sendable {
    // Sendable: one thread at a time uses it, the one that uses the stream, as the protocol asks.
    private let channel = SealedChannel()
    private let handler: NIOSSLHandler
    private let watch = HandshakeWatch()
    private let interruptCalls = Mutex<[@Sendable () -> Void]>([])
    private let endCalls = Mutex<[@Sendable () -> Void]>([])

    /// Bytes that are taken from the wire at a time, as soon as much comes.
    private static let largestRead = 256 << 10
    private static let smallestRead = 8 << 10
    private var readByteCount = TLSSeal.smallestRead

    /// - Parameter handler: of one side, new.
    init(_ handler: NIOSSLHandler) throws(StreamError) {
        self.handler = handler
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
            try channel.pipeline.syncOperations.addHandler(watch)
        } catch {
            throw StreamError(.failed, "TLS: \(error)")
        }
        // Has the client side begin.
        channel.pipeline.fireChannelActive()
        channel.loop.run()
    }

    deinit {
        channel.release()
        for call in endCalls.withLock({ $0 }) { call() }
    }

    func interrupt() {
        for call in interruptCalls.withLock({ $0 }) { call() }
    }

    /// Has something called when the stream is broken off; maybe more than once.
    func onInterrupt(_ call: @escaping @Sendable () -> Void) { interruptCalls.withLock { $0.append(call) } }

    /// Has something called when nobody holds the stream any more.
    func onEnd(_ call: @escaping @Sendable () -> Void) { endCalls.withLock { $0.append(call) } }

    var isEstablished: Bool { watch.isEstablished }
    /// What both sides agreed to speak inside; nil for nothing.
    var protocolName: String? { watch.protocolName }
    /// Why it came to nothing.
    var failure: (any Error)? { channel.failure }

    // MARK: StreamSeal

    func wrap(_ plain: UnsafeRawBufferPointer) throws(StreamError) {
        var buffer = channel.allocator.buffer(capacity: plain.count)
        buffer.writeBytes(plain)
        channel.pipeline.syncOperations.writeAndFlush(NIOAny(buffer), promise: nil)
        channel.loop.run()
        try check()
    }

    /// As ``wrap(_:)``, for bytes that `receive` puts into memory that it is given: one copy less.
    ///
    /// - Returns: what `receive` gave; nothing is wrapped for 0 or less.
    func wrap(upTo byteCount: Int, _ receive: (UnsafeMutableRawBufferPointer) -> Int) throws(StreamError) -> Int {
        var buffer = channel.allocator.buffer(capacity: byteCount)
        var count = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: byteCount) { target in
            count = receive(UnsafeMutableRawBufferPointer(rebasing: target[..<byteCount]))
            return max(0, count)
        }
        if count <= 0 { return count }
        channel.pipeline.syncOperations.writeAndFlush(NIOAny(buffer), promise: nil)
        channel.loop.run()
        try check()
        return count
    }

    func withWrapped<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { channel.wire.withUnsafeReadableBytes(body) }

    func dropWrapped(_ byteCount: Int) {
        channel.wire.moveReaderIndex(forwardBy: byteCount)
        if channel.wire.readableBytes == 0 { channel.wire.clear() }
    }

    func unwrap(_ receive: (UnsafeMutableRawBufferPointer) -> Int) throws(StreamError) -> Int {
        var buffer = channel.allocator.buffer(capacity: readByteCount)
        var count = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: readByteCount) { target in
            count = receive(target)
            return max(0, count)
        }
        if count <= 0 { return count }
        if count >= readByteCount { readByteCount = min(TLSSeal.largestRead, readByteCount * 4) }
        channel.pipeline.fireChannelRead(buffer)
        channel.pipeline.fireChannelReadComplete()
        channel.loop.run()
        try check()
        return count
    }

    func takePlain(into target: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(target.count, channel.plain.readableBytes)
        if count == 0 { return 0 }
        channel.plain.readWithUnsafeReadableBytes { bytes in
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            return count
        }
        if channel.plain.readableBytes == 0 { channel.plain.clear() }
        return count
    }

    /// What ``takePlain(into:)`` would move, where it is; valid until the next call.
    func withPlain<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { channel.plain.withUnsafeReadableBytes(body) }

    /// That many bytes of it are not wanted any more.
    func dropPlain(_ byteCount: Int) {
        channel.plain.moveReaderIndex(forwardBy: byteCount)
        if channel.plain.readableBytes == 0 { channel.plain.clear() }
    }

    /// What came before the fault is still there to be taken.
    private func check() throws(StreamError) {
        guard let failure = channel.failure, channel.plain.readableBytes == 0 else { return }
        throw StreamError(.failed, "TLS: \(failure)")
    }
}

/// Learns of the handshake's end.
private final class HandshakeWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private(set) var isEstablished = false
    private(set) var protocolName: String?

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let name)? = event as? TLSUserEvent {
            isEstablished = true
            protocolName = name
        }
        context.fireUserInboundEventTriggered(event)
    }
}
