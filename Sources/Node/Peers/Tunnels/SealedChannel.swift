internal import NIOCore

/// A channel without a socket: what is written at the tail of its pipeline and comes out at the head is kept, as is what is read at the
/// head and comes out at the tail. It is active from the start and never closes.
final class SealedChannel: Channel, ChannelCore, @unchecked Sendable {
    // Sendable: as ``SealedLoop``.
    let loop = SealedLoop()
    let allocator = ByteBufferAllocator()
    let closePromise: EventLoopPromise<Void>
    private var ownPipeline: ChannelPipeline?

    /// What is to go over the wire.
    var wire = ByteBuffer()
    /// What has come over it, unwrapped.
    var plain = ByteBuffer()
    /// What went wrong, first.
    private(set) var failure: (any Error)?

    init() {
        closePromise = loop.makePromise()
        ownPipeline = ChannelPipeline(channel: self)
    }

    /// Breaks the circles of pipeline and channel, and of TLS's handler and its connection, which only lets go of it when it is removed.
    /// Nothing may be done with it any more.
    func release() {
        if isReleased { return }
        isReleased = true
        closePromise.succeed()
        if let ownPipeline { removeHandlers(pipeline: ownPipeline) }
        loop.run()
        ownPipeline = nil
    }

    private var isReleased = false

    var pipeline: ChannelPipeline {
        guard let ownPipeline else { return ChannelPipeline(channel: self) }
        return ownPipeline
    }

    var eventLoop: any EventLoop { loop }
    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var localAddress: SocketAddress? { nil }
    var remoteAddress: SocketAddress? { nil }
    var parent: (any Channel)? { nil }
    var isWritable: Bool { true }
    var isActive: Bool { true }
    var _channelCore: any ChannelCore { self }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        loop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        loop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    // MARK: The head of the pipeline

    func localAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }
    func remoteAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }
    func register0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
    func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func connect0(to address: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        var bytes = unwrapData(data, as: ByteBuffer.self)
        if wire.readableBytes == 0 { wire = bytes } else { wire.writeBuffer(&bytes) }
        promise?.succeed()
    }

    func flush0() {}
    func read0() {}

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        promise?.succeed()
    }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    // MARK: Its tail

    func channelRead0(_ data: NIOAny) {
        var bytes = unwrapData(data, as: ByteBuffer.self)
        if plain.readableBytes == 0 { plain = bytes } else { plain.writeBuffer(&bytes) }
    }

    func errorCaught0(error: any Error) { failure = failure ?? error }
}
