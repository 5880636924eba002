internal import RPCProto

/// How a worker listens and what it offers.
public struct WorkerOptions: Sendable {
    /// An address or a name of this machine; `0.0.0.0` and `::` take clients from anywhere.
    public var host = "127.0.0.1"
    /// 0 takes any free port.
    public var port = WorkerOptions.defaultPort
    /// Threads that compute; nil for one a core.
    public var threads: Int?
    /// The kernels to use, by name; nil for the best that the processor has.
    public var variant: String?
    /// Names of devices to offer, as ``Worker/deviceNames`` lists them; empty for all.
    public var devices: [String] = []
    /// A folder for tensors that clients need not send again; nil for none.
    public var cacheFolder: String?

    /// The port of ggml's RPC servers.
    public static let defaultPort = 50052

    public init() {}

    /// Whether only programs on this machine can reach the worker.
    public var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }

    /// What listening beyond this machine means; nil where it does not.
    public var exposureWarning: String? {
        if isLoopback { return nil }
        return """
            listening on \(host): every machine that reaches this one can use its memory and processor. Nobody is asked who \
            they are and traffic is not encrypted, so let only a network that you trust come here.
            """
    }

    /// `$XDG_CACHE_HOME/swiftlet/tensors`, else the same in `~/.cache`.
    public static func defaultCacheFolder(_ environment: [String: String]) -> String {
        TensorCache.defaultFolder(environment: environment)
    }

    var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Why a worker did not start.
public struct WorkerError: Error, CustomStringConvertible {
    public var description: String

    init(_ description: String) {
        self.description = description
    }
}
