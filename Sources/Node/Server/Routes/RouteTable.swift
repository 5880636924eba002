internal import HTTPTypes
internal import Hummingbird

/// All that the server answers to.
struct RouteTable: Sendable {
    typealias Handler = @Sendable (Request, ServerContext) async throws -> Response

    struct Route: Sendable {
        let method: HTTPRequest.Method
        /// As Hummingbird writes paths; `/**` at the end takes any rest.
        let path: String
        let handler: Handler
    }

    /// Paths that need no key and are answered while the server is stopping.
    static let openPaths: Set<String> = ["/health", "/v1/health"]

    /// Paths that are answered however busy the server is, and while it is stopping.
    static let uncountedPaths = openPaths.union(["/v1/nodes", "/v1/events", "/metrics"])

    /// Paths that are answered while the model is being loaded.
    static let earlyPaths: Set<String> = ["/v1/events"]

    let routes: [Route]

    /// The methods that a request's path can be asked with.
    func methods(of path: String) -> [HTTPRequest.Method] {
        routes.filter { route in
            if route.path.hasSuffix("/**") { return path.hasPrefix(route.path.dropLast(2)) && path.utf8.count > route.path.utf8.count - 2 }
            return route.path == path
        }.map(\.method)
    }

    func register(in router: Router<ServerContext>) {
        for route in routes {
            router.on(RouterPath(route.path), method: route.method, use: route.handler)
        }
    }
}
