internal import Base
internal import Foundation
internal import NodeEngine
internal import RPCProto
internal import Tensor

/// Servers that answered, with what they say of themselves.
struct ConnectedServers: Sendable {
    struct Server: Sendable {
        let id: NodeID
        /// What it calls itself, if it proves who it is.
        var name: String?
        /// The connection's number, where there is a pool.
        var link = 0
        var connection: ServerConnection
        /// A short question and its answer.
        var roundTrip: Duration
        /// By device.
        var memory: [DeviceMemory]
        /// The devices that had less than they said.
        var doubts: [Int: MemoryDoubt] = [:]
    }

    /// In the order in which they were named.
    var servers: [Server]
    /// Sentences about those that were named more than once, by different names.
    var remarks: [String] = []

    /// Connects to all at the same time.
    ///
    /// - Throws: ``HeadError`` that names every server that cannot be used, and why.
    static func connect(_ names: [String], _ options: HeadOptions) throws(HeadError) -> ConnectedServers {
        let named = try endpoints(names)
        let limits = options.clientLimits
        // A stock server serves one connection: a second one to it would wait in vain, so names are compared by what they stand for.
        let firsts = named.count > 1 ? Endpoint.firstAlike(of: named, within: limits.connect) : Array(named.indices)
        var remarks: [String] = []
        for (index, first) in firsts.enumerated() where first != index { remarks.append(remark(named[index], named[first])) }
        let endpoints = named.indices.filter { firsts[$0] == $0 }.map { named[$0] }
        let outcomes = Parallel.map(endpoints) { endpoint in
            Result { () throws(BackendError) in try Server(.endpoint(endpoint), ServerConnection.connect(to: endpoint, limits: limits)) }
        }
        var servers: [Server] = []
        var complaints: [String] = []
        for outcome in outcomes {
            switch outcome {
            case .success(let server): servers.append(server)
            case .failure(let error): complaints.append("\(error)")
            }
        }
        if !complaints.isEmpty { throw .workers(complaints) }
        var connected = ConnectedServers(servers: servers, remarks: remarks)
        connected.dropTwins()
        return connected
    }

    private static func remark(_ endpoint: Endpoint, _ first: Endpoint) -> String {
        "\(endpoint) is the same worker as \(first), and is used once"
    }

    /// Lets go of connections to servers that an earlier one leads to as well, by other addresses.
    private mutating func dropTwins() {
        if servers.count < 2 { return }
        let identities = Parallel.map(servers) { $0.connection.identities() }
        for index in servers.indices.reversed() {
            guard let first = servers.indices.first(where: { !identities[$0].isDisjoint(with: identities[index]) }), first < index else {
                continue
            }
            remarks.append(ConnectedServers.remark(servers[index].connection.endpoint, servers[first].connection.endpoint))
            servers.remove(at: index).connection.close()
        }
    }

    /// The endpoints of a list, none of them twice.
    static func endpoints(_ names: [String]) throws(HeadError) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        for name in names {
            let endpoint: Endpoint
            do throws(EndpointError) {
                endpoint = try Endpoint(parsing: name)
            } catch {
                throw .workers(["\(error)"])
            }
            if endpoints.contains(endpoint) { throw .workers(["\(endpoint) is named twice"]) }
            endpoints.append(endpoint)
        }
        return endpoints
    }

    /// The same with nothing on them, as far as they say how much they have.
    var emptied: ConnectedServers {
        var emptied = self
        for index in emptied.servers.indices {
            for device in emptied.servers[index].memory.indices {
                let memory = emptied.servers[index].memory[device]
                emptied.servers[index].memory[device].free = max(memory.free, memory.total)
            }
        }
        return emptied
    }

    func close() {
        for server in servers { server.connection.close() }
    }
}

extension ConnectedServers.Server {
    init(_ id: NodeID, name: String? = nil, _ connection: ServerConnection) throws(BackendError) {
        self.id = id
        self.name = name
        self.connection = connection
        roundTrip = try connection.measureRoundTrip()
        memory = []
        memory = try askMemory()
    }

    /// What its devices have at this moment.
    func askMemory() throws(BackendError) -> [DeviceMemory] {
        var memory: [DeviceMemory] = []
        let limit = connection.limits.answer
        var begin: ContinuousClock.Instant?
        for device in connection.devices {
            memory.append(try device.memory())
            // Many devices whose every answer comes just in time would take minutes; the first may have waited for others' steps.
            let start = begin ?? .now
            begin = start
            guard ContinuousClock.now - start < .seconds(limit) else {
                throw BackendError(.connection, "\(connection.endpoint): saying how much memory it has takes longer than \(limit) s")
            }
        }
        return memory
    }

    /// What it is called in texts for people.
    var label: String { NodeStatus.label("\(id)", name: name) }

    /// `10.0.0.7:50052`, or `10.0.0.7:50052 device 1` where there are several.
    func name(ofDevice index: Int) -> String {
        let server = name == nil ? "\(connection.endpoint)" : label
        return connection.devices.count == 1 ? server : "\(server) device \(index)"
    }
}

extension HeadOptions {
    /// Where losing a worker costs a pause and no more, so that one which does not answer is better given up soon.
    var watchfulLimits: ClientLimits {
        let seconds = Double(timeout)
        return ClientLimits(connect: min(3, seconds), answer: min(5, seconds), step: seconds, foresees: true)
    }

    var clientLimits: ClientLimits {
        let seconds = Double(timeout)
        return ClientLimits(connect: min(5, seconds), answer: min(10, seconds), step: seconds)
    }
}

/// Why a model cannot be spread over machines.
public enum HeadError: Error, Hashable, CustomStringConvertible {
    /// Workers that cannot be used, a sentence for each.
    case workers([String])
    /// The model does not fit, or not as it was to be split.
    case placement(String)
    /// There is not enough memory at present.
    case noRoom(String)

    public var description: String {
        switch self {
        case .workers(let complaints):
            complaints.count == 1
                ? complaints[0]
                : "\(complaints.count) workers cannot be used:\n" + complaints.map { "  " + $0 }.joined(separator: "\n")
        case .placement(let message), .noRoom(let message): message
        }
    }
}
