internal import Base
internal import HTTPTypes
internal import Hummingbird

/// Lets requests in that bring a key, where the server has keys.
///
/// Where it has none and listens on this machine only, requests must be addressed to this machine by one of its usual names
/// and must not come from another site's page: otherwise any page open in a browser here could use the model.
struct AccessMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    /// Nobody in particular where there are no API keys; the admin keys count among them where there are.
    private let keys: AccessKeys
    private let isLoopback: Bool
    private let origins: PageOrigins

    init(_ options: ServerOptions) {
        keys = AccessKeys(options.apiKeys.isEmpty ? [] : options.apiKeys + options.adminKeys)
        isLoopback = options.isLoopback
        origins = PageOrigins(options)
    }

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        // Whoever watches over the server may ask whether it lives, and the page asks for the key itself.
        if RouteTable.openPaths.contains(request.uri.path) { return try await next(request, context) }
        if !keys.isEmpty {
            try checkKey(request)
        } else if isLoopback {
            try origins.check(request)
        }
        return try await next(request, context)
    }

    private func checkKey(_ request: Request) throws(APIError) {
        switch keys.offer(of: request) {
        case .right: return
        case .none: throw APIError.missingKey("an API key", code: "missing_api_key")
        case .wrong: throw APIError.wrongKey("The API key is not right.", code: "invalid_api_key")
        }
    }
}

extension APIError {
    static func missingKey(_ kind: String, code: String) -> APIError {
        wrongKey("This server wants \(kind): send it as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'.", code: code)
    }

    static func wrongKey(_ message: String, code: String) -> APIError {
        APIError(.unauthorized, .authentication, message, code: code, headers: [.wwwAuthenticate: "Bearer"])
    }
}
