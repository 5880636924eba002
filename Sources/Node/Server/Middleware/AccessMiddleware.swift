internal import HTTPTypes
internal import Hummingbird

/// Lets requests in that bring a key, where the server has keys.
///
/// Where it has none and listens on this machine only, requests must be addressed to this machine by one of its usual names
/// and must not come from another site's page: otherwise any page open in a browser here could use the model.
struct AccessMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    private let keys: [[UInt8]]
    private let isLoopback: Bool
    private let host: String

    init(_ options: ServerOptions) {
        keys = options.apiKeys.map { Array($0.utf8) }
        isLoopback = options.isLoopback
        host = options.host.lowercased()
    }

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        // Whoever watches over the server may ask whether it lives.
        if RouteTable.openPaths.contains(request.uri.path) { return try await next(request, context) }
        if !keys.isEmpty {
            try checkKey(request)
        } else if isLoopback {
            try checkOrigin(request)
        }
        return try await next(request, context)
    }

    private func checkKey(_ request: Request) throws(APIError) {
        let challenge: HTTPFields = [.wwwAuthenticate: "Bearer"]
        guard let field = request.headers[.authorization] else {
            throw APIError(
                .unauthorized, .authentication, "This server wants an API key: send it as 'Authorization: Bearer KEY'.",
                code: "missing_api_key", headers: challenge)
        }
        let parts = field.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        if parts.count == 2, parts[0].lowercased() == "bearer" {
            let offered = Array(parts[1].utf8)
            // Every key is looked at in full, so that the time taken tells nothing.
            var matches: UInt8 = 0
            for key in keys { matches |= AccessMiddleware.areEqual(offered, key) ? 1 : 0 }
            if matches != 0 { return }
        }
        throw APIError(.unauthorized, .authentication, "The API key is not right.", code: "invalid_api_key", headers: challenge)
    }

    /// Compares in a time that depends on the length of `offered` alone.
    private static func areEqual(_ offered: [UInt8], _ key: [UInt8]) -> Bool {
        guard !key.isEmpty else { return false }
        var difference = offered.count ^ key.count
        for index in offered.indices {
            difference |= Int(offered[index] ^ key[index % key.count])
        }
        return difference == 0
    }

    private func checkOrigin(_ request: Request) throws(APIError) {
        if let name = HTTPField.Name("Sec-Fetch-Site"), request.headers[name] == "cross-site" {
            throw APIError(
                .forbidden, .permission, "Pages of other sites cannot use this server. Set an API key to allow requests by key.",
                code: "cross_site")
        }
        guard let authority = request.head.authority else { return }
        let name = AccessMiddleware.hostName(authority.lowercased())
        if name == host || name == "localhost" || name == "::1" || name.hasPrefix("127.") || name.hasSuffix(".localhost") { return }
        throw APIError(
            .forbidden, .permission,
            "This server answers to 'localhost', not to '\(name.prefix(100))'. Set an API key to let it answer to other names.",
            code: "wrong_host")
    }

    /// `[::1]:8080` → `::1`, `localhost:8080` → `localhost`.
    private static func hostName(_ authority: String) -> String {
        if authority.hasPrefix("[") { return String(authority.dropFirst().prefix { $0 != "]" }) }
        return String(authority.prefix { $0 != ":" })
    }
}
