internal import Base
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// `/api/p2p` and what is below it: a peers' network, in LocalAI's shapes.
///
/// What differs: no node is federated or of MLX, since heads here do not share requests, so these lists are empty and their counts 0.
/// `TunnelAddress` is where the node itself was seen, not a port of this machine; it is empty where that is not known. A node is online when a
/// tunnel to it stands, or it was heard of lately; LocalAI goes by 40 s. Exposed servers count as workers. Where there is no network,
/// LocalAI lists nothing and gives an empty token; here the answer is 404.
struct NetworkRoutes: Sendable {
    /// Nil where the server is part of none.
    let network: (any NetworkView)?
    let access: TokenAccess

    /// LocalAI's lists, and as `network` all that is known here.
    func list(_ request: Request, _ context: ServerContext) throws -> Response {
        let network = try found()
        let nodes = network.nodes
        return Response(json: [
            "llama_cpp_nodes": .array(workers(nodes).map { $0.record(service(of: network)) }),
            "federated_nodes": [],
            "mlx_nodes": [],
            "network": [
                "id": network.networkID.map(JSONValue.string) ?? .null,
                "node_id": .string(network.nodeID),
                "worker_command": .string(network.workerCommand),
                "start_time": .string(network.startTime.timestamp),
                "nodes": .array(nodes.map(\.json)),
            ],
        ])
    }

    func workers(_ request: Request, _ context: ServerContext) throws -> Response {
        let network = try found()
        let list = JSONValue.array(workers(network.nodes).map { $0.listing(service(of: network)) })
        return Response(json: ["llama_cpp": ["nodes": list], "mlx": ["nodes": []], "nodes": list])
    }

    func stats(_ request: Request, _ context: ServerContext) throws -> Response {
        let workers = workers(try found().nodes)
        let none: JSONValue = ["online": 0, "total": 0]
        return Response(json: [
            "llama_cpp_workers": ["online": .integer(workers.count { $0.isOnline }), "total": .integer(workers.count)],
            "federated": none,
            "mlx_workers": none,
        ])
    }

    /// The token as plain text, for those who may have it.
    func token(_ request: Request, _ context: ServerContext) throws -> Response {
        let network = try found()
        try access.check(request)
        return Response(
            status: .ok, headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: network.token)))
    }

    private func found() throws(APIError) -> any NetworkView {
        if let network { return network }
        throw APIError(.notFound, .notFound, "This server is part of no peers' network.", code: "no_network")
    }

    private func workers(_ nodes: [NetworkNode]) -> [NetworkNode] {
        nodes.filter { $0.role != .head }.sorted { $0.id < $1.id }
    }

    /// What LocalAI calls the workers of a network.
    private func service(of network: any NetworkView) -> String {
        network.networkID.map { "\($0)_worker" } ?? "worker"
    }
}

extension NetworkNode {
    private var address: JSONValue { .string(addresses.first ?? "") }

    /// As in LocalAI's `/api/p2p`, which spells the members of a record as its source does.
    fileprivate func record(_ service: String) -> JSONValue {
        [
            "Name": .string(name), "ID": .string(id), "TunnelAddress": address, "ServiceID": .string(service),
            "LastSeen": .string(lastSeen.timestamp),
        ]
    }

    /// As in LocalAI's `/api/p2p/workers`.
    fileprivate func listing(_ service: String) -> JSONValue {
        [
            "name": .string(name), "id": .string(id), "tunnelAddress": address, "serviceID": .string(service),
            "lastSeen": .string(lastSeen.timestamp), "isOnline": .bool(isOnline),
        ]
    }

    /// All that is known of it.
    fileprivate var json: JSONValue {
        [
            "id": .string(id),
            "name": .string(name),
            "role": .string(role.rawValue),
            "version": .string(version),
            "addresses": .array(addresses.map(JSONValue.string)),
            "devices": .string(devices),
            "is_online": .bool(isOnline),
            "last_seen": .string(lastSeen.timestamp),
            "reason": reason.map(JSONValue.string) ?? .null,
        ]
    }
}
