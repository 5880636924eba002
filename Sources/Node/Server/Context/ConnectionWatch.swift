internal import HTTPTypes
internal import NIOCore
internal import NIOHTTPTypes
internal import Synchronization

/// Watches one connection from its event loop: tells when the client has gone, closes connections whose client takes nothing of
/// its answer, answers `Expect: 100-continue`, and closes after an answer that says `Connection: close`.
///
/// A client that ends its side of the connection counts as gone, even where it could still read: that is how a client that
/// went away looks while nothing is being written to it.
///
/// Sendable because what other threads touch is behind the mutex; the rest is used on the channel's event loop only.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private struct State {
        var isGone = false
        var nextID = 0
        var callbacks: [Int: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())
    private let bodySizeLimit: Int
    private let stalledTime: TimeAmount
    private let lingerTime = TimeAmount.seconds(2)
    private var stallTimer: Scheduled<Void>?
    private var lingerTimer: Scheduled<Void>?
    private var closesAfterAnswer = false

    init(bodySizeLimit: Int, stalledTime: Duration) {
        self.bodySizeLimit = bodySizeLimit
        self.stalledTime = TimeAmount(stalledTime)
    }

    // MARK: For request handlers, on any thread

    /// The watch over a request's connection; nil where there is no real one.
    static func of(_ channel: any Channel) async -> ConnectionWatch? {
        try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: ConnectionWatch.self)
        }.get()
    }

    /// Calls `callback` once when the client goes, at once if it is gone already.
    ///
    /// - Returns: what to pass to ``forget(_:)``.
    func onDeparture(_ callback: @escaping @Sendable () -> Void) -> Int {
        let id: Int? = state.withLock { state in
            if state.isGone { return nil }
            state.nextID += 1
            state.callbacks[state.nextID] = callback
            return state.nextID
        }
        if let id { return id }
        callback()
        return 0
    }

    func forget(_ id: Int) {
        state.withLock { $0.callbacks[id] = nil }
    }

    private func clientHasGone() {
        let callbacks = state.withLock { state in
            state.isGone = true
            defer { state.callbacks = [:] }
            return state.callbacks.values.map { $0 }
        }
        for callback in callbacks { callback() }
    }

    // MARK: On the event loop

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = unwrapInboundIn(data), head.headerFields[.expect]?.lowercased() == "100-continue" {
            // A body that is too long is better never sent; the request's handler refuses it by its stated length.
            let length = head.headerFields[.contentLength].flatMap { Int($0) } ?? 0
            if length <= bodySizeLimit {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
        }
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { clientHasGone() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is IOError { clientHasGone() }
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        stallTimer?.cancel()
        lingerTimer?.cancel()
        clientHasGone()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        stallTimer?.cancel()
        lingerTimer?.cancel()
        clientHasGone()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stallTimer?.cancel()
        stallTimer = nil
        if !context.channel.isWritable {
            let channel = context.channel
            stallTimer = context.eventLoop.scheduleTask(in: stalledTime) {
                channel.close(promise: nil)
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            if head.headerFields[.connection]?.lowercased() == "close" { closesAfterAnswer = true }
            context.write(data, promise: promise)
        case .body:
            context.write(data, promise: promise)
        case .end where closesAfterAnswer:
            // Closing at once would throw away the answer with a client that is still sending: end our side, then wait a
            // moment for it to end its own.
            context.writeAndFlush(data, promise: promise)
            context.close(mode: .output, promise: nil)
            let channel = context.channel
            lingerTimer = context.eventLoop.scheduleTask(in: lingerTime) { channel.close(promise: nil) }
        case .end:
            context.write(data, promise: promise)
        }
    }
}
