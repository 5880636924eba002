internal import Base
internal import Logging
internal import NIOCore

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Keeps a server from taking a whole core while the system gives it no descriptors for connections that wait: it does not look at them
/// for a moment, again and again until there are some.
///
/// Sendable because it is used on the channel's event loop only.
final class AcceptingPause: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = any Channel

    private var rest = AcceptingRest()
    private let logger: Logger

    init(_ logger: Logger) {
        self.logger = logger
    }

    /// Puts one in front of all that a listening channel has.
    static func add(to channel: any Channel, _ logger: Logger) async {
        try? await channel.pipeline.addHandler(AcceptingPause(logger), position: .first).get()
    }

    /// Whether it passes when connections end.
    static func passes(_ code: CInt) -> Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? IOError, AcceptingPause.passes(failure.errnoCode) else { return context.fireErrorCaught(error) }
        if rest.isNews() {
            logger.warning("accepting failed: \(String(cString: strerror(failure.errnoCode))); more connections wait until others end")
        }
        let channel = context.channel
        channel.setOption(.autoRead, value: false).whenComplete { _ in }
        context.eventLoop.scheduleTask(in: TimeAmount(AcceptingRest.time)) {
            channel.setOption(.autoRead, value: true).whenComplete { _ in }
        }
    }
}
