public import RPCProto

/// How a node takes part in a network.
public struct PeersSettings: Hashable, Sendable {
    public var token: NetworkToken
    /// Which of the token's networks; empty for the one that is meant where none is named.
    public var networkID: String
    /// Where this node takes tunnels; 0 for a free port.
    public var port: Int
    /// The address at which it does; nil for all that the machine has.
    public var host: String?
    /// Nodes to try beside those that are found.
    public var peers: [Endpoint]
    /// What people call this node.
    public var name: String
    /// Whether nodes are looked for by multicast on the local network.
    public var usesMDNS: Bool
    /// Nodes of a distributed hash table to begin at, for finding others across the internet; nil for not doing so.
    public var bootstrap: [Endpoint]?
    /// Whether the router is asked to let connections in.
    public var mapsPort: Bool
    /// Whether this node joins others that cannot connect to each other.
    public var relays: Bool

    public init(
        token: NetworkToken, networkID: String = "", port: Int = 0, host: String? = nil, peers: [Endpoint] = [], name: String,
        usesMDNS: Bool = true, bootstrap: [Endpoint]? = nil, mapsPort: Bool = false, relays: Bool = false
    ) {
        self.token = token
        self.networkID = networkID
        self.port = port
        self.host = host
        self.peers = peers
        self.name = name
        self.usesMDNS = usesMDNS
        self.bootstrap = bootstrap
        self.mapsPort = mapsPort
        self.relays = relays
    }

    /// Variables that have a head join a network, as LocalAI's main program reads them. They mean nothing to its workers.
    public static let switchVariables = ["LOCALAI_P2P", "P2P"]

    /// Whether the environment has a head join a network: the first variable that is set decides.
    public static func isSwitchedOn(by environment: [String: String]) -> Bool {
        let value = switchVariables.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        return value.map { ["1", "true", "yes"].contains($0.lowercased()) } ?? false
    }

    /// Nodes of the Mainline DHT that are there for whoever wants to begin.
    public static let publicBootstrap = [
        Endpoint(host: "router.bittorrent.com", port: 6881), Endpoint(host: "dht.transmissionbt.com", port: 6881),
        Endpoint(host: "dht.libtorrent.org", port: 25401),
    ]

    /// Variables that keep a node out of the table, as LocalAI reads them.
    public static let noTableVariables = ["LOCALAI_P2P_DISABLE_DHT", "P2P_DISABLE_DHT"]

    /// Whether the environment keeps a node out of the table.
    public static func isTableOff(by environment: [String: String]) -> Bool {
        let value = noTableVariables.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        return value.map { ["1", "true", "yes"].contains($0.lowercased()) } ?? false
    }

    /// A node's name as announcements can carry it: at most 63 bytes, without control characters; nil where that is nothing.
    public static func announced(name: String) -> String? {
        var kept = String.UnicodeScalarView()
        var count = 0
        for scalar in name.unicodeScalars where scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value) {
            count += UTF8.width(scalar)
            if count > 63 { break }
            kept.append(scalar)
        }
        return kept.isEmpty ? nil : String(kept)
    }

    /// `HOST:PORT` of a node; the port has no usual value, so it must be there.
    public static func peer(_ text: String) throws(EndpointError) -> Endpoint {
        let endpoint = try Endpoint(parsing: text)
        let hasPort = text.hasPrefix("[") ? text.contains("]:") : text.filter { $0 == ":" }.count == 1
        if !hasPort { throw EndpointError(text: text, message: "the port must be there too") }
        return endpoint
    }
}
