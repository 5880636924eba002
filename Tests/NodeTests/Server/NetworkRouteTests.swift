import Base
import Foundation
import HummingbirdTesting
import Node
import Testing

/// What `/api/p2p` tells of a network, and to whom it gives the token.
@Suite(.timeLimit(.minutes(1))) struct NetworkRouteTests {
    private struct MockNetwork: NetworkView {
        var token = "dG9rZW4="
        var networkID: String? = nil
        var nodeID = "00ff"
        var nodes: [NetworkNode] = []
        var workerCommand = "swiftlet worker --p2p"
        var startTime = Date(timeIntervalSince1970: 1_800_000_000)
    }

    /// Two workers, one of them gone, and another head.
    private static let network = MockNetwork(
        networkID: "attic",
        nodes: [
            NetworkNode(
                id: "bb", name: "garden", role: .worker, version: "1.0", addresses: ["10.0.0.8:50052", "[fd00::8]:50052"],
                devices: "CPU 8 GiB",
                isOnline: true, lastSeen: Date(timeIntervalSince1970: 1_800_000_001.5)),
            NetworkNode(
                id: "aa", name: "cellar", role: .worker, isOnline: false, lastSeen: Date(timeIntervalSince1970: 1_800_000_000),
                reason: "it has not answered for a minute"),
            NetworkNode(id: "cc", name: "roof", role: .head, isOnline: true, lastSeen: Date(timeIntervalSince1970: 1_800_000_000)),
        ])

    @Test("A network is listed as LocalAI's clients read it, with all that is known beside")
    func shapes() async throws {
        let server = TestServer(network: NetworkRouteTests.network)
        let list = try await server.ask(.get, "/api/p2p").json
        #expect(
            list["llama_cpp_nodes"]
                == [
                    [
                        "Name": "cellar", "ID": "aa", "TunnelAddress": "", "ServiceID": "attic_worker",
                        "LastSeen": "2027-01-15T08:00:00.000Z",
                    ],
                    [
                        "Name": "garden", "ID": "bb", "TunnelAddress": "10.0.0.8:50052", "ServiceID": "attic_worker",
                        "LastSeen": "2027-01-15T08:00:01.500Z",
                    ],
                ])
        #expect(list["federated_nodes"] == [] && list["mlx_nodes"] == [])
        let network = list["network"]
        #expect(network?["id"] == "attic" && network?["node_id"] == "00ff" && network?["worker_command"] == "swiftlet worker --p2p")
        #expect(network?["start_time"] == "2027-01-15T08:00:00.000Z")
        #expect(
            network?["nodes"]?[0]
                == [
                    "id": "bb", "name": "garden", "role": "worker", "version": "1.0", "addresses": ["10.0.0.8:50052", "[fd00::8]:50052"],
                    "devices": "CPU 8 GiB", "is_online": true, "last_seen": "2027-01-15T08:00:01.500Z", "reason": nil,
                ])
        #expect(network?["nodes"]?[1]?["reason"] == "it has not answered for a minute")
        #expect(network?["nodes"]?[2]?["role"] == "head")

        let workers = try await server.ask(.get, "/api/p2p/workers").json
        #expect(
            workers["nodes"]?[1]
                == [
                    "name": "garden", "id": "bb", "tunnelAddress": "10.0.0.8:50052", "serviceID": "attic_worker",
                    "lastSeen": "2027-01-15T08:00:01.500Z", "isOnline": true,
                ])
        #expect(workers["llama_cpp"]?["nodes"] == workers["nodes"] && workers["mlx"]?["nodes"] == [] && workers["nodes"]?[2] == nil)
        #expect(
            try await server.ask(.get, "/api/p2p/stats").json
                == [
                    "llama_cpp_workers": ["online": 1, "total": 2], "federated": ["online": 0, "total": 0],
                    "mlx_workers": ["online": 0, "total": 0],
                ])
        #expect(try await server.ask(.get, "/v1/nodes").json["has_network"] == true)
        for path in ["/api/p2p", "/api/p2p/workers", "/api/p2p/stats"] {
            #expect(try await !server.ask(.get, path).text.contains(NetworkRouteTests.network.token), "\(path)")
        }
    }

    @Test("Without a network each path says so, whoever asks")
    func none() async throws {
        let server = TestServer(MockEngine(), ServerOptions(port: 0, adminKeys: ["admin"]))
        for path in ["/api/p2p", "/api/p2p/workers", "/api/p2p/stats", "/api/p2p/token"] {
            let answer = try await server.ask(.get, path)
            #expect(answer.status == 404, "\(path)")
            #expect(try answer.json["error"]?["message"] == "This server is part of no peers' network.")
        }
        #expect(try await server.ask(.get, "/v1/nodes").json["has_network"] == false)
    }

    private func key(_ key: String) -> [String: String] { ["Authorization": "Bearer \(key)"] }

    @Test("With an admin key the token is given for that alone; the other paths take either key")
    func adminKey() async throws {
        let options = ServerOptions(port: 0, apiKeys: ["user"], adminKeys: ["admin", "second"])
        let server = TestServer(MockEngine(), options, network: NetworkRouteTests.network)
        for accepted in ["admin", "second"] {
            let answer = try await server.ask(.get, "/api/p2p/token", headers: key(accepted))
            #expect(answer.status == 200 && answer.text == "dG9rZW4=")
            #expect(answer.headers["content-type"]?.hasPrefix("text/plain") == true && answer.headers["cache-control"] == "no-store")
        }
        #expect(try await server.ask(.get, "/api/p2p/token", headers: ["X-Api-Key": "admin"]).status == 200)
        // Whoever has an ordinary key is told what is missing, on this machine too.
        let user = try await server.ask(.get, "/api/p2p/token", headers: key("user"), .live)
        #expect(user.status == 401)
        #expect(try user.json["error"]?["code"] == "invalid_admin_key")
        #expect(user.headers["www-authenticate"] == "Bearer" && !user.text.contains("dG9rZW4="))
        #expect(try await server.ask(.get, "/api/p2p/token").status == 401)
        for path in ["/api/p2p", "/v1/models"] {
            for (offered, status) in [("user", 200), ("admin", 200), ("other", 401)] {
                #expect(try await server.ask(.get, path, headers: key(offered)).status == status, "\(path) with \(offered)")
            }
            #expect(try await server.ask(.get, path).status == 401)
        }
    }

    @Test("An admin key alone closes nothing but the token")
    func adminKeyAlone() async throws {
        let server = TestServer(MockEngine(), ServerOptions(port: 0, adminKeys: ["admin"]), network: NetworkRouteTests.network)
        #expect(try await server.ask(.get, "/v1/models").status == 200)
        let missing = try await server.ask(.get, "/api/p2p/token", headers: [:], .live)
        #expect(missing.status == 401)
        #expect(try missing.json["error"]?["code"] == "missing_admin_key")
        #expect(try await server.ask(.get, "/api/p2p/token", headers: key("")).status == 401)
        #expect(try await server.ask(.get, "/api/p2p/token", headers: key("admin")).status == 200)
    }

    @Test("Without an admin key nobody is told the token, and why")
    func noAdminKey() async throws {
        for options in [ServerOptions(port: 0), ServerOptions(port: 0, apiKeys: ["user"]), ServerOptions(port: 0, corsOrigins: ["*"])] {
            let server = TestServer(MockEngine(), options, network: NetworkRouteTests.network)
            let answer = try await server.ask(.get, "/api/p2p/token", headers: key("user"), .live)
            #expect(answer.status == 403 && !answer.text.contains("dG9rZW4="))
            #expect(try answer.json["error"]?["message"]?.string?.contains("--admin-key") == true)
        }
    }
}
