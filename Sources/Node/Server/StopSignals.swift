internal import Base
internal import UnixSignals

extension UnixSignal {
    /// Those at which a server or worker ends in an orderly way: the service manager's, Ctrl-C, and a terminal that goes away, unless
    /// whoever started it said that it is to survive that (`nohup`).
    static var thatStop: [UnixSignal] { SignalDisposition.ignoresHangup ? [.sigterm, .sigint] : [.sigterm, .sigint, .sighup] }
}
