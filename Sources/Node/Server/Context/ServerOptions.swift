public import Base

/// Where and how an HTTP server listens, and what it lets clients do.
public struct ServerOptions: Hashable, Sendable {
    /// An address or a name of this machine; `0.0.0.0` and `::` take requests from anywhere.
    public var host: String
    /// 0 takes any free port.
    public var port: Int
    /// Requests must bring one of these as a bearer token; none lets everyone in.
    public var apiKeys: [String]
    /// Who brings one of these may have the token of a peers' network; they count as API keys where there are such. Without any, programs
    /// on this machine may have it.
    public var adminKeys: [String]
    /// Origins (`https://chat.example.org`) whose pages may use the server from a browser; `*` lets all.
    public var corsOrigins: [String]
    public var limits: Limits

    public init(
        host: String = "127.0.0.1", port: Int = 8080, apiKeys: [String] = [], adminKeys: [String] = [], corsOrigins: [String] = [],
        limits: Limits = Limits()
    ) {
        self.host = host
        self.port = port
        self.apiKeys = apiKeys
        self.adminKeys = adminKeys
        self.corsOrigins = corsOrigins
        self.limits = limits
    }

    public struct Limits: Hashable, Sendable {
        /// Bytes of a request's body.
        public var bodySize: Int
        public var json: JSONLimits
        /// Requests being worked on or waiting, of any kind; more are answered with 503.
        public var requests: Int
        /// Open connections; more wait to be accepted.
        public var connections: Int
        /// A connection without a request, or with a header that does not end, is closed after this.
        public var idleTime: Duration
        /// A body must be there after this.
        public var bodyTime: Duration
        /// An answer must be complete after this.
        public var answerTime: Duration
        /// A client that takes nothing of its answer for this long is let go.
        public var stalledTime: Duration
        /// Requests under way when the server is told to stop may take this long.
        public var gracePeriod: Duration
        /// A stream that has nothing to say before its first token says a comment each time this has passed.
        public var pulseTime: Duration

        public init(
            bodySize: Int = 8 << 20, json: JSONLimits = JSONLimits(), requests: Int = 256, connections: Int = 1024,
            idleTime: Duration = .seconds(75), bodyTime: Duration = .seconds(30), answerTime: Duration = .seconds(3600),
            stalledTime: Duration = .seconds(60), gracePeriod: Duration = .seconds(30),
            pulseTime: Duration = .seconds(5)
        ) {
            self.bodySize = bodySize
            self.json = json
            self.requests = requests
            self.connections = connections
            self.idleTime = idleTime
            self.bodyTime = bodyTime
            self.answerTime = answerTime
            self.stalledTime = stalledTime
            self.gracePeriod = gracePeriod
            self.pulseTime = pulseTime
        }
    }

    /// Whether only programs on this machine can reach the server.
    public var isLoopback: Bool {
        HostName.isLoopback(host)
    }
}
