import ArgumentParser
import Foundation
import Node
import RPCProto

/// Which token and network a command means.
struct TokenOptions: ParsableArguments {
    @Option(
        name: [.customLong("p2p-token"), .customLong("p2ptoken")],
        help: ArgumentHelp(
            """
            The token of a network (swiftlet token new). Other users can see it for a moment: --p2p-token-file is better. Default: what \
            \(TokenSource.variables.joined(separator: ", ")) or, as a file, \(TokenSource.fileVariable) says.
            """, valueName: "token"))
    var token: String?

    @Option(name: .customLong("p2p-token-file"), help: ArgumentHelp("A file that holds the token; - is standard input.", valueName: "file"))
    var tokenFile: String?

    @Option(
        name: [.customLong("p2p-network-id"), .customLong("peer-2-peer-network-id")],
        help: ArgumentHelp(
            """
            A name, by which one token serves several networks that know nothing of each other. Default: what \
            \(TokenSource.networkVariables.joined(separator: " or ")) says.
            """, valueName: "name"))
    var networkID: String?

    /// Reads the token, and writes warnings about where it is kept to standard error.
    ///
    /// - Parameters:
    ///   - makesOne: a new token is made where there is none, and shown once, with what to do with it.
    ///   - bootstrap: what is given of where the table of nodes begins, which the others have to be given too.
    func found(
        _ environment: [String: String] = ProcessInfo.processInfo.environment, makesOne: Bool = false, bootstrap: [String] = []
    ) throws -> (token: NetworkToken, networkID: String) {
        let source = TokenSource(text: token, file: tokenFile, environment: environment)
        let networkID = try source.networkID(networkID)
        if makesOne, !source.hasOne {
            let token = NetworkToken.make()
            try Output.standard.write(NewNetwork.text(token, networkID: networkID, bootstrap: bootstrap))
            return (token, networkID)
        }
        let found = try source.found()
        for warning in found.warnings { try? Output.error.write("warning: \(warning)\n") }
        return (found.token, networkID)
    }
}

/// What is said of a network that was made for want of a token.
enum NewNetwork {
    static func text(_ token: NetworkToken, networkID: String, bootstrap: [String]) -> String {
        let options = options(networkID: networkID, bootstrap: bootstrap)
        return """
            No token was given, so this is a new network. Whoever has its token can join it. On each machine that is to help:
              swiftlet worker --p2p --p2p-token \(token.text)\(options)
            To have the same network again, give the token here too (--p2p-token-file FILE, or P2P_TOKEN).

            """
    }
}

extension NewNetwork {
    /// What another machine has to be given beside the token.
    static func options(networkID: String, bootstrap: [String]) -> String {
        (networkID.isEmpty ? "" : " --p2p-network-id '\(networkID)'") + bootstrap.map { " --bootstrap \($0)" }.joined()
    }
}

/// The nodes that --p2p-peer names.
enum PeerEndpoints {
    static func parse(_ texts: [String]) throws -> [Endpoint] {
        try texts.map { text in
            do throws(EndpointError) { return try PeersSettings.peer(text) } catch { throw ValidationError("--p2p-peer: \(error).") }
        }
    }
}

/// How a command finds others across the internet.
struct TableOptions: ParsableArguments {
    @Flag(name: .customLong("no-dht"), help: "Neither look for nodes across the internet, in the Mainline DHT, nor be found there.")
    var noDHT = false

    @Option(
        name: .customLong("bootstrap"),
        help: ArgumentHelp(
            """
            A node of the DHT to begin at, in the place of the well-known public ones; may be given more than once. A DHT of one's own: \
            swiftlet bootstrap.
            """, valueName: "host:port"))
    var bootstrap: [String] = []

    func validate() throws {
        if noDHT, !bootstrap.isEmpty { throw ValidationError("--bootstrap goes without --no-dht.") }
        _ = try parse(bootstrap)
    }

    private func parse(_ texts: [String]) throws -> [Endpoint] {
        try texts.map { text in
            do throws(EndpointError) { return try PeersSettings.peer(text) } catch { throw ValidationError("--bootstrap: \(error).") }
        }
    }

    /// Where to begin: what is given, else what the token says, else the public ones; nil for not at all.
    func places(_ token: NetworkToken, _ environment: [String: String]) throws -> [Endpoint]? {
        if noDHT || (bootstrap.isEmpty && PeersSettings.isTableOff(by: environment)) { return nil }
        if !bootstrap.isEmpty { return try parse(bootstrap) }
        let own = token.bootstrap.compactMap { try? PeersSettings.peer($0) }
        return own.isEmpty ? PeersSettings.publicBootstrap : own
    }
}

/// How a command takes part in a network of peers.
struct PeersOptions: ParsableArguments {
    @Flag(
        name: .customLong("p2p"),
        help: "Take part in a network of machines that have the same token. A token given as an option says so too.")
    var isOn = false

    @OptionGroup var token: TokenOptions

    @Option(
        name: .customLong("p2p-port"), help: ArgumentHelp("The port at which this node takes tunnels; 0 takes a free one.", valueName: "n"))
    var port = 0

