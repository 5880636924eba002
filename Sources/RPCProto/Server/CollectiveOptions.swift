/// How a worker takes part in collectives, where it does at all.
///
/// A collective is a link between two workers that a client tells them to open: one dials where the client says. So none
/// is opened unless these options are given, and then only between addresses that ``isAllowed`` accepts.
public struct CollectiveOptions: Sendable {
    /// The addresses that rank 0 takes its partner on: those that the worker itself listens on, never more.
    public var listenHosts = ["127.0.0.1"]
    /// Which addresses a partner may have, as dialled or as seen.
    public var isAllowed: @Sendable (NetworkAddress) -> Bool
    /// Ports that a client may name. Those of the system's own services are not for clients to have dialled.
    public var ports = 1024...65535
    /// The only port that rank 0 takes its partner at; nil for any of ``ports``. Heads name the RPC port + 1000.
    public var listenPort: Int?
    /// Seconds that rank 0 waits for its partner at most.
    public var acceptSeconds = 30.0
    /// Seconds over which rank 1 tries again to reach rank 0, which may not be listening yet.
    public var connectSeconds = 5.0
    /// Seconds without a single byte after which a partner counts as gone, while an exchange waits for it. It may be
    /// computing its part of a long prompt, behind other clients.
    public var silenceSeconds = 120.0
    /// Bytes of a tensor to reduce at most; rank 1 sets aside as many, or half where they travel as BF16.
    public var exchangeByteCount = 256 << 20

    public init(isAllowed: @escaping @Sendable (NetworkAddress) -> Bool) {
        self.isAllowed = isAllowed
    }
}
