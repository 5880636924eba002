internal import HTTPTypes
internal import Hummingbird

/// Tells browsers which pages may read answers, whatever the answer is, and answers what they ask before a request: that carries no
/// key, so it comes before keys are looked at.
struct CrossOriginMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    private let origins: AllowedOrigins

    init(_ options: ServerOptions) {
        origins = AllowedOrigins(options)
    }

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin] else {
            var response = try await next(request, context)
            if !origins.isEmpty { response.headers[.vary] = "Origin" }
            return response
        }
        let isAllowed = origins.allows(origin)
        let isAsking = request.method == .options && request.headers[.accessControlRequestMethod] != nil
        var response: Response
        if !isAsking {
            response = try await next(request, context)
        } else if isAllowed {
            response = Response(status: .ok, headers: [.contentLength: "0"])
            response.headers[.accessControlAllowMethods] = "GET, POST"
            // A star would leave out the header that the key comes in.
            response.headers[.accessControlAllowHeaders] = request.headers[.accessControlRequestHeaders] ?? "*"
            response.headers[.accessControlMaxAge] = "3600"
        } else {
            response = try APIError.foreignOrigin(origin).response(from: request, context: context)
        }
        if !origins.isEmpty { response.headers[.vary] = "Origin" }
        guard isAllowed else { return response }
        response.headers[.accessControlAllowOrigin] = origin
        // Where everybody is let in, nobody's browser is to send what it keeps for the server; keys come in headers that pages set.
        if !origins.includesAll { response.headers[.accessControlAllowCredentials] = "true" }
        response.headers[.accessControlExposeHeaders] = "Retry-After"
        return response
    }
}