    @Option(
        name: .customLong("p2p-listen"),
        help: ArgumentHelp("The address at which this node takes tunnels. Default: all of this machine's.", valueName: "address"))
    var host: String?

    @Option(
        name: .customLong("p2p-peer"),
        help: ArgumentHelp(
            "A node to try beside those found by multicast; may be given more than once. For networks without multicast.",
            valueName: "host:port"))
    var peers: [String] = []

    @Option(
        name: .customLong("p2p-name"), help: ArgumentHelp("What this node is called in lists. Default: the host's name.", valueName: "name")
    )
    var name: String?

    @Flag(name: .customLong("no-mdns"), help: "Neither look for nodes by multicast nor be found by it.")
    var noMDNS = false

    @OptionGroup var table: TableOptions

    @Flag(name: .customLong("upnp"), help: "Ask the router, by NAT-PMP or UPnP, to let tunnels in from outside. Goes well with --p2p-port.")
    var mapsPort = false

    @Flag(
        name: .customLong("relay"),
        help: "Join nodes of the network that cannot connect to each other. For one that all of them can connect to.")
    var relays = false

    func validate() throws {
        if !(0...65535).contains(port) { throw ValidationError("--p2p-port must be from 0 to 65535.") }
        if let host, host.isEmpty { throw ValidationError("--p2p-listen names no address.") }
        if let name, PeersSettings.announced(name: name) != name {
            throw ValidationError("--p2p-name must have 1 to 63 bytes, and no control characters.")
        }
        _ = try PeerEndpoints.parse(peers)
        try table.validate()
    }

    /// For a command that is always in a network.
    ///
    /// - Parameter makesOne: a new token is made where there is none.
    func settings(
        environment: [String: String] = ProcessInfo.processInfo.environment, makesOne: Bool = false
    ) throws -> PeersSettings {
        let (token, networkID) = try token.found(environment, makesOne: makesOne, bootstrap: table.bootstrap)
        return PeersSettings(
            token: token, networkID: networkID, port: port, host: host, peers: try PeerEndpoints.parse(peers),
            name: name ?? PeersSettings.announced(name: HostName.current) ?? "swiftlet", usesMDNS: !noMDNS,
            bootstrap: try table.places(token, environment), mapsPort: mapsPort,
            relays: relays)
    }

    /// - Parameter isHead: whether the environment can turn it on, as it does for LocalAI's main program but not for its workers.
    func isWanted(isHead: Bool, _ environment: [String: String] = ProcessInfo.processInfo.environment) -> Bool {
        isOn || token.token != nil || token.tokenFile != nil || (isHead && PeersSettings.isSwitchedOn(by: environment))
    }

    /// For each command's own validation: what is about a network says nothing where there is none, and a port that anybody can connect to
    /// would be opened in its place.
    func check(isHead: Bool) throws {
        if isWanted(isHead: isHead) { return }
        let given = [
            ("--p2p-port", port != 0), ("--p2p-listen", host != nil), ("--p2p-peer", !peers.isEmpty), ("--p2p-name", name != nil),
            ("--no-mdns", noMDNS), ("--relay", relays), ("--upnp", mapsPort), ("--no-dht", table.noDHT),
            ("--bootstrap", !table.bootstrap.isEmpty), ("--p2p-network-id", token.networkID != nil),
        ]
        if let (option, _) = given.first(where: \.1) { throw ValidationError("\(option) goes with --p2p, or with a token.") }
    }

    /// - Parameter isHead: as with ``isWanted(isHead:_:)``; a head makes a network where it has no token.
    /// - Returns: nil where no network is wanted.
    func settings(isHead: Bool, environment: [String: String] = ProcessInfo.processInfo.environment) throws -> PeersSettings? {
        isWanted(isHead: isHead, environment) ? try settings(environment: environment, makesOne: isHead) : nil
    }
}

/// How a command that only looks finds others.
struct SearchOptions: ParsableArguments {
    @Option(
        name: .customLong("p2p-peer"),
        help: ArgumentHelp(
            "A node to try beside those found by multicast; may be given more than once. For networks without multicast.",
            valueName: "host:port"))
    var peers: [String] = []

    @Flag(name: .customLong("no-mdns"), help: "Do not look for nodes by multicast.")
    var noMDNS = false

    @OptionGroup var table: TableOptions

    @Option(help: ArgumentHelp("Seconds to look at most.", valueName: "s"))
    var time = 3.0

    func validate() throws {
        if !(time > 0 && time <= 3600) { throw ValidationError("--time must be more than 0, and at most 3600.") }
        _ = try PeerEndpoints.parse(peers)
        try table.validate()
    }

    func settings(_ token: NetworkToken, _ networkID: String) throws -> PeersSettings {
        PeersSettings(
            token: token, networkID: networkID, peers: try PeerEndpoints.parse(peers),
            name: PeersSettings.announced(name: HostName.current) ?? "swiftlet", usesMDNS: !noMDNS,
            bootstrap: try table.places(token, ProcessInfo.processInfo.environment))
    }
}
