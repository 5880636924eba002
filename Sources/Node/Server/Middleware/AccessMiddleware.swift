internal import Base
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
    private let origins: AllowedOrigins

    init(_ options: ServerOptions) {
        origins = AllowedOrigins(options)
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
        var offers: [[UInt8]] = []
        if let field = request.headers[.authorization] {
            let parts = field.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            offers.append(parts.count == 2 && parts[0].lowercased() == "bearer" ? Array(parts[1].utf8) : [])
        }
        if let field = request.headers[.apiKey] { offers.append(Array(field.utf8)) }
        if offers.isEmpty {
            throw APIError(
                .unauthorized, .authentication,
                "This server wants an API key: send it as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'.", code: "missing_api_key",
                headers: challenge)
        }
        // Every key is looked at in full, so that the time taken tells nothing.
        var matches: UInt8 = 0
        for offered in offers {
            for key in keys { matches |= AccessMiddleware.areEqual(offered, key) ? 1 : 0 }
        }
        if matches != 0 { return }
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
        try checkPage(request)
        guard let authority = request.head.authority else { return }
        let name = HostName.ofAuthority(authority.lowercased())
        if let name, name == host || HostName.isLoopback(name) { return }
        throw APIError(
            .forbidden, .permission,
            "This server answers to 'localhost', not to '\(authority.prefix(100))'. With an API key (--api-key) it answers to any name.",
            code: "wrong_host")
    }

    /// Refuses what a page of another site asks, unless its origin is one that may.
    private func checkPage(_ request: Request) throws(APIError) {
        let origin = request.headers[.origin]
        if origins.allows(origin) { return }
        var isForeign = request.headers[.secFetchSite] == "cross-site"
        if let origin {
            // "null" and what is no address of a page count as foreign.
            let host = origin.firstRange(of: "://").flatMap { HostName.ofAuthority(origin[$0.upperBound...].lowercased()) }
            isForeign = isForeign || !(host.map { $0 == self.host || HostName.isLoopback($0) } ?? false)
        }
        if isForeign { throw APIError.foreignOrigin(origin) }
    }
}

extension APIError {
    /// What a page is told that may not use the server.
    static func foreignOrigin(_ origin: String?) -> APIError {
        let name = origin.map { "'\($0.prefix(200))'" } ?? "ORIGIN"
        return APIError(
            .forbidden, .permission,
            "Pages of other sites cannot use this server, unless it is started with --cors-origin \(name).", code: "cross_site")
    }
}

extension HTTPField.Name {
    /// Spelled right, so it is a name; the other never stands in its place.
    fileprivate static let secFetchSite = HTTPField.Name("Sec-Fetch-Site") ?? .connection
    /// As Anthropic's clients send a key.
    fileprivate static let apiKey = HTTPField.Name("X-Api-Key") ?? .connection
}
