internal import HTTPTypes
internal import Hummingbird

/// Lets no more requests in than the server can hold, and none while it is stopping or what they need is being loaded.
struct AdmissionMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    let gate: RequestGate

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        if gate.isLoading, !RouteTable.earlyPaths.contains(request.uri.path) { throw APIError.loading }
        if RouteTable.uncountedPaths.contains(request.uri.path) { return try await next(request, context) }
        let pass = try gate.enter()
        var response = try await next(request, context)
        if response.body.contentLength == nil {
            // A streamed body is still to be written when this returns, so it carries the pass along.
            let body = response.body
            response.body = ResponseBody { writer in
                defer { withExtendedLifetime(pass) {} }
                try await body.write(writer)
            }
        }
        if gate.isClosed { response.headers[.connection] = "close" }
        return response
    }
}
