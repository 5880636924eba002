public import Base
public import RPCProto

/// How a worker listens, what it offers and how much of it.
public struct WorkerOptions: Sendable {
    /// Addresses or names of this machine; `0.0.0.0` is every IPv4 address, `::` every address.
    public var hosts = ["127.0.0.1"]
    /// 0 takes any free port.
    public var port = WorkerOptions.defaultPort
    /// The version of the protocol spoken at ``port``.
    public var dialect = Dialect.newest
    /// More ports, for heads of other versions.
    public var otherPorts: [(port: Int, dialect: Dialect)] = []
    /// Threads that compute; nil for one a core.
    public var threads: Int?
    /// The kernels to use, by name; nil for the best that the processor has.
    public var variant: String?
    /// Names of devices to offer, as `swiftlet devices` lists them; empty for those that are used unless others are named.
    public var devices: [String] = []
    /// A folder for tensors that clients need not send again; nil for none.
    public var cacheFolder: String?
    /// Bytes that the folder may hold.
    public var cacheByteCount = TensorCacheLimits().byteCount
    /// Who may connect; empty for everybody.
    public var allowed: [AddressRange] = []
    /// Whether a head that splits tensors over two workers may have this one connect to the other, or wait for it; only
    /// between addresses that may connect here. The port for that is ``port`` + 1000, as the head says.
    public var allowsCollectives = false
    public var limits = Limits()
    /// Seconds that requests under way may take, and heads to move elsewhere, once the worker is told to stop.
    public var graceSeconds = 30.0
    /// Seconds between lines in the log that say what the worker does, while it does anything; 0 for none.
    public var statusSeconds = 60.0
    /// Where figures for Prometheus are served; nil for nowhere.
    public var metrics: MetricsAddress?

    /// The port of ggml's RPC servers.
    public static let defaultPort = 50052

    public init() {}

    /// What all clients together, or each of them, may take.
    public struct Limits: Sendable {
        /// Bytes of memory to lend in all; nil for what the machine has free.
        public var memory: Int?
        /// Connections at a time.
        public var connections = 256
        /// Connections at a time from one address.
        public var connectionsPerClient = 128
        /// Of one connection.
        public var buffers = SessionOptions().bufferCount
        /// Bytes of one graph's message.
        public var graphByteCount = SessionOptions().graphByteCount
        /// Bytes of graphs' messages that are kept for one connection, to be asked for again; twice as many for all.
        public var keptGraphByteCount = SessionOptions().keptGraphByteCount
        /// Seconds that one graph may compute.
        public var graphSeconds = 3600.0
        /// Seconds of silence between messages after which a connection is closed; 0 for any.
        public var idleSeconds = 0.0
        /// Seconds within which a new connection must greet.
        public var greetingSeconds = 10.0
        /// Seconds in the middle of a message within which something must move.
        public var stallSeconds = 30.0
        /// Seconds after which a client that vanished without a word is given up.
        public var keepAliveSeconds = 5

        public init() {}
    }

    public struct MetricsAddress: Hashable, Sendable {
        public var host: String
        /// 0 takes any free port.
        public var port: Int

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// Whether only programs on this machine can reach the worker.
    public var isLoopback: Bool { hosts.allSatisfy(HostName.isLoopback) }

    /// Whether a client at this address is served.
    func isAllowed(_ address: NetworkAddress?) -> Bool {
        if allowed.isEmpty { return true }
        return address.map { address in allowed.contains { $0.contains(address) } } ?? false
    }

    /// How workers may be linked; nil if they may not. Only with those that are allowed by name, or on this machine.
    func collectives(port: Int) -> CollectiveOptions? {
        guard allowsCollectives else { return nil }
        let ranges = allowed.isEmpty ? ["127.0.0.0/8", "::1"].compactMap { AddressRange($0) } : allowed
        var options = CollectiveOptions { address in ranges.contains { $0.contains(address) } }
        options.listenHosts = hosts
        options.listenPort = port + 1000
        return options
    }

    /// What listening beyond this machine means; nil where it does not.
    public var exposureWarning: String? {
        if isLoopback { return nil }
        let places = hosts.joined(separator: ", ")
        if !allowed.isEmpty {
            return "listening on \(places) for \(allowed.map(\.description).joined(separator: ", ")). Traffic is not encrypted."
        }
        return """
            listening on \(places): every machine that reaches this one can use its memory and processor. Nobody is asked who \
            they are and traffic is not encrypted, so let only a network that you trust come here; --allow names who may.
            """
    }

    /// Where a cache is unless a folder is named.
    public static func defaultCacheFolder(_ environment: [String: String]) throws(NoHomeError) -> String {
        try TensorCache.defaultFolder(environment: environment)
    }

    package static func address(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// Why a worker did not start.
public struct WorkerError: Error, CustomStringConvertible {
    public var description: String

    init(_ description: String) {
        self.description = description
    }
}
